"""The main job, from a configuration to its results: the one module that knows both the evaluation and the cluster."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaljobs.config import Config
from evaljobs.engine import execution, output, todo
from evaljobs.engine.decoding import DecodeReport, decode_shard
from evaljobs.engine.device import Device, choose_device
from evaljobs.engine.embedding import Embedded, Embedder, EmbedFailed, ModelLoad
from evaljobs.engine.evaluation import Assignment, evaluate
from evaljobs.engine.exclusion import Exclusion
from evaljobs.engine.prepare import Prepared, prepare
from evaljobs.engine.results import OK, assemble
from evaljobs.engine.shards import Shard
from evaljobs.errors import ExitCode, ModelErrorKind, RunFailedError, UsageError
from evaljobs.images.geometry import Geometry
from evaljobs.models.options import Device as DeviceName
from evaljobs.progress import Progress
from evaljobs.report.atomic import write_atomic
from evaljobs.report.writing import write_results
from raycluster.connect import Cluster, ClusterError, connect
from raycluster.plan import Limits, Plan
from raycluster.pool import Actors, BlockMade, CellDone, Event, LoadFinished, LoadLost, Pool, TaskDone, Work

# Of Ray's object store; the rest is for answers and for blocks on their way out.
BLOCK_SHARE = 0.5


@dataclasses.dataclass(frozen=True)
class Options:
    """What a caller says beside the configuration.

    Attributes
    ----------
    out
        Output folder, in place of the configuration's.
    address
        Ray cluster, in place of the configuration's.
    overwrite
        Whether another configuration's results in the output folder may be replaced.
    """

    out: Path | None = None
    address: str | None = None
    overwrite: bool = False


@dataclasses.dataclass(frozen=True)
class Finished:
    """A run that has results."""

    results: dict[str, Any]
    out: Path
    exit_code: ExitCode


def run(
    config: Config,
    path: Path,
    progress: Progress,
    options: Options,
) -> Finished:
    """Carry a configuration out and write its results.

    Parameters
    ----------
    config, path
        The configuration and its file.
    progress
        Told how far the work is.
    options
        What the command line says beside the configuration.

    Raises
    ------
    UsageError
        If the configuration cannot be carried out; nothing was started.
    StoreError
        If the store cannot be read or written.
    RunFailedError
        If there are no valid results. What was computed is kept in the store.
    """
    clock = execution.Clock()
    folder = options.out or output_folder(config, path)
    with output.claimed(folder, config.digest(), overwrite=options.overwrite), contextlib.ExitStack() as stack:
        address = options.address or config.cluster.address
        cluster = _connected(stack, config, address) if address else None
        device = choose_device(config.cluster.device, None if cluster is None else cluster.gpus)
        for note in device.notes:
            progress.say(note)
        prepared = prepare(config, path, progress, provider=device.provider)
        exclusion = Exclusion(prepared)
        exclusion.check(folder)
        record = execution.Record(device.provider)
        evaluations = todo.evaluations(prepared, exclusion.digests)
        wanted = [evaluations[number] for number in todo.without_result(prepared, evaluations)]
        if wanted:
            cluster = cluster or _connected(stack, config, None)
            try:
                _Computation(prepared, exclusion, record, folder, progress).carry_out(wanted, cluster, device)
            except ClusterError as error:
                raise RunFailedError(f"{error}. What was computed is kept: run the same command again") from error
        else:
            progress.say("Everything is computed already: the results are written from the store.")
        return _write(prepared, exclusion, record, clock, folder)


def output_folder(config: Config, path: Path) -> Path:
    """Return the output folder that a configuration names, or ``<name>-results`` beside it."""
    base = path.resolve().parent
    return base / Path(config.out).expanduser() if config.out else base / f"{config.name or path.stem}-results"


def _connected(stack: contextlib.ExitStack, config: Config, address: str | None) -> Cluster:
    try:
        return stack.enter_context(connect(address, cpus=config.cluster.cpus))
    except ClusterError as error:
        if address:
            raise UsageError(str(error)) from error
        raise RunFailedError(str(error)) from error


class _Computation:
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
            without = todo.without_result(self._prepared, self._evaluations)
            self._progress.start("models", len(without))
            self._progress.start("pairs", sum(self._evaluations[number].pairs for number in without))
            self._waiting = without
        ready = [number for number in self._waiting if self._evaluations[number].model.name not in self._embedding]
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


def _remember_rates(prepared: Prepared, record: execution.Record) -> None:
    """Keep what a step took, so that a plan can say how long a run will take."""
    if record.images_decoded:
        for geometry in prepared.geometries:
            prepared.store.add_rate("decode", geometry.key(), record.decode_seconds / record.images_decoded)
    for name, model in record.models.items():
        prepared.store.add_rate("embed", prepared.keys[name], model["embed_seconds"] / model["rows"])
    if record.pairs:
        for job in prepared.jobs:
            prepared.store.add_rate("evaluate", {"kind": job.kind}, record.evaluation_seconds / record.pairs)


def _announce(prepared: Prepared, shards: Sequence[Shard], evaluations: int, cluster: Cluster, device: Device) -> str:
    decodes = sum(len(shard.images) for shard in shards)
    rows = sum(len(shard.images) * len(shard.models) for shard in shards)
    where = "this machine" if cluster.embedded else f"{cluster.nodes} node(s) of {cluster.address}"
    return (
        f"{len(prepared.images):,} images, {len(prepared.models):,} models: {decodes:,} to decode, {rows:,} to embed, "
        f"{evaluations:,} evaluations, on {where} ({cluster.cpus} CPUs, {cluster.gpus} GPUs, {device.provider})"
    )


def _write(
    prepared: Prepared,
    exclusion: Exclusion,
    record: execution.Record,
    clock: execution.Clock,
    folder: Path,
) -> Finished:
    results, tables = assemble(prepared, exclusion, todo.evaluations(prepared, exclusion.digests), record.lost)
    results["execution"] = record.as_json(clock)
    _remember_rates(prepared, record)
    samples = {name: image_set.samples for name, image_set in prepared.sets.items()}
    write_atomic(folder / "samples.arrow", output.samples_arrow(samples))
    write_results(results, tables, folder)
    statuses = {entry["status"] for entry in [*results["models"], *results["evaluations"]]}
    if OK not in {entry["status"] for entry in results["evaluations"]}:
        reasons = "\n".join(f"  {m['name']}: {m['error']['message']}" for m in results["models"] if m["error"])
        raise RunFailedError(f"no model has a result; {folder / 'results.json'} says the same:\n{reasons}")
    return Finished(results, folder, ExitCode.OK if statuses == {OK} else ExitCode.SOME_FAILED)
