"""``report.html`` of runs that are finished: made again from their folders, or of several runs together."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from evaljobs.errors import UsageError
from evaljobs.remote import is_remote
from evaljobs.report.atomic import write_atomic
from evaljobs.report.figures.thumbnails import FILE, Thumbnails
from evaljobs.report.kinds import sections
from evaljobs.report.page import PAGE, render_page
from evaljobs.report.results import Document
from evaljobs.report.runs.joining import Joined, join, name_runs
from evaljobs.report.runs.places import read_bytes
from evaljobs.report.runs.reading import read_run, results_file
from evaljobs.schemas import THUMBNAILS


def remake(runs: Sequence[str], names: Sequence[str] = (), out: str | None = None) -> Path:
    """Write the page of one run, or of several runs together, and return where it is; nothing else is changed.

    Parameters
    ----------
    runs
        Folders of runs, or their ``results.json``; local, or ``s3://``.
    names
        A name for each of several runs; by default they are called by their own names and times.
    out
        A local file. By default ``report.html``: in the folder of the run where there is one, and it is local; else
        here.

    Raises
    ------
    UsageError
        If a run cannot be read, or `out` is no local file.
    RemoteError
        If a run is on S3, which denies it or does not answer.
    RunFailedError
        If the page cannot be written.
    """
    place = _place(runs, out)
    joined = _joined(runs, names)
    with tempfile.TemporaryDirectory(prefix="evaljobs-report-") as temporary:
        folder = Path(temporary)
        _bring_thumbnails([_folder(run) for run in runs], folder)
        page = render_page(joined.document, sections(joined.document, joined.tables, folder), _title(joined.document))
    return write_atomic(place, page)


def _place(runs: Sequence[str], out: str | None) -> Path:
    if out is None:
        here = len(runs) == 1 and not is_remote(runs[0])
        return Path(results_file(runs[0])).with_name(PAGE) if here else Path(PAGE)
    if is_remote(out):
        raise UsageError(f"found {out} as the file to write; expected a local one, which can be copied there")
    return Path(out) / PAGE if Path(out).is_dir() else Path(out)


def _joined(runs: Sequence[str], names: Sequence[str]) -> Joined:
    if names and len(names) != len(runs):
        raise UsageError(f"found {len(names)} name(s) for {len(runs)} run(s); give --name once for each, or not at all")
    read = [read_run(run) for run in runs]
    if names:
        return join([(name, run.document, run.tables) for name, run in zip(names, read, strict=True)])
    return join(name_runs((run.document, run.tables) for run in read))


def _title(document: Document) -> str:
    about = (document.get("joined") or {}).get("runs") or ()
    return f"{len(about)} runs: {', '.join(run['name'] for run in about)}" if about else ""


def _folder(run: str) -> str:
    return results_file(run).rpartition("/")[0] or "."


def _bring_thumbnails(folders: Sequence[str], into: Path) -> None:
    """Write the thumbnails of all runs, which are the same where the images are, into one file."""
    found: dict[bytes, bytes] = {}
    for folder in folders:
        try:
            found |= Thumbnails.of(read_bytes(f"{folder}/{FILE}")).by_digest
        except OSError:  # pictures are left out, numbers are not
            continue
    table = pa.table([pa.array(list(column)) for column in (found.keys(), found.values())], schema=THUMBNAILS)
    with pa.ipc.new_file(into / FILE, THUMBNAILS) as writer:
        writer.write_table(table)
