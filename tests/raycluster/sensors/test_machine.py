"""Processors and memory of this machine, by psutil: what others do, and not what the cluster's own processes do."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from types import SimpleNamespace

import psutil
import pytest

from raycluster.sensors import machine
from raycluster.sensors.machine import MachineSensor
from raycluster.sensors.own import Own
from raycluster.sensors.readings import Limits, Quantity, blind

ALL = Limits(free_memory_mb=1, utilisation=50, temperature=80)
SPIN = "import time\nwhile True: pass"


@pytest.fixture
def spinning() -> Iterator[subprocess.Popen[bytes]]:
    """A process that keeps one core busy."""
    process = subprocess.Popen([sys.executable, "-c", SPIN])
    yield process
    process.kill()
    process.wait()


class Strangers(Own):
    """As a cluster sees this machine that has started nothing but the process of this test."""

    def processes(self) -> set[psutil.Process]:
        return {psutil.Process()}


def test_busy_stranger_is_seen_and_an_own_busy_process_is_not(spinning: subprocess.Popen[bytes]) -> None:
    """The same process, once as anybody's and once as a child of ours: it differs by what it takes of one core.

    Compared by the processor time that it had meanwhile, since the machine may be full of other work.
    """
    others, own = MachineSensor(Strangers(), ALL), MachineSensor(Own(), ALL)
    others.read(worked=True), own.read(worked=True)
    times, start = psutil.Process(spinning.pid).cpu_times, time.monotonic()
    before = sum(times()[:2])
    time.sleep(2.5)
    seen, unseen = others.read(worked=True).utilisation, own.read(worked=True).utilisation
    used = 100 * (sum(times()[:2]) - before) / (time.monotonic() - start) / (psutil.cpu_count() or 1)
    assert seen is not None
    assert unseen is not None
    assert used > 2
    assert 0 <= unseen <= seen <= 100
    assert seen - unseen == pytest.approx(used, abs=max(5, used / 2))


BURN = "import time\nwhile time.process_time() < 2: pass"


def noted_looks(monkeypatch: pytest.MonkeyPatch) -> list[machine._Times]:
    """Return what all looks find from now on: the machine may be full of other work, so it says what to expect."""
    times: list[machine._Times] = []
    read = MachineSensor._times

    def look(sensor: MachineSensor) -> machine._Times:
        times.append(read(sensor))
        return times[-1]

    monkeypatch.setattr(MachineSensor, "_times", look)
    return times


def test_own_process_that_has_ended_is_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it took since the last look can be read no more: then only what is there while nobody ends counts."""
    times = noted_looks(monkeypatch)
    process = subprocess.Popen([sys.executable, "-c", BURN])
    time.sleep(0.3)
    sensor = MachineSensor(Own(), ALL)
    assert psutil.Process(process.pid) in times[0].own
    assert process.wait(timeout=60) == 0
    found = sensor.read(worked=True).utilisation
    assert len(times) >= 3
    assert found == pytest.approx(machine._of_others(times[-2], times[-1]))
    assert times[-2].own.keys() <= times[-1].own.keys()
    # It counts for others in the first of the looks alone.
    assert machine._of_others(times[0], times[1]) > 0


def test_look_of_long_ago_counts_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Own processes came and went since: the mean is that of half a second."""
    sensor = MachineSensor(Own(), ALL)
    sensor._last = sensor._last._replace(at=sensor._last.at - machine._MOST_S - 1)
    times = noted_looks(monkeypatch)
    found = sensor.read(worked=True).utilisation
    assert len(times) >= 2
    assert found == pytest.approx(machine._of_others(times[-2], times[-1]))


def hold(megabytes: int, pipe: Connection) -> None:
    held = b"x" * (megabytes * 2**20)
    pipe.send(len(held))
    pipe.recv()


def test_memory_that_own_processes_hold_counts_as_free() -> None:
    """A child that takes 300 MiB takes nothing of what others leave; it holds what it says."""
    own = Own()
    here, there = multiprocessing.Pipe()
    before = own.memory_bytes()
    process = multiprocessing.get_context("spawn").Process(target=hold, args=(300, there))
    process.start()
    try:
        assert here.recv() == 300 * 2**20
        held = (own.memory_bytes() - before) / 2**20
        assert 300 <= held < 420
        free = MachineSensor(own, ALL).read(worked=True).free_memory_mb
        assert free is not None
        assert free >= psutil.virtual_memory().available / 2**20 + 250
    finally:
        here.send(None)
        process.join()
    assert abs(own.memory_bytes() - before) / 2**20 < 60


@pytest.mark.parametrize(
    ("chips", "expected"),
    [
        ({}, None),
        ({"nvme": [50.0]}, None),
        ({"coretemp": [61.0, 66.0], "acpitz": [99.0]}, 66.0),
        ({"k10temp": [0.0]}, None),
    ],
)
def test_temperature_is_of_processors(
    chips: dict[str, list[float]], expected: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hottest core; disks, boards and sensors that read nothing are not asked."""
    listed = {name: [SimpleNamespace(current=t) for t in ts] for name, ts in chips.items()}
    monkeypatch.setattr(machine.psutil, "sensors_temperatures", lambda: listed, raising=False)
    readings = MachineSensor(Own(), ALL).read(worked=False)
    assert readings.temperature == expected
    names = [found.limit for found in blind(MachineSensor(Own(), ALL), readings, ALL)]
    assert names == ([] if expected else ["cpu_temperature"])


def test_system_that_has_no_temperatures_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    """On some systems psutil lacks the function, on others it fails."""
    monkeypatch.delattr(machine.psutil, "sensors_temperatures", raising=False)
    readings = MachineSensor(Own(), ALL).read(worked=False)
    assert readings.temperature is None
    assert Quantity.TEMPERATURE in readings.lacks
    assert readings.free_memory_mb is not None
    assert readings.utilisation is not None


def test_what_is_not_limited_is_not_looked_at() -> None:
    """A mean over half a second would be waited for in every process, for nothing."""
    sensor, start = MachineSensor(Own(), Limits(free_memory_mb=1)), time.monotonic()
    readings = sensor.read(worked=False)
    assert time.monotonic() - start < machine._LEAST_S
    assert (readings.utilisation, readings.temperature) == (None, None)
    assert blind(sensor, readings, Limits(free_memory_mb=1)) == []
