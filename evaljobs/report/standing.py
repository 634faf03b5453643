"""Whether the files of an earlier run stand as this one would write them: then they are not drawn again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from evaljobs.report.atomic import write_atomic
from evaljobs.report.digests import code_digest
from evaljobs.report.results import Document
from evaljobs.report.writing import to_json, written_digest


def inputs_digest(results: Document, samples: bytes, keys: Iterable[str]) -> str:
    """Return the sha256 of all that a run's files are made of.

    Parameters
    ----------
    results
        The results document, of whose ``execution`` the versions alone count.
    samples
        The bytes of samples.arrow: labels, ids and places.
    keys
        Of the evaluations: their tables follow from them.
    """
    document = {key: value for key, value in results.items() if key != "execution"}
    made_by = [results["execution"]["versions"], code_digest()]
    parts = [document, made_by, hashlib.sha256(samples).hexdigest(), list(keys)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def renew(results: Document, out: Path, *, report: bool) -> bool:
    """Give the files that stand in a folder this run's ``execution``, if they are made of the same inputs.

    report.html keeps saying what the run took that made it.

    Parameters
    ----------
    results
        The results document; ``execution.inputs`` is its `inputs_digest`.
    out
        The folder.
    report
        Whether report.html and what belongs to it must stand there, too.

    Returns
    -------
    Whether they were, and are as they were written; if not, nothing is changed, and everything is to be written.

    Raises
    ------
    RunFailedError
        If results.json cannot be written.
    """
    path = out / "results.json"
    try:
        standing: dict[str, Any] = json.loads(path.read_bytes())
        before = standing["execution"]
        same = before["inputs"] == results["execution"]["inputs"]
        whole = same and before["files"] == written_digest(standing, out, report=report)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if not whole:
        return False
    write_atomic(path, to_json({**standing, "execution": {**results["execution"], "files": before["files"]}}))
    return True
