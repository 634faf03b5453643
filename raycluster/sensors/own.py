"""Which processes of this machine are the cluster's own: they share it by Ray's books, and are nobody's guests."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import psutil

_RAYLET = "raylet"
# What Ray names the file of its object store; it is unlinked at once, and lives in the raylet's descriptors.
_STORE = "plasma"
_BLOCK = 512


class Own:
    """The processes that this machine's Ray started, and the driver with its children where it runs here.

    Found anew at every call. Where this process is nobody's worker, it and its children alone.

    Parameters
    ----------
    driver
        Its process id, if it runs on this machine.
    """

    def __init__(self, driver: int | None = None) -> None:
        self._driver = driver
        self._raylet = next((p for p in _ancestors() if p.name() == _RAYLET), None)

    def processes(self) -> set[psutil.Process]:
        """Return those that run now."""
        found: set[psutil.Process] = set()
        for root in [self._raylet.pid if self._raylet else os.getpid(), self._driver]:
            if root is not None:
                with contextlib.suppress(psutil.Error):
                    process = psutil.Process(root)
                    found |= {process, *process.children(recursive=True)}
        return found

    def pids(self) -> set[int]:
        """Return their process ids."""
        return {process.pid for process in self.processes()}

    def memory_bytes(self) -> int:
        """Return what they hold of this machine's memory: each its own, and the object store once."""
        return sum(_private_bytes(process) for process in self.processes()) + self._store_bytes()

    def _store_bytes(self) -> int:
        """Return the bytes of the object store that have been touched: they stay taken, whoever maps them."""
        total = 0
        with contextlib.suppress(OSError):  # no /proc, or the raylet is another user's
            for descriptor in Path(f"/proc/{self._raylet.pid}/fd").iterdir() if self._raylet else ():
                with contextlib.suppress(OSError):
                    if descriptor.readlink().name.startswith(_STORE):
                        total += descriptor.stat().st_blocks * _BLOCK
        return total


def _ancestors() -> list[psutil.Process]:
    try:
        return psutil.Process().parents()
    except psutil.Error:
        return []


def _private_bytes(process: psutil.Process) -> int:
    """Return what a process holds alone, without what it shares with others: libraries, and the object store."""
    try:
        memory = process.memory_info()
    except psutil.Error:  # it has ended
        return 0
    return max(0, int(memory.rss - getattr(memory, "shared", 0)))
