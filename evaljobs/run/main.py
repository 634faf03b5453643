"""The main job, from a configuration to its results."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

from evaljobs.config import Config
from evaljobs.engine import execution, output, todo
from evaljobs.engine.device import choose_device, runtime_of
from evaljobs.engine.exclusion import Exclusion
from evaljobs.engine.prepare import Prepared, prepare, refuse_inside_images
from evaljobs.engine.results import OK, assemble
from evaljobs.errors import ExitCode, RunFailedError, UsageError
from evaljobs.progress import Progress
from evaljobs.report.atomic import write_atomic
from evaljobs.report.writing import write_results
from raycluster.connect import Cluster, connect
from raycluster.errors import ClusterError


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
    refuse_inside_images(config, path, folder)
    with output.claimed(folder, config.digest(), overwrite=options.overwrite), contextlib.ExitStack() as stack:
        address = options.address or config.cluster.address
        cluster = _connected(stack, config, address) if address else None
        device = choose_device(config.cluster.device, None if cluster is None else cluster.gpus)
        for note in device.notes:
            progress.say(note)
        prepared = prepare(config, path, progress, runtime_of(config.cluster, device))
        exclusion = Exclusion(prepared)
        exclusion.check(folder)
        record = execution.Record(prepared.runtime.provider)
        evaluations = todo.evaluations(prepared, exclusion.digests)
        wanted = [evaluations[number] for number in todo.without_result(prepared, evaluations)]
        if wanted:
            cluster = cluster or _connected(stack, config, None)
            from evaljobs.run.computation import Computation
            from evaljobs.run.setup import check_shared

            try:
                check_shared(prepared.store, cluster)
                Computation(prepared, exclusion, record, folder, progress).carry_out(wanted, cluster)
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


# Comparing fewer takes less time than getting ready for it: compiling, reading tables.
_MEASURED_PAIRS = 10_000_000


def _remember_rates(prepared: Prepared, record: execution.Record) -> None:
    """Keep what a step took, so that a plan can say how long a run will take."""
    if record.images_decoded:
        for geometry in prepared.geometries:
            seconds = record.decode_seconds / record.images_decoded
            prepared.store.add_rate("decode", geometry.key(), seconds, record.images_decoded)
    for name, model in record.models.items():
        prepared.store.add_rate("embed", prepared.keys[name], model["embed_seconds"] / model["rows"], model["rows"])
    if record.pairs >= _MEASURED_PAIRS:
        for kind in {job.kind for job in prepared.jobs}:
            seconds = record.evaluation_seconds / record.pairs
            prepared.store.add_rate("evaluate", {"kind": kind}, seconds, record.pairs)


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
