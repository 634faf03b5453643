"""The head that `raycluster up --local` has left running: where it is, so that other commands find it.

A file in the user's state folder. It holds no secret, and is readable by this user alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from pathlib import Path

import psutil

from raycluster.access.private import written_beside
from raycluster.errors import ClusterError

VERSION = 1
# How the name of a head's folder begins: whatever is ended or removed has to do with such a folder.
FOLDER_PREFIX = "raycluster-"
_NAME = "local-head.json"


@dataclasses.dataclass(frozen=True)
class LocalHead:
    """A head on this machine.

    Attributes
    ----------
    pid
        Of the process that holds it.
    address, dashboard
        ``127.0.0.1:6379`` for drivers on this machine, ``http://127.0.0.1:8265`` for jobs.
    folder
        Where it keeps its sockets and logs; gone with it. Its processes were started there: another process that got
        the number later is not taken for it, whatever happens to the clock.
    """

    pid: int
    address: str
    dashboard: str
    folder: str

    def alive(self) -> bool:
        """Whether it still runs."""
        try:
            return self.holds(psutil.Process(self.pid))
        except psutil.Error:
            return False

    def holds(self, process: psutil.Process) -> bool:
        """Whether a process of this user was started in the head's folder."""
        try:
            return Path(process.cwd()).is_relative_to(Path(self.folder).resolve())
        except (psutil.Error, OSError):  # somebody else's, or gone
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
        with written_beside(folder / _NAME, text) as new:
            new.replace(folder / _NAME)
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
        return _checked(LocalHead(**found))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ClusterError(f"{path} cannot be read ({error}); delete it if no head runs on this machine") from error


def _checked(head: LocalHead) -> LocalHead:
    if not Path(head.folder).name.startswith(FOLDER_PREFIX):
        raise ValueError(f"{head.folder} is no folder of a head")
    return head


def forget() -> None:
    """Remove what is remembered."""
    with contextlib.suppress(FileNotFoundError):
        (state_folder() / _NAME).unlink()
