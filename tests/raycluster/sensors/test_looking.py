"""What `raycluster sensors` shows to people who choose limits."""

from __future__ import annotations

import json
import sys

import pytest
from click.testing import CliRunner

from raycluster.cli.program import cli
from tests.raycluster.sensors.fake_nvml import Card, FakeNvml


@pytest.fixture(autouse=True)
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two GPUs of different kinds, one of which does not tell how busy it is."""
    cards = Card("GPU-1", free=70_000, busy=3, temperature=41), Card("GPU-2", "NVIDIA T4", 9000, None, 66)
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(*cards))  # type: ignore[arg-type]  # it answers as the module does


def test_every_device_is_a_line() -> None:
    """With its readings, and what it does not tell."""
    done = CliRunner().invoke(cli, ["sensors"])
    assert done.exit_code == 0, done.output
    first, second, machine = done.output.splitlines()
    assert first == "GPU 0: 70,000 MiB free; GPU 0 3 % busy with others; GPU 0 at 41 °C"
    assert second == (
        "GPU 1: 9,000 MiB free; GPU 1 at 66 °C; no gpu_utilisation: GPU 1 does not tell it (Not Supported)"
    )
    assert machine.startswith("memory: ")
    assert " % busy with others" in machine


def test_lost_gpu_is_said_and_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that fell off its bus is a line that says so; its neighbour is read, which CUDA names by its UUID too."""
    nvml = FakeNvml(Card("GPU-1", lost=True), Card("GPU-2", free=9000, busy=0, temperature=66))
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    done = CliRunner().invoke(cli, ["sensors"])
    assert done.exit_code == 0, done.output
    first, second, _ = done.output.splitlines()
    assert first == "no gpu_free_memory_mb, gpu_utilisation, gpu_temperature: GPU 0 does not answer the driver"
    assert second.startswith("GPU 1: 9,000 MiB free")


def test_json_has_the_names_of_the_limits() -> None:
    """Null where there is no sensor, and why."""
    done = CliRunner().invoke(cli, ["sensors", "--json"])
    rows = [json.loads(line) for line in done.output.splitlines()]
    assert rows[1] == {
        "device": "GPU 1",
        "gpu_free_memory_mb": 9000,
        "gpu_utilisation": None,
        "gpu_temperature": 66,
        "missing": {"gpu_utilisation": "GPU 1 does not tell it (Not Supported)"},
    }
    assert set(rows[2]) == {"device", "free_memory_mb", "cpu_utilisation", "cpu_temperature", "missing"}
    assert rows[2]["free_memory_mb"] > 0
