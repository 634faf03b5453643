"""GPUs, as NVIDIA's library tells of them: played by a module that answers as it does."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
import time
from typing import Any

import pytest

from raycluster.sensors.nvml import NvmlSensor, smallest_memory
from raycluster.sensors.own import Own
from raycluster.sensors.readings import Limits, Quantity, Readings, blind
from tests.raycluster.sensors.fake_nvml import MIB, Card, FakeNvml

STRANGER = 999_999_999


@pytest.fixture
def sensor(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make a sensor over a fake library."""

    def make(nvml: FakeNvml, visible: str | None = "0") -> NvmlSensor:
        monkeypatch.setitem(sys.modules, "pynvml", nvml)  # type: ignore[arg-type]  # it answers as the module does
        return NvmlSensor(visible, Own())

    return make


ME = os.getpid()
ONE, OTHER = Card("GPU-8932f937-d72c", free=1), Card("GPU-5f1c22b0-11aa", free=2)


@pytest.mark.parametrize(
    ("visible", "device", "free"),
    [
        (None, "GPU 0", 1),
        ("1", "GPU 1", 2),
        ("1,0", "GPU 1", 2),
        (" 0", "GPU 0", 1),
        ("GPU-5f1c22b0-11aa", "GPU 1", 2),
        ("GPU-89", "GPU 0", 1),
    ],
)
def test_device_is_the_one_that_cuda_shows(sensor: Any, visible: str | None, device: str, free: float) -> None:
    """By index, by UUID, by the beginning of one; the first of several, as onnxruntime takes it."""
    found = sensor(FakeNvml(ONE, OTHER), visible)
    assert found.device == device
    assert found.read(worked=False).free_memory_mb == free


@pytest.mark.parametrize(
    ("visible", "why"),
    [
        ("", "shows no GPU"),
        ("-1", "shows no GPU"),
        ("NoDevFiles", "shows no GPU"),
        ("2", "there is no GPU 2 among the 2"),
        ("GPU-", "2 GPUs of the machine have a UUID that begins with GPU-"),
        ("GPU-77", "0 GPUs"),
        ("MIG-77", r"the driver knows no GPU 'MIG-77' \(Not Found\)"),
    ],
)
def test_device_that_cannot_be_told_is_not_guessed(sensor: Any, visible: str, why: str) -> None:
    """Nothing is read, nothing fails, and it is said why."""
    found = sensor(FakeNvml(ONE, OTHER), visible)
    readings = found.read(worked=True)
    assert [readings.of(quantity) for quantity in Quantity] == [None, None, None]
    reasons = blind(found, readings, Limits(temperature=80))
    assert [reason.limit for reason in reasons] == ["gpu_temperature"]
    assert re.search(why, reasons[0].why)


def test_index_among_unlike_gpus_is_certain_in_bus_order_alone(sensor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA counts the fastest first, the driver by the bus: the wrong card would be watched."""
    unlike = dataclasses.replace(OTHER, name="NVIDIA T4")
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    readings = sensor(FakeNvml(ONE, unlike), "1").read(worked=False)
    assert readings.free_memory_mb is None
    assert "set CUDA_DEVICE_ORDER=PCI_BUS_ID where Ray is started" in readings.lacks[Quantity.FREE_MEMORY_MB]
    assert sensor(FakeNvml(ONE, unlike), OTHER.uuid).read(worked=False).free_memory_mb == 2
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    assert sensor(FakeNvml(ONE, unlike), "1").read(worked=False).free_memory_mb == 2


@pytest.mark.parametrize(
    ("visible", "expected"),
    [(None, 40), ("", 40), ("0", 80), ("1", 40), ("0,1", 40), ("MIG-1", 10), ("-1", None), ("7", None)],
)
def test_smallest_memory_is_that_of_the_gpus_one_may_use(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, expected: int | None
) -> None:
    """Whatever of it is free. Ray hides all GPUs from tasks that ask for none: these tell of all that are there."""
    large, small, lost = Card("GPU-1", total=80, free=7), Card("GPU-2", total=40), Card("GPU-3", total=20, lost=True)
    instance = Card("MIG-1", total=10, parent=large)
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(large, small, lost, instances=(instance,)))
    assert smallest_memory(visible) == (None if expected is None else expected * MIB)


def test_own_use_counts_as_free(sensor: Any) -> None:
    """Memory and time that this process takes, beside a stranger's: or it would wait for itself."""
    holds, uses = {ME: 3000, STRANGER: 500}, {ME: 70, STRANGER: 27}
    card = Card("GPU-1", free=10_000, busy=97, temperature=81, holds=dict(holds), uses=uses)
    nvml = FakeNvml(card)
    assert sensor(nvml).read(worked=True) == Readings(13_000, 27, 81, {}, mixed=False)
    assert time.time() - nvml.since / 1e6 == pytest.approx(1, abs=0.5)
    card.uses = {}
    assert sensor(nvml).read(worked=True).utilisation == 0


@pytest.mark.parametrize("holds", [{77: 3000, STRANGER: 500}, {ME: None}, {}, None])
def test_driver_that_does_not_tell_processes_apart(sensor: Any, holds: dict[int, int | None] | None) -> None:
    """In a container, say: memory is told before anything is held, use is everybody's, and looked at when idle."""
    found = sensor(FakeNvml(Card("GPU-1", free=10_000, busy=97, holds=holds, uses={77: 97})))
    first = found.read(worked=False)
    assert (first.free_memory_mb, first.utilisation, first.mixed) == (10_000, 97, False)
    later = found.read(worked=True)
    assert (later.free_memory_mb, later.utilisation, later.mixed) == (None, 97, True)
    assert "before a process loads its first model" in later.lacks[Quantity.FREE_MEMORY_MB]


def test_use_of_each_process_may_not_be_told(sensor: Any) -> None:
    """Then memory is known by process, and time is everybody's."""
    found = sensor(FakeNvml(Card("GPU-1", free=10_000, busy=97, holds={ME: 3000}, uses=None)))
    readings = found.read(worked=True)
    assert (readings.free_memory_mb, readings.utilisation, readings.mixed) == (13_000, 97, True)


def test_mig_instance_has_memory_of_its_own_and_the_heat_of_its_card(sensor: Any) -> None:
    """Its use is told by no driver."""
    card = Card("GPU-1", temperature=71, free=1)
    instance = Card("MIG-8a1b", free=9000, busy=None, temperature=None, parent=card)
    found = sensor(FakeNvml(OTHER, card, instances=(instance,)), "MIG-8a1b")
    assert found.device == "MIG instance of GPU 1"
    readings = found.read(worked=False)
    assert (readings.free_memory_mb, readings.utilisation, readings.temperature) == (9000, None, 71)
    assert [b.limit for b in blind(found, readings, Limits(1, 2, 3))] == ["gpu_utilisation"]
    assert "Not Supported" in readings.lacks[Quantity.UTILISATION]


@pytest.mark.parametrize("fake", [True, False])
def test_machine_without_a_driver_is_no_crash(sensor: Any, fake: bool) -> None:
    """Played, and with the real library on a machine that has no driver: whoever has one reads something."""
    found = sensor(FakeNvml(driver=False)) if fake else NvmlSensor("0", Own())
    readings = found.read(worked=True)
    if readings.free_memory_mb is None:
        assert "no NVIDIA driver answers here" in readings.lacks[Quantity.TEMPERATURE]
        assert found.device == "the GPU"
    else:
        assert not fake
        assert readings.free_memory_mb > 0
