"""The output folder: claimed by one run at a time, and never taken over from another configuration."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import filelock
import pyarrow as pa

from evaljobs.errors import UsageError

_LOCK = ".evaljobs.lock"
FAILURES_HEADER = ("set", "sample_id", "uri", "kind", "message")


@contextlib.contextmanager
def claimed(out: Path, config_digest: str, *, overwrite: bool) -> Iterator[Path]:
    """Make the folder, hold its lock, and yield it.

    Raises
    ------
    UsageError
        If it cannot be written, another run holds it, or it holds another configuration's results.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(out / _LOCK, blocking=False)
        lock.acquire()
    except filelock.Timeout:
        raise UsageError(
            f"another run is writing to {out}; wait for it to end, or name another folder with --out"
        ) from None
    except OSError as error:
        raise UsageError(
            f"cannot write to the output folder {out}: {error.strerror or error}; name another with --out"
        ) from None
    try:
        if not overwrite:
            _refuse_other_results(out, config_digest)
        yield out
    finally:
        lock.release()


def _refuse_other_results(out: Path, config_digest: str) -> None:
    results = out / "results.json"
    if not results.exists():
        return
    try:
        found = json.loads(results.read_bytes()).get("config_digest")
    except (OSError, ValueError, AttributeError):
        raise UsageError(
            f"{results} is there and is no result of evaljobs; name another folder with --out, "
            "or replace it with --overwrite"
        ) from None
    if found != config_digest:
        raise UsageError(
            f"{out} holds the results of another configuration, and nothing in it was changed. Name another folder "
            "with --out, or replace them with --overwrite (what was computed is kept in the store either way)"
        )


def samples_arrow(sets: Mapping[str, pa.Table]) -> bytes:
    """Return the samples of all sets as one Arrow IPC file (schemas.SAMPLES behind a column `set`)."""
    tables = [t.add_column(0, "set", pa.array([name] * t.num_rows, pa.string())) for name, t in sets.items()]
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, tables[0].schema) as writer:
        writer.write_table(pa.concat_tables(tables))
    data: bytes = sink.getvalue().to_pybytes()
    return data


def failures_csv(rows: Iterable[tuple[str, str, str, str, str]]) -> bytes:
    """Return the excluded samples as CSV: set, sample id, uri, kind, message."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FAILURES_HEADER)
    writer.writerows(rows)
    return text.getvalue().encode(errors="backslashreplace")
