"""The main job, from a configuration to its results."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from evaljobs.config import Config, to_yaml
from evaljobs.engine import execution, output, todo
from evaljobs.engine.device import runtime_of
from evaljobs.engine.exclusion import Exclusion
from evaljobs.engine.output import Output
from evaljobs.engine.prepare import Prepared, output_folder, prepare, refuse_inside_images
from evaljobs.engine.results import OK, assemble
from evaljobs.engine.thumbnails import write_thumbnails
from evaljobs.errors import ExitCode, RunFailedError, UsageError
from evaljobs.progress import Progress
from evaljobs.remote import locate
from evaljobs.report.atomic import write_atomic
from evaljobs.report.standing import inputs_digest, renew
from evaljobs.report.writing import write_results
from evaljobs.run.memory import memory_of
from evaljobs.run.planned import device_of, with_planned
from evaljobs.run.watch import Watch
from evaljobs.store.store import Measured, key_digest
from evaljobs.store.submitted import recorded
from evaljobs.store.uses import Uses
from raycluster.connection.connect import Cluster, connect
from raycluster.errors import ClusterError


@dataclasses.dataclass(frozen=True)
class Options:
    """What a caller says beside the configuration.

    Attributes
    ----------
    out
        Output folder or ``s3://bucket/prefix``, in place of the configuration's.
    address
        Ray cluster, in place of the configuration's.
    overwrite
        Whether another configuration's results in the output folder may be replaced.
    command
        The command line that asks for this run, for people who want to repeat it.
    """

    out: str | Path | None = None
    address: str | None = None
    overwrite: bool = False
    command: str | None = None


@dataclasses.dataclass(frozen=True)
class Finished:
    """A run that has results, and the folder or ``s3://bucket/prefix`` where they are."""

    results: dict[str, Any]
    out: str
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
    place = locate(str(options.out), Path.cwd()) if options.out else output_folder(config, path)
    refuse_inside_images(config, path, place)
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(output.claimed(place, config.digest(), overwrite=options.overwrite))
        address = options.address or config.cluster.address
        cluster = _connected(stack, config, address, progress) if address else None
        if cluster is not None:
            cluster = with_planned(config, cluster, progress.say)
        device = device_of(config, cluster)
        for note in device.notes:
            progress.say(note)
        memory = memory_of(cluster, config.cluster.gpu.actors)
        prepared = prepare(config, path, progress, runtime_of(config.cluster, device), memory)
        exclusion = Exclusion(prepared)
        exclusion.check(out)
        record = execution.Record(prepared.runtime.provider, options.command, to_yaml(config))
        uses = Uses(prepared.store.folder, f"the run {prepared.name!r}", sent_into(config, prepared.store.location))
        tables, results = _used(prepared, todo.candidates(prepared, exclusion.digests))
        # A batch may turn out not to fit: then it is another table that is used.
        smaller = {key_digest(key) for key in prepared.smaller_keys()}
        stack.enter_context(uses.marked(tables | smaller, results, progress.say))
        evaluations, wanted = _to_do(prepared, exclusion)
        if wanted:
            cluster = cluster or _connected(stack, config, None, progress)
        watch = stack.enter_context(contextlib.closing(Watch(prepared, record, progress)))
        watch.begin(evaluations, wanted)
        if wanted and cluster is not None:
            prepared = _computed(_Start(prepared, exclusion, record, out), wanted, cluster, watch)
        else:
            progress.say("Everything is computed already: the results are written from the store.")
        # Batches and exclusions may have changed, and later jobs know their models.
        evaluations = todo.evaluations(prepared, exclusion.digests, record.given_up)
        _say_idle(prepared, evaluations, progress)
        finished = _write(_Done(prepared, exclusion, evaluations), record, clock, out, watch)
        uses.record(*_used(prepared, evaluations))
        return finished


def _to_do(prepared: Prepared, exclusion: Exclusion) -> tuple[list[todo.Evaluation], list[todo.Evaluation]]:
    """Return the evaluations that are known to be wanted, and those of them that have no result in the store."""
    evaluations = todo.evaluations(prepared, exclusion.digests)
    return evaluations, [evaluations[number] for number in todo.without_result(prepared, evaluations)]


def _say_idle(prepared: Prepared, evaluations: Sequence[todo.Evaluation], progress: Progress) -> None:
    """Name the later jobs that have no model, since none has a result, or can be ranked, where they look for it."""
    busy = {evaluation.job.name for evaluation in evaluations}
    for job in prepared.jobs:
        if job.after is not None and job.name not in busy:
            progress.say(f"job {job.name}: nothing to do, since {job.after.job} ranks no model that has a result")


@dataclasses.dataclass(frozen=True)
class _Start:
    """A run that has something to compute, and where it is kept what happens."""

    prepared: Prepared
    exclusion: Exclusion
    record: execution.Record
    out: Output


def _computed(start: _Start, wanted: Sequence[todo.Evaluation], cluster: Cluster, watch: Watch) -> Prepared:
    """Compute what has no result, and what is found out to be wanted then; return what was prepared, as it is now.

    Raises
    ------
    RunFailedError
        If the cluster is lost.
    """
    from evaljobs.run.computation import Computation
    from evaljobs.run.setup import shared_store

    try:
        with shared_store(start.prepared.store, cluster) as nonce:
            computation = Computation(start.prepared, start.exclusion, start.record, start.out, watch)
            return computation.carry_out(wanted, cluster, nonce)
    except ClusterError as error:
        raise RunFailedError(f"{error}. What was computed is kept: run the same command again") from error


def _used(prepared: Prepared, evaluations: Iterable[todo.Evaluation]) -> tuple[set[str], set[str]]:
    """Return the tables and the results that a run uses, by the digests of their keys."""
    tables = {key_digest(key) for key in prepared.keys.values()}
    return tables, {key_digest(evaluation.key) for evaluation in evaluations}


def sent_into(config: Config, store: str) -> frozenset[str]:
    """Return what was sent into a store for a run: sets and models of its configuration that lie there."""
    images = (one.location for one in config.image_sets().values())
    return recorded(store, [*images, *(str(entry.path) for entry in config.models)])


def _connected(stack: contextlib.ExitStack, config: Config, address: str | None, progress: Progress) -> Cluster:
    try:
        return stack.enter_context(connect(address, cpus=config.cluster.cpus, say=progress.say))
    except ClusterError as error:
        if address:
            raise UsageError(str(error)) from error
        raise RunFailedError(str(error)) from error


def _remember_rates(prepared: Prepared, record: execution.Record) -> None:
    """Keep what a step took, so that a plan can say how long a run will take; take what earlier runs measured."""
    if record.images_decoded:
        for geometry in prepared.geometries:
            seconds = record.decode_seconds / record.images_decoded
            prepared.store.add_rate("decode", geometry.key(), seconds, record.images_decoded)
    prepared.store.add_rates(
        "embed", [Measured(prepared.keys[name], seconds, rows) for name, seconds, rows in record.rates()]
    )
    for name, known in zip(prepared.keys, prepared.store.rates("embed", prepared.keys.values()), strict=True):
        if known:
            record.remembered(name, known)
    for kind, (pairs, seconds) in record.measured.items():
        if pairs >= execution.MEASURED_PAIRS:
            prepared.store.add_rate("evaluate", {"kind": kind}, seconds / pairs, pairs)


@dataclasses.dataclass(frozen=True)
class _Done:
    """A run whose evaluations have results."""

    prepared: Prepared
    exclusion: Exclusion
    evaluations: Sequence[todo.Evaluation]


def _write(done: _Done, record: execution.Record, clock: execution.Clock, out: Output, watch: Watch) -> Finished:
    prepared = done.prepared
    results, tables = assemble(prepared, done.exclusion, done.evaluations, record)
    watch.finished(results)
    _remember_rates(prepared, record)
    samples = output.samples_arrow({name: image_set.samples for name, image_set in prepared.sets.items()})
    results["execution"] = record.as_json(clock)
    results["execution"]["inputs"] = inputs_digest(results, samples, (key_digest(e.key) for e in done.evaluations))
    report = prepared.config.report
    if record.evaluations or not renew(results, out.folder, report=report):
        write_atomic(out.folder / "samples.arrow", samples)
        write_thumbnails(prepared, results, tables, out.folder, watch.progress)
        write_results(results, tables, out.folder, report=report)
    out.publish()
    statuses = {entry["status"] for entry in [*results["models"], *results["evaluations"]]}
    if OK not in {entry["status"] for entry in results["evaluations"]}:
        reasons = "\n".join(f"  {m['name']}: {m['error']['message']}" for m in results["models"] if m["error"])
        raise RunFailedError(f"no model has a result; {out.name_of('results.json')} says the same:\n{reasons}")
    return Finished(results, out.location, ExitCode.OK if statuses == {OK} else ExitCode.SOME_FAILED)
