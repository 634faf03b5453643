"""The head that `raycluster up --local` has left running: where it is, so that other commands find it.

A file in the user's state folder. It holds no secret, and is readable by this user alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import tempfile
from pathlib import Path

import psutil

from raycluster.errors import ClusterError

VERSION = 1
_NAME = "local-head.json"
# Two readings of one process's start may differ by a tick of the clock.
_SAME_S = 0.1


@dataclasses.dataclass(frozen=True)
class LocalHead:
    """A head on this machine.

    Attributes
    ----------
    pid, started
        Of the process that holds it: the number, and when it started (Unix seconds), so that another process that got
        the number later is not taken for it.
    address, dashboard
        ``127.0.0.1:6379`` for drivers on this machine, ``http://127.0.0.1:8265`` for jobs.
    folder
        Where it keeps its sockets and logs; gone with it.
    """

    pid: int
    started: float
    address: str
    dashboard: str
    folder: str

    def alive(self) -> bool:
        """Whether it still runs."""
        try:
            process = psutil.Process(self.pid)
            return abs(process.create_time() - self.started) < _SAME_S and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


def state_folder() -> Path:
    """Return the user's folder for state of this program; it need not be there yet."""
    named = os.environ.get("XDG_STATE_HOME", "")
    # The specification ignores relative paths.
    base = Path(named) if named.startswith("/") else Path.home() / ".local" / "state"
    return base / "raycluster"


def remember(head: LocalHead) -> None:
    """Write where the head is, whole or not at all.

    Raises
    ------
    ClusterError
        If the state folder cannot be written.
    """
    folder = state_folder()
    text = json.dumps({"version": VERSION, **dataclasses.asdict(head)}, indent=1)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=f".{_NAME}-")  # readable by this user alone
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(folder / _NAME)
    except OSError as error:
        raise ClusterError(f"the state folder {folder} cannot be written: {error}") from error


def local_head() -> LocalHead | None:
    """Return the head that is remembered and still runs.

    Raises
    ------
    ClusterError
        If what is remembered cannot be read.
    """
    head = remembered_head()
    return head if head is not None and head.alive() else None


def remembered_head() -> LocalHead | None:
    """Return the head that is remembered, whether it still runs or not."""
    path = state_folder() / _NAME
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        version = found.pop("version")
        if version != VERSION:
            raise ClusterError(
                f"{path} has version {version}, this program knows {VERSION}: another release wrote it; delete it if "
                "no head runs on this machine"
            )
        return LocalHead(**found)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ClusterError(f"{path} cannot be read ({error}); delete it if no head runs on this machine") from error


def forget() -> None:
    """Remove what is remembered."""
    with contextlib.suppress(FileNotFoundError):
        (state_folder() / _NAME).unlink()
