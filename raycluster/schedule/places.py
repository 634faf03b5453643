"""Where the state is, and who holds it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from raycluster.access.private import written_beside
from raycluster.access.remembered import state_folder
from raycluster.errors import ClusterError
from raycluster.schedule.records import Run, due_text

_NAME = "schedules.sqlite3"
# Whoever looks whether a scheduler runs holds its lock for a moment.
_LOOK_S = 1.0


def default_state() -> Path:
    """Return the user's state file; it need not be there."""
    return state_folder() / _NAME


def lock_of(state: Path) -> FileLock:
    """Return the lock that the daemon of a state file holds. The kernel lets go of it with the process."""
    return FileLock(f"{state}.lock", mode=0o600)


def hold(state: Path) -> FileLock:
    """Become the daemon of a state file.

    Raises
    ------
    ClusterError
        If there is one.
    """
    lock = lock_of(state)
    try:
        lock.acquire(timeout=_LOOK_S)
    except Timeout:
        raise ClusterError(
            f"a scheduler runs already on {state}; one is enough for all schedules of a state file"
        ) from None
    return lock


def is_held(state: Path) -> bool:
    """Return whether a daemon runs on a state file."""
    lock = lock_of(state)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    lock.release()
    return False


def report_path(state: Path, run: Run) -> Path:
    """Return where the report of a run lies."""
    return state.with_name(f"{state.stem}-reports") / run.schedule / f"{due_text(run.due)}.json"


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a file, whole or not at all; the same content again changes nothing.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    with written_beside(path, json.dumps(content, indent=1, allow_nan=False)) as new:
        new.replace(path)
