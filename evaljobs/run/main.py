"""The main job, from a configuration to its results."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaljobs.config import Config
from evaljobs.engine import execution, output, todo
from evaljobs.engine.device import choose_device, runtime_of
from evaljobs.engine.exclusion import Exclusion
from evaljobs.engine.output import Output
from evaljobs.engine.prepare import Prepared, prepare, refuse_inside_images
from evaljobs.engine.results import OK, assemble
from evaljobs.errors import ExitCode, RunFailedError, UsageError
from evaljobs.progress import Progress
from evaljobs.remote import locate
from evaljobs.report.atomic import write_atomic
from evaljobs.report.writing import write_results
from evaljobs.store.store import Measured, key_digest
from evaljobs.store.uses import Uses
from raycluster.connect import Cluster, connect
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
    """

    out: str | Path | None = None
    address: str | None = None
    overwrite: bool = False


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
        cluster = _connected(stack, config, address) if address else None
        device = choose_device(config.cluster.device, None if cluster is None else cluster.gpus)
        for note in device.notes:
            progress.say(note)
        prepared = prepare(config, path, progress, runtime_of(config.cluster, device))
        exclusion = Exclusion(prepared)
        exclusion.check(out)
        record = execution.Record(prepared.runtime.provider)
        evaluations = todo.evaluations(prepared, exclusion.digests)
        uses = Uses(prepared.store.folder, f"the run {prepared.name!r}")
        tables, results = _used(prepared, evaluations)
        # A batch may turn out not to fit: then it is another table that is used.
        smaller = {key_digest(key) for key in prepared.smaller_keys()}
        stack.enter_context(uses.marked(tables | smaller, results, progress.say))
        wanted = [evaluations[number] for number in todo.without_result(prepared, evaluations)]
        if wanted:
            cluster = cluster or _connected(stack, config, None)
            from evaljobs.run.computation import Computation
            from evaljobs.run.setup import shared_store

            try:
                with shared_store(prepared.store, cluster) as nonce:
                    computation = Computation(prepared, exclusion, record, out, progress)
                    prepared = computation.carry_out(wanted, cluster, nonce)
            except ClusterError as error:
                raise RunFailedError(f"{error}. What was computed is kept: run the same command again") from error
            evaluations = todo.evaluations(prepared, exclusion.digests)  # batches and exclusions may have changed
        else:
            progress.say("Everything is computed already: the results are written from the store.")
        finished = _write(_Done(prepared, exclusion, evaluations), record, clock, out)
        uses.record(*_used(prepared, evaluations))
        return finished


def output_folder(config: Config, path: Path) -> str:
    """Return the output folder that a configuration names, or ``<name>-results`` beside it."""
    base = path.resolve().parent
    return locate(config.out, base) if config.out else str(base / f"{config.name or path.stem}-results")


def _used(prepared: Prepared, evaluations: Sequence[todo.Evaluation]) -> tuple[set[str], set[str]]:
    """Return the tables and the results that a run uses, by the digests of their keys."""
    tables = {key_digest(key) for key in prepared.keys.values()}
    return tables, {key_digest(evaluation.key) for evaluation in evaluations}


def _connected(stack: contextlib.ExitStack, config: Config, address: str | None) -> Cluster:
    try:
        return stack.enter_context(connect(address, cpus=config.cluster.cpus))
    except ClusterError as error:
        if address:
            raise UsageError(str(error)) from error
        raise RunFailedError(str(error)) from error


# Comparing fewer takes less time than getting ready for it: compiling, reading tables.
_MEASURED_PAIRS = 10_000_000


def _remember_rates(prepared: Prepared, record: execution.Record) -> None:
    """Keep what a step took, so that a plan can say how long a run will take."""
    if record.images_decoded:
        for geometry in prepared.geometries:
            seconds = record.decode_seconds / record.images_decoded
            prepared.store.add_rate("decode", geometry.key(), seconds, record.images_decoded)
    embedded = ((prepared.keys[name], model["embed_seconds"], model["rows"]) for name, model in record.models.items())
    prepared.store.add_rates("embed", (Measured(key, seconds / rows, rows) for key, seconds, rows in embedded))
    if record.pairs >= _MEASURED_PAIRS:
        for kind in {job.kind for job in prepared.jobs}:
            seconds = record.evaluation_seconds / record.pairs
            prepared.store.add_rate("evaluate", {"kind": kind}, seconds, record.pairs)


@dataclasses.dataclass(frozen=True)
class _Done:
    """A run whose evaluations have results."""

    prepared: Prepared
    exclusion: Exclusion
    evaluations: Sequence[todo.Evaluation]


def _write(done: _Done, record: execution.Record, clock: execution.Clock, out: Output) -> Finished:
    prepared = done.prepared
    results, tables = assemble(prepared, done.exclusion, done.evaluations, record.lost)
    results["execution"] = record.as_json(clock)
    _remember_rates(prepared, record)
    samples = {name: image_set.samples for name, image_set in prepared.sets.items()}
    write_atomic(out.folder / "samples.arrow", output.samples_arrow(samples))
    write_results(results, tables, out.folder)
    out.publish()
    statuses = {entry["status"] for entry in [*results["models"], *results["evaluations"]]}
    if OK not in {entry["status"] for entry in results["evaluations"]}:
        reasons = "\n".join(f"  {m['name']}: {m['error']['message']}" for m in results["models"] if m["error"])
        raise RunFailedError(f"no model has a result; {out.name_of('results.json')} says the same:\n{reasons}")
    return Finished(results, out.location, ExitCode.OK if statuses == {OK} else ExitCode.SOME_FAILED)
