"""Control groups of Linux: what memory they leave to this process, and how often the kernel ended some for want of it.

Both versions, https://docs.kernel.org/admin-guide/cgroup-v2.html and
https://docs.kernel.org/admin-guide/cgroup-v1/memory.html.
"""

from __future__ import annotations

import re
from pathlib import Path

_SELF = Path("/proc/self/cgroup")
_MOUNT = Path("/sys/fs/cgroup")
_MACHINE = Path("/proc/vmstat")
# Of version 2, and of version 1. Where there is no limit, one says "max", the other a number beyond any memory.
_LIMITS = ("memory.max", "memory.limit_in_bytes")
_EVENTS = ("memory.events", "memory.oom_control")
_KILLS = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


def groups(own: Path = _SELF, mount: Path = _MOUNT) -> list[Path]:
    """Return the folders of the control groups that limit the memory of this process, its own first.

    A container may see its own group as the root, under a path that is not there: then that root is the only one.
    """
    lines = [line.split(":", 2) for line in _text(own).splitlines() if line.count(":") >= 2]
    first = [(mount / "memory", path) for _, controllers, path in lines if "memory" in controllers.split(",")]
    second = [(mount, path) for _, controllers, path in lines if not controllers]
    return [folder for root, path in first or second for folder in _upwards(root, path)]


def limits(folders: list[Path] | None = None) -> list[int]:
    """Return the limits of control groups, of this process by default, in bytes."""
    texts = [_text(folder / name).strip() for folder in folders or groups() for name in _LIMITS]
    return [int(text) for text in texts if text.isdecimal()]


def oom_kills(folders: list[Path] | None = None, machine: Path = _MACHINE) -> int:
    """Return how many processes the kernel has ended for want of memory, since the counter began.

    Those of the first of some control groups that counts, by default of this process's own, else those of the machine.
    """
    files = [folder / name for folder in folders or groups() for name in _EVENTS]
    found = (_KILLS.search(_text(file)) for file in (*files, machine))
    return next((int(one[1]) for one in found if one is not None), 0)


def _upwards(root: Path, path: str) -> list[Path]:
    own = root / path.strip("/")
    return [folder for folder in (own, *own.parents) if folder.is_relative_to(root) and folder.is_dir()]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
