"""The work of a run on a cluster: embeds what is missing, evaluates what has no result, and keeps the book of it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaljobs.engine import execution, todo
from evaljobs.engine.decoding import DecodeReport, decode_shard
from evaljobs.engine.device import Device
from evaljobs.engine.embedding import Embedded, Embedder, EmbedFailed, ModelLoad
from evaljobs.engine.evaluation import Assignment, evaluate
from evaljobs.engine.exclusion import Exclusion
from evaljobs.engine.prepare import Prepared
from evaljobs.engine.shards import Shard
from evaljobs.errors import ModelErrorKind, UsageError
from evaljobs.images.geometry import Geometry
from evaljobs.models.options import Device as DeviceName
from evaljobs.progress import Progress
from evaljobs.store import Store
from raycluster.connect import Cluster
from raycluster.nodes import on_every_node
from raycluster.plan import Limits, Plan
from raycluster.pool import Actors, BlockMade, CellDone, Event, LoadFinished, LoadLost, Pool, TaskDone, Work

# Of Ray's object store; the rest is for answers and for blocks on their way out.
BLOCK_SHARE = 0.5


def check_shared(store: Store, cluster: Cluster) -> None:
    """See that every node reads and writes the same store.

    Raises
    ------
    UsageError
        Naming the nodes that do not, before anything is computed.
    """
    if cluster.nodes == 1 and cluster.embedded:
        return
    nonce = store.leave_nonce()
    try:
        seen = on_every_node(Store.sees_nonce, store, nonce)
    finally:
        store.remove_nonce(nonce)
    if blind := sorted(node for node, sees in seen.items() if not sees):
        raise UsageError(
            f"the store {store.root} is not shared: the node(s) {', '.join(blind)} do not see what this machine writes "
            "there. Name a `store` on a file system that every node mounts at the same place"
        )


class Computation:
    """Embeds what is missing and evaluates what has no result, and keeps the book of it."""

    def __init__(
        self, prepared: Prepared, exclusion: Exclusion, record: execution.Record, out: Path, progress: Progress
    ) -> None:
        self._prepared = prepared
        self._exclusion = exclusion
        self._record = record
        self._out = out
        self._progress = progress
        self._evaluations: list[todo.Evaluation] = []
        self._waiting: list[int] = []
        self._embedding: set[str] = set()
        self._comparing = False

    def carry_out(self, wanted: Sequence[todo.Evaluation], cluster: Cluster, device: Device) -> None:
        """Compute everything; one bad model ends that model alone."""
        prepared = self._prepared
        lacking = {evaluation.model.name for evaluation in wanted}
        shards = todo.missing_shards(
            prepared, [m for m in prepared.models if m.name in lacking], self._exclusion.digests
        )
        plan = _plan(prepared, shards, cluster)
        self._embedding = {prepared.models[number].name for shard in shards for number in shard.models}
        self._progress.say(_announce(prepared, shards, len(wanted), cluster, device))
        if shards:
            self._progress.start("decoding", sum(len(shard.images) for shard in shards))
            self._progress.start("embedding", sum(len(shard.images) * len(shard.models) for shard in shards))
        self._threads = max(1, cluster.cpus // max(1, cluster.nodes) // len(wanted))
        self._shards = shards
        with Pool(plan, _work(prepared, shards), _actors(prepared, cluster, device)) as pool:
            self._plan, self._pool = plan, pool
            self._evaluate_ready()
            for event in pool.events():
                self._take(event)
                self._evaluate_ready()

    def _take(self, event: Event) -> None:
        match event:
            case BlockMade(block, report):
                self._decoded(self._shards[block], report)
            case CellDone(cell, EmbedFailed() as failed, _):
                self._lose(cell.load, {"kind": failed.kind, "message": failed.message})
            case CellDone(cell, Embedded() as embedded, finished):
                self._record.embedded(self._prepared.models[cell.load].name, embedded)
                self._progress.advance("embedding", embedded.rows)
                if finished:
                    self._embedding.discard(self._prepared.models[cell.load].name)
            case LoadFinished(load):
                self._embedding.discard(self._prepared.models[load].name)
            case LoadLost(load, reason):
                message = f"the process that ran it died every time, the last time with: {reason}"
                self._lose(load, {"kind": ModelErrorKind.CRASHED, "message": message})
            case TaskDone(int() as number, float() as seconds):
                evaluation = self._evaluations[number]
                self._record.evaluated(evaluation.pairs, seconds)
                self._progress.advance("pairs", evaluation.pairs)
                self._progress.advance("models")

    def _decoded(self, shard: Shard, report: DecodeReport) -> None:
        self._record.decoded(report)
        self._progress.advance("decoding", len(shard.images))
        geometry = self._prepared.geometries[shard.geometry]
        if report.failures or report.unreadable:
            self._prepared.store.add_failures(geometry.key(), report.failure_table)
            self._exclusion.add([*report.failures, *report.unreadable])
            self._exclusion.check(self._out)
            skipped = len(report.failures) + len(report.unreadable)
            self._progress.advance("embedding", skipped * len(shard.models))

    def _lose(self, load: int, error: dict[str, Any]) -> None:
        name = self._prepared.models[load].name
        if name not in self._record.lost:
            self._record.lost[name] = error
            self._progress.say(f"{name}: {error['message']}")
            self._pool.give_up(load)
        self._embedding.discard(name)

    def _evaluate_ready(self) -> None:
        """Evaluate every model that is embedded, as soon as it is known which images are excluded."""
        if not self._plan.all_made:
            return
        if not self._evaluations:
            self._evaluations = todo.evaluations(self._prepared, self._exclusion.digests)
            self._waiting = todo.without_result(self._prepared, self._evaluations)
        ready = [number for number in self._waiting if self._evaluations[number].model.name not in self._embedding]
        if ready and not self._comparing:
            # Only now, so that the rates are those of comparing and not of waiting for the first model.
            self._comparing = True
            self._progress.start("models", len(self._waiting))
            self._progress.start("pairs", sum(self._evaluations[number].pairs for number in self._waiting))
        self._waiting = [number for number in self._waiting if number not in set(ready)]
        for number in ready:
            if self._evaluations[number].model.name not in self._record.lost:
                self._submit(number)

    def _submit(self, number: int) -> None:
        evaluation = self._evaluations[number]
        model_key = self._prepared.keys[evaluation.model.name]
        members = self._pool.put(evaluation.job.name, evaluation.members)
        assignment = Assignment(self._prepared.store.root, evaluation.job, model_key, evaluation.key, self._threads)
        self._pool.submit(number, self._threads, evaluate, assignment, members)


def _plan(prepared: Prepared, shards: Sequence[Shard], cluster: Cluster) -> Plan:
    sizes = [todo.image_bytes(geometry) for geometry in prepared.geometries]
    blocks: dict[int, set[int]] = {}
    for number, shard in enumerate(shards):
        for model in shard.models:
            blocks.setdefault(model, set()).add(number)
    memory_mb = prepared.config.cluster.memory_mb
    memory = memory_mb * 2**20 if memory_mb else int(cluster.object_store_bytes * BLOCK_SHARE)
    return Plan([len(shard.images) * sizes[shard.geometry] for shard in shards], blocks, Limits(memory))


def _work(prepared: Prepared, shards: Sequence[Shard]) -> Work:
    geometries = prepared.geometries

    def shard_arguments(block: int) -> tuple[list[str], list[bytes], Geometry]:
        images = shards[block].images
        uris, digests = prepared.uris.take(images), prepared.images.take(images)
        return uris.to_pylist(), digests.to_pylist(), geometries[shards[block].geometry]

    return Work(
        make=decode_shard,
        make_arguments=shard_arguments,
        load_arguments={n: ModelLoad(m, prepared.keys[m.name]) for n, m in enumerate(prepared.models)},
    )


def _actors(prepared: Prepared, cluster: Cluster, device: Device) -> Actors:
    settings = prepared.config.cluster
    build = functools.partial(_embedder, prepared.store.root, device.name, settings.threads)
    if device.name == "cuda":
        return Actors(build, count=settings.workers or cluster.gpus, cpus=1, gpus=1)
    slots = max(1, cluster.cpus // settings.threads)
    return Actors(build, count=settings.workers or slots, cpus=settings.threads)


def _embedder(store: Path, device: DeviceName, threads: int) -> Embedder:
    return Embedder(store, device, threads)


def _announce(prepared: Prepared, shards: Sequence[Shard], evaluations: int, cluster: Cluster, device: Device) -> str:
    decodes = sum(len(shard.images) for shard in shards)
    rows = sum(len(shard.images) * len(shard.models) for shard in shards)
    where = "this machine" if cluster.embedded else f"{cluster.nodes} node(s) of {cluster.address}"
    return (
        f"{len(prepared.images):,} images, {len(prepared.models):,} models: {decodes:,} to decode, {rows:,} to embed, "
        f"{evaluations:,} evaluations, on {where} ({cluster.cpus} CPUs, {cluster.gpus} GPUs, {device.provider})"
    )
