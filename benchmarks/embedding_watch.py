"""Run a command and watch it with all its descendants: seconds on the wall and of CPU, and the peak of memory.

Linux alone: it reads /proc. CPU seconds tell what work costs where the machine has other work beside.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

_EVERY_S = 0.5
# Looks between two at the memory: each takes the kernel milliseconds for each process, on a core that is measured.
_MEMORY_EVERY = 4
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_MOST_SHOWN = 3000


@dataclasses.dataclass(frozen=True)
class Watched:
    """A command that has ended.

    Attributes
    ----------
    began, ended
        Unix seconds.
    cpu
        CPU seconds of all its processes.
    peak
        Most bytes of memory of all its processes at a moment: proportional set sizes, so that a shared page (Ray's
        object store) counts once.
    answer
        The JSON object in the last line of its standard output.
    times, cpus
        When it was looked at, and the CPU seconds until then.
    """

    began: float
    ended: float
    cpu: float
    peak: int
    answer: dict[str, Any]
    times: tuple[float, ...]
    cpus: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """Seconds on the wall, the start of its interpreter included."""
        return self.ended - self.began

    def cpu_between(self, start: float, stop: float) -> float:
        """Return the CPU seconds between two moments in unix seconds, between two looks in proportion."""
        low, high = np.interp([start, stop], self.times, self.cpus)
        return float(high - low)


def watch(command: Sequence[str]) -> Watched:
    """Run a command to its end.

    Parameters
    ----------
    command
        Its standard output ends with a line of JSON.

    Raises
    ------
    SystemExit
        If it fails, with the end of what it said.
    """
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as answered:
        began = time.time()
        child = subprocess.Popen(command, stdout=answered, stderr=said)
        looks = _Looks(child.pid, began)
        _, status, usage = os.wait4(child.pid, 0)
        ended = time.time()
        child.returncode = os.waitstatus_to_exitcode(status)
        looks.stop()
        answered.seek(0)
        lines = answered.read().splitlines()
        if child.returncode:
            said.seek(0)
            shown = "\n".join([*lines, said.read()])[-_MOST_SHOWN:]
            raise SystemExit(f"{' '.join(command)} ended with {child.returncode}:\n{shown}")
    # What it waited for itself is exact; what others waited for (Ray's workers) is known as of the last look.
    cpu = max(looks.cpus[-1], usage.ru_utime + usage.ru_stime)
    return Watched(began, ended, cpu, looks.peak, json.loads(lines[-1]), (*looks.times, ended), (*looks.cpus, cpu))


class Process(NamedTuple):
    """A process: the id of its parent, when it started in ticks, and what it has used so far.

    Attributes
    ----------
    user, system
        CPU seconds of all its threads.
    faults
        Pages that it was given without reading a disk.
    """

    parent: int
    started: int
    user: float
    system: float
    faults: int

    @property
    def cpu(self) -> float:
        """CPU seconds."""
        return self.user + self.system


def family(root: int, known: Container[tuple[int, int]]) -> dict[int, Process]:
    """Return a process and its descendants, by id.

    Parameters
    ----------
    root
        Its id.
    known
        Ids and starts of those that belong to it even where their parent has ended.
    """
    pids = [path.name for path in Path("/proc").iterdir() if path.name.isdecimal()]
    everything = {pid: each for pid in map(int, pids) if (each := process_of(pid))}
    children: dict[int, list[int]] = {}
    for pid, process in everything.items():
        children.setdefault(process.parent, []).append(pid)
    waiting = [root, *(pid for pid, p in everything.items() if (pid, p.started) in known)]
    found: dict[int, Process] = {}
    while waiting:
        pid = waiting.pop()
        if pid in everything and pid not in found:
            found[pid] = everything[pid]
            waiting += children.get(pid, [])
    return found


class _Looks:
    """Looks at a process and its descendants now and then, in a thread."""

    def __init__(self, root: int, began: float) -> None:
        self.times, self.cpus, self.peak = [began], [0.0], 0
        self._root = root
        # By pid and start: pids come again. Those that have ended stay as they were last seen.
        self._cpu: dict[tuple[int, int], float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _look_on(self) -> None:
        for number in itertools.count():
            if self._ended.wait(_EVERY_S):
                return
            own = family(self._root, self._cpu)
            self._cpu.update({(pid, process.started): process.cpu for pid, process in own.items()})
            self.times.append(time.time())
            self.cpus.append(sum(self._cpu.values()))
            if number % _MEMORY_EVERY == 0:
                self.peak = max(self.peak, sum(map(_proportional_bytes, own)))


def process_of(pid: int) -> Process | None:
    """Return what /proc says of a process, if there is one with this id; see proc(5)."""
    try:
        # The name stands in brackets, and may hold any character.
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    user, system = (int(fields[i]) * _TICK_S for i in (11, 12))
    return Process(int(fields[1]), int(fields[19]), user, system, int(fields[7]))


def _proportional_bytes(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:")), 0)
