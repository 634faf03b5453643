"""Read the results of an earlier run, and refuse what is none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from evaljobs.errors import UsageError
from evaljobs.remote import is_remote, locate
from evaljobs.report.results import OK, Document
from evaljobs.report.runs.places import read_bytes
from evaljobs.report.runs.result_keys import mapping, missing_of
from evaljobs.report.runs.stored_tables import StoredTables
from evaljobs.schemas import RESULTS_VERSION

NAME = "results.json"

# What comparisons and reports read, by list of the document: an entry without one of these was not written by a run.
_KEYS = {
    "sets": ("name", "digest", "n_samples", "n_labels"),
    "models": ("name", "status"),
    "evaluations": ("job", "kind", "set", "model", "status", "result"),
}


class Run(NamedTuple):
    """A finished run: its results document, and its tables by (job, set, model) and name."""

    document: Document
    tables: StoredTables


def read_results(run: str | Path) -> Document:
    """Read ``results.json`` of a run.

    Parameters
    ----------
    run
        The run's folder, or the file itself; local, or ``s3://``.

    Raises
    ------
    UsageError
        If it is not there, is no results document, or is one of another version.
    RemoteError
        If it is on S3, which denies it or does not answer.
    """
    path = results_file(run)
    try:
        document = json.loads(read_bytes(path))
    except FileNotFoundError:
        raise UsageError(f"no {path}; expected the folder of a run, or its {NAME}") from None
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no JSON"
        raise UsageError(f"cannot read {path}: {reason}; expected the {NAME} of a run") from None
    if not isinstance(document, dict) or "schema_version" not in document:
        raise UsageError(f"{path} is no result of evaljobs: it has no schema_version; expected the {NAME} of a run")
    if document["schema_version"] != RESULTS_VERSION:
        raise UsageError(
            f"{path} has schema_version {document['schema_version']!r}; this version of evaljobs reads "
            f"{RESULTS_VERSION}. Run its configuration again: what is in the store is not computed twice"
        )
    if missing := next(_missing(document), None):
        raise UsageError(f"{path} is no whole result of evaljobs: {missing}. Run its configuration again")
    return document


def results_file(run: str | Path) -> str:
    """Return the file that holds the results of a run, given its folder or that file."""
    if is_remote(run):
        place = locate(str(run), Path())
        return place if place.endswith(".json") else f"{place}/{NAME}"
    path = Path(run)
    return str(path / NAME if path.is_dir() else path)


def read_run(run: str | Path) -> Run:
    """Read the results of a run; its tables are read when they are looked at, and not kept.

    Parameters
    ----------
    run
        The run's folder, or its ``results.json``; local, or ``s3://``.

    Raises
    ------
    UsageError, RemoteError
        As `read_results` does.
    """
    document = read_results(run)
    folder = results_file(run).rpartition("/")[0]
    return Run(document, StoredTables(document, folder))


def same_run(a: str | Path, b: str | Path) -> bool:
    """Return whether two paths name one run: the same folder or file, or a folder and the file in it."""
    files = [results_file(run) for run in (a, b)]
    if any(is_remote(file) for file in files):
        return files[0] == files[1]
    return Path(files[0]).resolve() == Path(files[1]).resolve()


def _missing(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a document lacks."""
    for name, keys in _KEYS.items():
        entries = document.get(name)
        if not isinstance(entries, list):
            yield f"it has no list of {name}"
            continue
        for number, entry in enumerate(entries):
            yield from (f"{name}[{number}] has no {key}" for key in keys if key not in mapping(entry))
    for number, entry in enumerate(document["evaluations"]):
        if entry["status"] == OK:
            yield from (f"evaluations[{number}].{what}" for what in missing_of(entry["kind"], entry["result"]))
