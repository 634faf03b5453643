"""The work of a run on a cluster: embeds what is missing, evaluates what has no result, and keeps the book of it."""

from __future__ import annotations

import dataclasses
import uuid
from collections import Counter
from collections.abc import Sequence

import pyarrow as pa

from evaljobs.engine import execution, todo
from evaljobs.engine.batches import can_shrink
from evaljobs.engine.decoding import DecodeReport
from evaljobs.engine.embedding import Embedded, EmbedFailed
from evaljobs.engine.exclusion import Exclusion
from evaljobs.engine.output import Output
from evaljobs.engine.prepare import Prepared
from evaljobs.engine.shards import Shard
from evaljobs.engine.sharing import Sharing
from evaljobs.errors import ImageErrorKind, ModelErrorKind, RowsMissingError
from evaljobs.progress import Passes
from evaljobs.run import setup
from evaljobs.run.comparing import Comparing, Setting
from evaljobs.run.guest import guest_notes
from evaljobs.run.watch import Watch
from evaljobs.schemas import FAILURES
from evaljobs.store.store import key_digest
from raycluster.connection.connect import Cluster
from raycluster.planning.plan import Plan
from raycluster.pool.events import (
    BlockLost,
    BlockMade,
    CellDone,
    Event,
    LoadFinished,
    LoadLost,
    NodesChanged,
    TaskAdvanced,
    TaskDone,
    TaskLost,
    Waited,
)
from raycluster.pool.pool import Pool

# What follows from the model alone, whoever runs it: worth remembering. Memory, devices and crashes may be otherwise
# tomorrow.
_LASTING = frozenset({ModelErrorKind.CORRUPT, ModelErrorKind.UNSUPPORTED_INPUT, ModelErrorKind.UNSUPPORTED_OUTPUT})
# What may be the fault of the machine: a GPU that does not answer, a file that is not mounted there, or is damaged.
_PERHAPS_THE_MACHINE = frozenset(
    {ModelErrorKind.PROVIDER, ModelErrorKind.FAILED, ModelErrorKind.MISSING, ModelErrorKind.CORRUPT}
)
# Models that fail on a node before it is avoided.
_DOUBTFUL = 3
_CRASHES = "the process that decoded it died every time: the image crashes its decoder, or there was too little memory"
_ENDED = "its process died when its machine ended some for want of memory; a smaller batch_size needs less"
# By how much shards are cut smaller after a pass in which one was lost.
_SMALLER = 8


class Computation:
    """Embeds what is missing and evaluates what has no result; one bad model or image ends that one alone."""

    def __init__(
        self, prepared: Prepared, exclusion: Exclusion, record: execution.Record, out: Output, watch: Watch
    ) -> None:
        self._prepared = prepared
        self._exclusion = exclusion
        self._record = record
        self._out = out
        self._watch = watch
        self._progress = Passes(watch.progress)
        # Where models have failed, by name: one that fails elsewhere too is lost. And where one has worked.
        self._failed_on: dict[str, str] = {}
        self._works_on: set[str] = set()
        # What its rows are marked with; and by table, how many of them are counted.
        self._run = uuid.uuid4().hex
        self._counted: Counter[str] = Counter()
        # The keys of evaluations of which rows went away, once each.
        self._unready: set[str] = set()

    def carry_out(self, wanted: Sequence[todo.Evaluation], cluster: Cluster, nonce: str | None) -> Prepared:
        """Compute everything: pass after pass, until each evaluation has a result or its model is lost.

        One pass is enough, unless there are jobs that come after others, or it is found out on the way that a shard
        crashes its decoders, that a batch does not fit, or that an image must be excluded whose absence asks for other
        evaluations.

        Parameters
        ----------
        wanted
            Evaluations without a result.
        cluster
            Where the work is done.
        nonce
            What every node that joins is to find in the store, if there may be several.

        Returns
        -------
        What was prepared, with the batches that fit.

        Raises
        ------
        RowsMissingError
            If rows of the same evaluation are not there a second time.
        """
        memory = setup.block_memory(self._prepared, cluster)
        for note in guest_notes(self._prepared.config.cluster.guest, self._prepared.runtime.device):
            self._progress.say(note)
        most_images, before = None, None
        while wanted and before != (before := self._state(wanted, most_images)):
            shards = todo.missing_shards(self._prepared, wanted, self._exclusion.digests, memory, most_images)
            self._watch.reuse(self._prepared, wanted, shards, self._exclusion.digests)
            self._progress.say(setup.announce(self._prepared, shards, len(wanted), cluster))
            plan = setup.make_plan(self._prepared, shards, memory)
            work = setup.make_work(self._prepared, shards)
            with Pool(plan, work, setup.make_actors(self._prepared, nonce, self._run, self._avoid)) as pool:
                if pool.note and shards:
                    self._progress.say(pool.note)
                now = _Pass(pool, plan, shards)
                self._pass(now)
            self._conclude(now)
            if now.crashed:
                most_images = max(1, max(len(shard.images) for shard in shards) // _SMALLER)
            wanted = self._without_result()
        return self._prepared

    def _state(self, wanted: Sequence[todo.Evaluation], most_images: int | None) -> tuple[object, ...]:
        """Return what a pass changes, or another one would do the same."""
        batches = tuple(model.batch_size for model in self._prepared.models)
        asked = frozenset((evaluation.job.name, evaluation.load) for evaluation in wanted)
        tries = len(self._failed_on), len(self._unready)
        return asked, len(self._exclusion.digests), batches, most_images, tries

    @property
    def _avoid(self) -> frozenset[str]:
        """Nodes on which models have failed that are not lost: each is tried on another one."""
        return frozenset(node for name, node in self._failed_on.items() if name not in self._record.lost)

    def _evaluations(self) -> list[todo.Evaluation]:
        return todo.evaluations(self._prepared, self._exclusion.digests, self._record.given_up)

    def _without_result(self) -> list[todo.Evaluation]:
        evaluations = self._evaluations()
        missing = [evaluations[number] for number in todo.without_result(self._prepared, evaluations)]
        return [evaluation for evaluation in missing if not self._record.given_up(evaluation)]

    def _pass(self, now: _Pass) -> None:
        """Carry one pass out."""
        prepared = self._prepared
        for shard in now.shards:
            now.rows.update(dict.fromkeys(shard.models, len(shard.images)))
        now.embedding = {prepared.models[number].load for shard in now.shards for number in shard.models}
        if now.shards:
            self._progress.start("decoding", sum(len(shard.images) for shard in now.shards))
            self._progress.start("embedding", sum(len(shard.images) * len(shard.models) for shard in now.shards))
        self._watch.embedding(prepared, now.shards)
        self._evaluate_ready(now)
        for event in now.pool.events():
            self._take(now, event)
            self._evaluate_ready(now)

    def _conclude(self, now: _Pass) -> None:
        """Take in what is known only when nobody works any more."""
        self._count_found(now)
        self._remember_lasting_errors(now)
        for name in now.too_large:
            self._prepared = self._prepared.with_smaller_batch(name)
        for evaluation, message in now.comparing.unready if now.comparing else ():
            digest = key_digest(evaluation.key)
            # An image that is excluded meanwhile makes it another evaluation. The same one is lacking something else.
            if digest in self._unready:
                raise RowsMissingError(message)
            self._unready.add(digest)

    def _count_found(self, now: _Pass) -> None:
        """Count the rows that were there when they were asked for, as far as this run has made them itself."""
        keys = {load: self._prepared.keys[self._prepared.models[load].load] for load in {*now.computed, *now.found}}
        for load, rows in now.computed.items():
            self._counted[key_digest(keys[load])] += rows
        for load, rows in now.found.items():
            counted = self._counted[key_digest(keys[load])]
            ours = max(0, self._prepared.store.table(keys[load]).rows_of_run(self._run) - counted)
            self._counted[key_digest(keys[load])] += ours
            self._record.found(self._prepared.models[load].load, ours)
            self._watch.found(ours, max(0, rows - ours))

    def _take(self, now: _Pass, event: Event) -> None:
        match event:
            case BlockMade(block, report, again):
                if not again:
                    self._count_decoded(now, now.shards[block], report)
                self._exclude_failed(now.shards[block], report)
            case BlockLost(block):
                self._block_lost(now, now.shards[block])
            case CellDone() | LoadFinished() | LoadLost():
                self._take_embedding(now, event)
            case NodesChanged(note):
                self._progress.say(note)
            case Waited(lines, seconds, waiting):
                self._record.paused_seconds += seconds
                self._watch.waited(seconds, waiting)
                for line in lines:
                    self._progress.say(line)
            case TaskAdvanced(int() as number) | TaskDone(int() as number) | TaskLost(int() as number):
                if now.comparing is not None:
                    now.comparing.take(number, event)

    def _take_embedding(self, now: _Pass, event: CellDone | LoadFinished | LoadLost) -> None:
        match event:
            case CellDone(cell, EmbedFailed() as failed, _, node):
                self._failed(now, cell.load, failed, node)
            case CellDone(cell, Embedded() as embedded, finished, node):
                self._works_on.add(node)
                name = self._prepared.models[cell.load].load
                self._record.embedded(name, embedded)
                now.computed[cell.load] += embedded.computed
                if not embedded.computed:
                    now.found[cell.load] += embedded.rows
                self._watch.embedded(name, embedded)
                self._advance(now, cell.load, embedded.rows)
                if finished:
                    now.embedding.discard(name)
            case LoadFinished(load):
                now.embedding.discard(self._prepared.models[load].load)
            case LoadLost(load, reason, _, out_of_memory):
                failed = EmbedFailed(ModelErrorKind.CRASHED, reason)
                if out_of_memory:
                    failed = EmbedFailed(ModelErrorKind.OUT_OF_MEMORY, _ENDED)
                self._failed(now, load, failed)

    def _count_decoded(self, now: _Pass, shard: Shard, report: DecodeReport) -> None:
        self._record.decoded(report)
        self._watch.decoded(report, (self._prepared.models[number].load for number in shard.models))
        self._progress.advance("decoding", len(shard.images))
        for load in shard.models:
            self._advance(now, load, len(report.failures) + len(report.unreadable))

    def _advance(self, now: _Pass, load: int, rows: int) -> None:
        """Say that rows of a model are done, as far as they have not been said to be."""
        steps = min(rows, now.rows[load])
        now.rows[load] -= steps
        self._progress.advance("embedding", steps)

    def _exclude_failed(self, shard: Shard, report: DecodeReport) -> None:
        if report.failures or report.unreadable:
            self._exclude(shard.geometry, report.failure_table, [*report.failures, *report.unreadable])

    def _exclude(self, geometry: int, lasting: pa.Table, images: list[tuple[bytes, str, str]]) -> None:
        self._prepared.store.add_failures(self._prepared.geometries[geometry].key(), lasting)
        self._exclusion.add(images)
        self._exclusion.check(self._out)

    def _block_lost(self, now: _Pass, shard: Shard) -> None:
        """Take in that nobody survived a shard: among its images is one that crashes its decoder, or memory was short.

        Another pass cuts it into smaller ones. An image that was alone is excluded, for this run: what its process died
        of may be other than its bytes.
        """
        now.crashed = True
        if len(shard.images) == 1:
            digest = self._prepared.images[shard.images[0]].as_py()
            row = (digest, str(ImageErrorKind.UNREADABLE), _CRASHES)
            self._exclude(shard.geometry, FAILURES.empty_table(), [row])

    def _failed(self, now: _Pass, load: int, failed: EmbedFailed, node: str = "") -> None:
        """Lose a model, unless another pass may have more luck: with smaller batches, or on another node.

        It stays among those that are being embedded, so that nobody evaluates the rows of this pass.
        """
        model = self._prepared.models[load]
        # An answer that comes after this is not heard any more.
        now.found[load] += 0
        if model.load not in self._failed_on and failed.kind in _PERHAPS_THE_MACHINE and now.pool.others(node):
            self._failed_on[model.load] = node
            self._progress.say(f"{model.load}: {failed.message} (it is tried on another node)")
            now.pool.give_up(load)
            self._watch.begun_again(model.load)
            self._doubt(now, node)
        elif failed.kind is not ModelErrorKind.OUT_OF_MEMORY or not can_shrink(model):
            self._lose(now, load, failed.kind, failed.message)
        elif model.load not in now.too_large:
            now.too_large.add(model.load)
            self._progress.say(
                f"{model.load}: a batch of {model.batch_size} images does not fit the memory: half of it"
            )
            now.pool.give_up(load)
            self._watch.begun_again(model.load)

    def _doubt(self, now: _Pass, node: str) -> None:
        """Avoid a node on which several models have failed and nothing ever worked, before it takes the others too."""
        if node not in self._works_on and list(self._failed_on.values()).count(node) == _DOUBTFUL:
            self._progress.say(
                f"nothing has worked on the node {node[:8]}, and {_DOUBTFUL} models failed: it is avoided"
            )
            now.pool.avoid(node)

    def _lose(self, now: _Pass, load: int, kind: ModelErrorKind, message: str) -> None:
        name = self._prepared.models[load].load
        now.embedding.discard(name)
        if name not in self._record.lost:
            self._record.lost[name] = {"kind": kind, "message": message}
            self._watch.lost(name, kind)
            self._progress.say(f"{name}: {message}")
            now.pool.give_up(load)
            # Nobody will embed the rest.
            self._advance(now, load, now.rows[load])

    def _evaluate_ready(self, now: _Pass) -> None:
        """Evaluate every model that is embedded, as soon as it is known which images are excluded."""
        if now.crashed or not now.plan.all_made:
            return
        if now.comparing is None:
            prepared = self._prepared
            evaluations = self._evaluations()
            without = todo.without_result(prepared, evaluations)
            waiting = [number for number in without if not self._record.given_up(evaluations[number])]
            now.embedding |= self._not_embedded(now, [evaluations[number] for number in waiting])

            def sharing() -> Sharing:
                return setup.make_sharing(now.pool.nodes)

            setting = Setting(prepared.store, prepared.keys, self._record, self._progress, sharing, self._watch)
            now.comparing = Comparing(setting, now.pool, evaluations, waiting)
        now.comparing.begin(now.embedding)

    def _not_embedded(self, now: _Pass, waiting: Sequence[todo.Evaluation]) -> set[str]:
        """Return the models that lack rows and are not of this pass: they had results until an image was excluded."""
        here = {self._prepared.models[number].load for shard in now.shards for number in shard.models}
        others = [evaluation for evaluation in waiting if evaluation.load not in here]
        shards = todo.missing_shards(self._prepared, others, self._exclusion.digests)
        return {self._prepared.models[number].load for shard in shards for number in shard.models}

    def _remember_lasting_errors(self, now: _Pass) -> None:
        """Keep what is wrong with a model as its result, so that the next run does not try it again."""
        for evaluation in now.comparing.evaluations if now.comparing else ():
            error = None if evaluation.load is None else self._record.lost.get(evaluation.load)
            if error is not None and error["kind"] in _LASTING and evaluation.lack is None:
                self._prepared.store.add_result(evaluation.key, {"error": error}, {})


@dataclasses.dataclass
class _Pass:
    """The state of one pass."""

    pool: Pool
    plan: Plan
    shards: list[Shard]
    # What each model has yet to embed, by its number.
    rows: Counter[int] = dataclasses.field(default_factory=Counter)
    # By the model's number, rows that were computed; and those that were in its table when they were asked for: nobody
    # has said whose they are.
    computed: Counter[int] = dataclasses.field(default_factory=Counter)
    found: Counter[int] = dataclasses.field(default_factory=Counter)
    # Models that still lack rows, by name.
    embedding: set[str] = dataclasses.field(default_factory=set)
    # Once it is known which images are excluded.
    comparing: Comparing | None = None
    # Models whose batch does not fit the memory, by name.
    too_large: set[str] = dataclasses.field(default_factory=set)
    # Whether a shard was lost to an image that crashes its decoder: its other images are decoded in another pass.
    crashed: bool = False
