"""The processors and the memory of this machine, by psutil."""

from __future__ import annotations

import contextlib
import time
from typing import NamedTuple

import psutil

from raycluster.sensors.own import Own
from raycluster.sensors.readings import Kind, Limits, Quantity, Readings

# Shorter, and a moment is taken for the whole.
_LEAST_S = 0.5
# Longer, and own processes may have come and gone between the looks.
_MOST_S = 30.0
# Where own processes end at every look, the last one counts.
_LOOKS = 4
# Names that Linux drivers give to the sensors of processors; those of boards and disks are others.
_CHIPS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "cpu-thermal", "soc_thermal", "x86_pkg_temp")


class _Times(NamedTuple):
    """Seconds so far, of all cores together; of each own process by itself."""

    at: float
    busy: float
    total: float
    own: dict[psutil.Process, float]


class MachineSensor:
    """Reads what others do to the machine: what the cluster's own processes use counts as free.

    A utilisation is the mean since the last look, and of half a second at the first. So it is where the last look is
    long ago, or an own process has ended since: what that one did is nowhere to be read any more.

    Parameters
    ----------
    own
        The cluster's processes here.
    limits
        What is not limited is not looked at.
    """

    kind: Kind = "cpu"
    device = "CPU"

    def __init__(self, own: Own, limits: Limits) -> None:
        self._own = own
        self._limits = limits
        self._last = _Times(0, 0, 0, {}) if limits.utilisation is None else self._times()

    def read(self, *, worked: bool) -> Readings:  # noqa: ARG002 - own use is known here, and taken off
        """Look once."""
        limits = self._limits
        return Readings(
            None if limits.free_memory_mb is None else self._memory_mb(),
            None if limits.utilisation is None else self._utilisation(),
            None if limits.temperature is None else _temperature(),
            {Quantity.TEMPERATURE: "this machine's processors tell none"},
        )

    def _utilisation(self) -> float:
        if time.monotonic() - self._last.at > _MOST_S:
            self._last = self._times()
        percent = 0.0
        for _ in range(_LOOKS):
            time.sleep(max(0.0, _LEAST_S - (time.monotonic() - self._last.at)))
            before, self._last = self._last, self._times()
            percent = _of_others(before, self._last)
            if before.own.keys() <= self._last.own.keys():
                break
        return percent

    def _times(self) -> _Times:
        own = {}
        for process in self._own.processes():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                own[process] = times.user + times.system
        cpu = psutil.cpu_times()
        # Time that a hypervisor took is nobody's on this machine. Linux counts that of guests as `user`, too.
        busy = cpu.user + cpu.nice + cpu.system + getattr(cpu, "irq", 0) + getattr(cpu, "softirq", 0)
        return _Times(time.monotonic(), busy, busy + cpu.idle + getattr(cpu, "iowait", 0), own)

    def _memory_mb(self) -> float:
        return (psutil.virtual_memory().available + self._own.memory_bytes()) / 2**20


def _of_others(before: _Times, now: _Times) -> float:
    """Return the percent of the time between two looks that others took; what began meanwhile did all in it."""
    own = sum(seconds - before.own.get(process, 0.0) for process, seconds in now.own.items())
    return min(100.0, max(0.0, 100 * (now.busy - before.busy - own) / max(now.total - before.total, 1e-9)))


def _temperature() -> float | None:
    """Return °C of the hottest processor; None where no sensor of one is known."""
    read = getattr(psutil, "sensors_temperatures", None)  # on Linux and FreeBSD alone
    try:
        chips = read() if read else {}
    except (OSError, ValueError, psutil.Error):
        return None
    found = [entry.current for chip in _CHIPS for entry in chips.get(chip, ()) if entry.current]
    return max(found, default=None)
