"""Copies of the last good results, beside the state file: where runs leave theirs, somebody may tidy up."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from raycluster.program import Program
from raycluster.schedule.records import Schedule

_DIGITS = 16


def keep(program: Program, state: Path, schedule: str, results: str) -> None:
    """Copy what later runs of a schedule are held against, whole or not at all, in place of the copy before.

    Raises
    ------
    UnreachableError
        If the results do not answer now.
    ClusterError
        If they cannot be read.
    OSError
        If the copy cannot be written.
    """
    copy = _copy(state, schedule, results)
    if not copy.is_dir():
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=copy.parent, prefix="."))
        try:
            program.keep(results, new)
            new.rename(copy)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    for other in copy.parent.iterdir():
        if other != copy:
            shutil.rmtree(other, ignore_errors=True)


def held_against(state: Path, schedule: Schedule) -> str | None:
    """Return where the results are that the next run of a schedule is held against: their copy, where there is one."""
    if schedule.baseline is None:
        return None
    copy = _copy(state, schedule.name, schedule.baseline)
    return str(copy) if copy.is_dir() else schedule.baseline


def _copy(state: Path, schedule: str, results: str) -> Path:
    digest = hashlib.sha256(results.encode(errors="surrogateescape")).hexdigest()
    return state.with_name(f"{state.stem}-baselines") / schedule / digest[:_DIGITS]
