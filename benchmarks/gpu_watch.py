"""What runs beside the benchmark of a GPU: nvidia-smi, and the processes of a run."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path


class Smi:
    """Samples nvidia-smi while a run is on: MiB in use beyond those before, busy share, MiB of each process."""

    def __enter__(self) -> Smi:
        self._idle = max((row[0] for row in query("gpu", "memory.used")), default=0)
        self.memory, self.busy = 0, [0]
        self.processes: dict[int, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(0.1):
            for used, busy in query("gpu", "memory.used,utilization.gpu"):
                self.memory = max(self.memory, used - self._idle)
                self.busy.append(busy)
            for pid, used in query("compute-apps", "pid,used_memory"):
                self.processes[pid] = max(self.processes.get(pid, 0), used)


def query(what: str, fields: str) -> list[list[int]]:
    """Ask nvidia-smi; nothing where there is none."""
    with contextlib.suppress(FileNotFoundError):
        command = ["nvidia-smi", f"--query-{what}={fields}", "--format=csv,noheader,nounits"]
        lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
        return [[int(v) if v.strip().isdigit() else 0 for v in line.split(",")] for line in lines if line[:1].isdigit()]
    return []


def workers(driver: int) -> list[int]:
    """Return the embedding processes of a run."""
    raylets = {pid for pid, parent, _ in processes() if parent == driver}
    return [pid for pid, parent, title in processes() if parent in raylets and "ray::_Worker" in title]


def processes() -> Iterator[tuple[int, int, str]]:
    """Yield pid, parent and command line of every process."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
            yield int(entry.name), parent, command.decode("utf-8", "replace")


def seconds_until(condition: Callable[[], bool], limit: float = 60) -> float:
    """Wait; return the seconds, or infinity at the limit."""
    begin = time.perf_counter()
    while not condition():
        if time.perf_counter() - begin > limit:
            return float("inf")
        time.sleep(0.01)
    return time.perf_counter() - begin


def descendants(driver: int) -> set[int]:
    """Return the processes below one, those of Ray among them."""
    parents = {pid: parent for pid, parent, _ in processes()}
    found = {driver}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {driver}


def living(wanted: set[int], *titles: str) -> set[int]:
    """Return those of some processes that live, with one of these words in their titles; a dead one has no title."""
    return {
        pid for pid, _, title in processes() if pid in wanted and title and any(t in title for t in titles or ("",))
    }


def rays() -> set[int]:
    """Return all processes of Ray on this machine."""
    return living({pid for pid, _, _ in processes()}, "ray::", "/ray/core/src/ray/")


BEFORE = rays()


def on_gpu() -> list[list[int]]:
    """Return process and MiB of whatever is on the GPU."""
    return query("compute-apps", "pid,used_memory")


def nothing_left() -> bool:
    """Say whether no process of a run is left: none of Ray, and none on the GPU."""
    return not rays() - BEFORE and not on_gpu()
