"""Where a run's files go: claimed by one run at a time, and never taken over from another configuration."""

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
from evaljobs.images.own_columns import concatenated
from evaljobs.remote import is_remote
from evaljobs.report.atomic import write_atomic
from evaljobs.report.runs.reading import NAME

_LOCK = ".evaljobs.lock"
FAILURES_HEADER = ("set", "sample_id", "uri", "kind", "message")


class Output:
    """A folder that files are written into, and the place that they are for: here the folder itself.

    Attributes
    ----------
    location
        The place, for people: a local folder or ``s3://bucket/prefix``.
    folder
        A local folder.
    """

    def __init__(self, location: str, folder: Path) -> None:
        self.location = location
        self.folder = folder

    def write(self, name: str, data: bytes) -> None:
        """Write a file that is of use while the run is still at work.

        Raises
        ------
        RunFailedError
            If it cannot be written.
        """
        write_atomic(self.folder / name, data)

    def publish(self) -> None:
        """Bring all files where they are for, ``results.json`` last.

        Raises
        ------
        RunFailedError, RemoteError
            If that cannot be done; the results that stood there then still stand.
        """

    def name_of(self, name: str) -> str:
        """Return where a file is, for people."""
        return f"{self.location}/{name}"


@contextlib.contextmanager
def claimed(location: str | Path, config_digest: str, *, overwrite: bool) -> Iterator[Output]:
    """Claim a folder, local or on S3, for this run, and yield it.

    Raises
    ------
    UsageError
        If it cannot be written, another run holds it, or it holds another configuration's results.
    """
    location = str(location)
    if not is_remote(location):
        with _locked(Path(location)):
            if not overwrite:
                refuse_other_results(location, _read(Path(location) / NAME), config_digest)
            yield Output(location, Path(location))
        return
    # It loads the S3 library.
    from evaljobs.engine.remote_output import claimed_on_s3

    with claimed_on_s3(location) as output:
        if not overwrite:
            refuse_other_results(location, output.results_before, config_digest)
        yield output


def _read(results: Path) -> bytes | None:
    try:
        return results.read_bytes()
    except FileNotFoundError:
        return None
    except OSError:  # a folder of that name, another user's
        return b""


@contextlib.contextmanager
def _locked(out: Path) -> Iterator[None]:
    """Make the folder and hold its lock, which ends with this process."""
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
        yield
    finally:
        lock.release()


def refuse_other_results(location: str, results: bytes | None, config_digest: str) -> None:
    """Refuse a folder whose results are those of another configuration.

    Parameters
    ----------
    results
        Its ``results.json``, if it has one.

    Raises
    ------
    UsageError
        If they are, or are no results at all.
    """
    if results is None:
        return
    try:
        found = json.loads(results).get("config_digest")
    except (ValueError, AttributeError):
        raise UsageError(
            f"{location}/{NAME} is there and is no result of evaljobs; name another folder with --out, "
            "or replace it with --overwrite"
        ) from None
    if found != config_digest:
        raise UsageError(
            f"{location} holds the results of another configuration, and nothing in it was changed. Name another "
            "folder with --out, or replace them with --overwrite (what was computed is kept in the store either way)"
        )


def samples_arrow(sets: Mapping[str, pa.Table]) -> bytes:
    """Return the samples of all sets as one Arrow IPC file (schemas.SAMPLES behind a column `set`)."""
    tables = [t.add_column(0, "set", pa.array([name] * t.num_rows, pa.string())) for name, t in sets.items()]
    table = concatenated(tables)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def failures_csv(rows: Iterable[tuple[str, str, str, str, str]]) -> bytes:
    """Return the excluded samples as CSV: set, sample id, uri, kind, message."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FAILURES_HEADER)
    writer.writerows(rows)
    return text.getvalue().encode(errors="backslashreplace")
