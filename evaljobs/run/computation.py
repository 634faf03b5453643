"""The work of a run on a cluster: embeds what is missing, evaluates what has no result, and keeps the book of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from evaljobs.engine import execution, todo
from evaljobs.engine.batches import can_shrink
from evaljobs.engine.decoding import DecodeReport, decode_shard
from evaljobs.engine.embedding import Embedded, EmbedFailed
from evaljobs.engine.exclusion import Exclusion
from evaljobs.engine.output import Output
from evaljobs.engine.prepare import Prepared
from evaljobs.engine.shards import Shard
from evaljobs.engine.sharing import Sharing
from evaljobs.errors import ImageErrorKind, ModelErrorKind
from evaljobs.progress import Progress
from evaljobs.run import setup
from evaljobs.run.comparing import Comparing, Setting
from evaljobs.schemas import FAILURES
from raycluster.connect import Cluster
from raycluster.plan import Plan
from raycluster.pool import (
    BlockLost,
    BlockMade,
    CellDone,
    Event,
    LoadFinished,
    LoadLost,
    NodesChanged,
    Pool,
    TaskAdvanced,
    TaskDone,
    TaskLost,
)

# What follows from the model alone, whoever runs it: worth remembering. Memory, devices and crashes may be otherwise
# tomorrow.
_LASTING = frozenset({ModelErrorKind.CORRUPT, ModelErrorKind.UNSUPPORTED_INPUT, ModelErrorKind.UNSUPPORTED_OUTPUT})
_CRASHES = "its decoder crashes: the process that read it died every time"


@dataclasses.dataclass(frozen=True)
class _Suspects:
    """Images of one geometry among which is one that crashes its decoder."""

    geometry: int
    images: tuple[int, ...]


class Computation:
    """Embeds what is missing and evaluates what has no result; one bad model or image ends that one alone."""

    def __init__(
        self, prepared: Prepared, exclusion: Exclusion, record: execution.Record, out: Output, progress: Progress
    ) -> None:
        self._prepared = prepared
        self._exclusion = exclusion
        self._record = record
        self._out = out
        self._progress = progress

    def carry_out(self, wanted: Sequence[todo.Evaluation], cluster: Cluster) -> Prepared:
        """Compute everything: in one pass, unless a bad image or a batch that does not fit is found out on the way.

        An image that crashes its decoder is excluded, a model whose batch does not fit gets a smaller one; what lacks
        rows by that is computed in another pass.

        Returns
        -------
        What was prepared, with the batches that fit.
        """
        memory = setup.block_memory(self._prepared, cluster)
        lacking = {evaluation.model.name for evaluation in wanted}
        sharing = setup.make_sharing(cluster)
        complete = False
        while not complete:
            lacking -= set(self._record.lost)
            models = [model for model in self._prepared.models if model.name in lacking]
            shards = todo.missing_shards(self._prepared, models, self._exclusion.digests, memory)
            self._progress.say(setup.announce(self._prepared, shards, len(wanted), cluster))
            plan = setup.make_plan(self._prepared, shards, memory)
            work = setup.make_work(self._prepared, shards)
            with Pool(plan, work, setup.make_actors(self._prepared)) as pool:
                if pool.note and shards:
                    self._progress.say(pool.note)
                complete = self._pass(_Pass(pool, plan, shards, sharing))
        return self._prepared

    def _pass(self, now: _Pass) -> bool:
        """Carry one pass out; return whether everything is done by it."""
        prepared = self._prepared
        now.embedding = {prepared.models[number].name for shard in now.shards for number in shard.models}
        if now.shards:
            self._progress.start("decoding", sum(len(shard.images) for shard in now.shards))
            self._progress.start("embedding", sum(len(shard.images) * len(shard.models) for shard in now.shards))
        self._evaluate_ready(now)
        for event in now.pool.events():
            self._take(now, event)
            self._evaluate_ready(now)
        self._remember_lasting_errors(now)
        for name in now.too_large:
            self._prepared = self._prepared.with_smaller_batch(name)
        return not now.crashed and not now.too_large

    def _take(self, now: _Pass, event: Event) -> None:
        match event:
            case BlockMade(block, report):
                self._decoded(now.shards[block], report)
            case BlockLost(block):
                now.crashed = True
                self._search(now, _Suspects(now.shards[block].geometry, tuple(now.shards[block].images.tolist())))
            case CellDone() | LoadFinished() | LoadLost():
                self._take_embedding(now, event)
            case NodesChanged(note):
                self._progress.say(note)
            case TaskLost(_Suspects() as suspects):
                self._search(now, suspects)
            case TaskAdvanced(int() as number) | TaskDone(int() as number) | TaskLost(int() as number):
                if now.comparing is not None:
                    now.comparing.take(number, event)

    def _take_embedding(self, now: _Pass, event: CellDone | LoadFinished | LoadLost) -> None:
        match event:
            case CellDone(cell, EmbedFailed() as failed, _):
                self._failed(now, cell.load, failed)
            case CellDone(cell, Embedded() as embedded, finished):
                name = self._prepared.models[cell.load].name
                self._record.embedded(name, embedded)
                self._progress.advance("embedding", embedded.rows)
                if finished:
                    now.embedding.discard(name)
            case LoadFinished(load):
                now.embedding.discard(self._prepared.models[load].name)
            case LoadLost(load, reason):
                self._lose(now, load, ModelErrorKind.CRASHED, reason)

    def _decoded(self, shard: Shard, report: DecodeReport) -> None:
        self._record.decoded(report)
        self._progress.advance("decoding", len(shard.images))
        if report.failures or report.unreadable:
            self._exclude(shard.geometry, report.failure_table, [*report.failures, *report.unreadable])
            skipped = len(report.failures) + len(report.unreadable)
            self._progress.advance("embedding", skipped * len(shard.models))

    def _exclude(self, geometry: int, lasting: pa.Table, images: list[tuple[bytes, str, str]]) -> None:
        self._prepared.store.add_failures(self._prepared.geometries[geometry].key(), lasting)
        self._exclusion.add(images)
        self._exclusion.check(self._out)

    def _search(self, now: _Pass, suspects: _Suspects) -> None:
        """Find the image that crashes its decoder, half by half; it is excluded, and the rest is decoded again."""
        images = suspects.images
        if len(images) == 1:
            digest = self._prepared.images[images[0]].as_py()
            row = (digest, str(ImageErrorKind.DAMAGED), _CRASHES)
            self._exclude(suspects.geometry, pa.table([pa.array([value]) for value in row], schema=FAILURES), [row])
            return
        for half in (images[: len(images) // 2], images[len(images) // 2 :]):
            arguments = setup.decode_arguments(self._prepared, suspects.geometry, np.array(half, dtype=np.int64))
            now.pool.submit(_Suspects(suspects.geometry, half), 1, try_decoding, *arguments)

    def _failed(self, now: _Pass, load: int, failed: EmbedFailed) -> None:
        """Lose a model, unless it only lacks memory and can do with smaller batches: another pass tries these.

        It stays among those that are being embedded, so that nobody evaluates the rows of this pass.
        """
        model = self._prepared.models[load]
        if failed.kind is not ModelErrorKind.OUT_OF_MEMORY or not can_shrink(model):
            self._lose(now, load, failed.kind, failed.message)
        elif model.name not in now.too_large:
            now.too_large.add(model.name)
            self._progress.say(
                f"{model.name}: a batch of {model.batch_size} images does not fit the memory: half of it"
            )
            now.pool.give_up(load)

    def _lose(self, now: _Pass, load: int, kind: ModelErrorKind, message: str) -> None:
        name = self._prepared.models[load].name
        now.embedding.discard(name)
        if name not in self._record.lost:
            self._record.lost[name] = {"kind": kind, "message": message}
            self._progress.say(f"{name}: {message}")
            now.pool.give_up(load)

    def _evaluate_ready(self, now: _Pass) -> None:
        """Evaluate every model that is embedded, as soon as it is known which images are excluded."""
        if now.crashed or not now.plan.all_made:
            return
        if now.comparing is None:
            prepared = self._prepared
            evaluations = todo.evaluations(prepared, self._exclusion.digests)
            waiting = todo.without_result(prepared, evaluations)
            setting = Setting(prepared.store, prepared.keys, self._record, self._progress, now.sharing)
            now.comparing = Comparing(setting, now.pool, evaluations, waiting)
        now.comparing.begin(now.embedding)

    def _remember_lasting_errors(self, now: _Pass) -> None:
        """Keep what is wrong with a model as its result, so that the next run does not try it again."""
        for evaluation in now.comparing.evaluations if now.comparing else ():
            error = self._record.lost.get(evaluation.model.name)
            if error is not None and error["kind"] in _LASTING:
                self._prepared.store.add_result(evaluation.key, {"error": error}, {})


@dataclasses.dataclass
class _Pass:
    """The state of one pass."""

    pool: Pool
    plan: Plan
    shards: list[Shard]
    sharing: Sharing
    # Models that still lack rows, by name.
    embedding: set[str] = dataclasses.field(default_factory=set)
    # Once it is known which images are excluded.
    comparing: Comparing | None = None
    # Models whose batch does not fit the memory, by name.
    too_large: set[str] = dataclasses.field(default_factory=set)
    # Whether a shard was lost to an image that crashes its decoder: its other images are decoded in another pass.
    crashed: bool = False


def try_decoding(*arguments: Any) -> None:
    """Decode images and forget them: to see whether the process survives it."""
    decode_shard(*arguments)
