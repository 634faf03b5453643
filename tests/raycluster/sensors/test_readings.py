"""What is held against limits, and how it is said."""

from __future__ import annotations

import pytest

from raycluster.sensors.readings import Blind, Kind, Limits, Quantity, Readings, Remark, blind, excesses, said
from raycluster.sensors.recorded import RecordedSensor

GPU, CPU = (RecordedSensor(kind, [Readings()]) for kind in ("gpu", "cpu"))
SENSORS: dict[Kind, RecordedSensor] = {"gpu": GPU, "cpu": CPU}


@pytest.mark.parametrize(
    ("kind", "readings", "limits", "lines"),
    [
        ("gpu", Readings(temperature=87), Limits(temperature=80), ["GPU 0 at 87 °C, limit 80"]),
        ("gpu", Readings(temperature=80), Limits(temperature=80), []),
        ("gpu", Readings(temperature=87), Limits(), []),
        ("cpu", Readings(utilisation=0), Limits(utilisation=0), []),
        ("cpu", Readings(utilisation=61), Limits(utilisation=60), ["CPU 61 % busy with others, limit 60"]),
        ("cpu", Readings(2047.6), Limits(8192), ["memory: 2,048 MiB free, at least 8,192 asked for"]),
        ("gpu", Readings(8000), Limits(8000), []),
        ("gpu", Readings(), Limits(8000, 50, 80), []),
        (
            "gpu",
            Readings(10, 99, 90),
            Limits(8000, 50, 80),
            [
                "GPU 0: 10 MiB free, at least 8,000 asked for",
                "GPU 0 99 % busy with others, limit 50",
                "GPU 0 at 90 °C, limit 80",
            ],
        ),
    ],
)
def test_limits_are_inclusive_and_what_is_not_read_is_no_obstacle(
    kind: Kind, readings: Readings, limits: Limits, lines: list[str]
) -> None:
    """At least so much free memory; at most so busy and so hot."""
    assert [excess.text for excess in excesses(SENSORS[kind], readings, limits)] == lines


@pytest.mark.parametrize(("temperature", "margin", "over"), [(76, 0.05, False), (76.1, 0.05, True), (80, 0, False)])
def test_work_goes_on_below_the_limit_alone(temperature: float, margin: float, over: bool) -> None:
    """A machine that cools by a degree does not begin to flap: 5 percent of 80 °C are 76 °C."""
    limits, readings = Limits(temperature=80), Readings(temperature=temperature)
    assert excesses(GPU, readings, limits) == []
    found = excesses(GPU, readings, limits, {"GPU 0 temperature"}, margin)
    assert found == ([Remark("GPU 0 temperature", f"GPU 0 at {temperature:.0f} °C, limit 80")] if over else [])


def test_margin_is_of_limits_alone_that_were_exceeded() -> None:
    """Another quantity that was always within its limit holds nobody up, nor does memory have a margin."""
    limits, readings = Limits(1000, 50, 80), Readings(1000, 49, 79)
    assert excesses(GPU, readings, limits, {"GPU 0 free_memory_mb"}, 0.5) == []
    assert [e.key for e in excesses(GPU, readings, limits, {"GPU 0 utilisation"}, 0.5)] == ["GPU 0 utilisation"]


def test_limits_that_cannot_be_watched_are_named() -> None:
    """By the names of the configuration, with the reason of the sensor; what is not limited is not mentioned."""
    readings = Readings(utilisation=3, lacks={Quantity.TEMPERATURE: "no driver"})
    assert blind(GPU, readings, Limits(1, 2, 3)) == [
        Blind("gpu_free_memory_mb", "GPU 0 does not tell it"),
        Blind("gpu_temperature", "no driver"),
    ]
    assert blind(CPU, Readings(), Limits(1, 2)) == [
        Blind("free_memory_mb", "CPU does not tell it"),
        Blind("cpu_utilisation", "CPU does not tell it"),
    ]
    assert said(GPU, readings) == {"GPU 0 utilisation": "GPU 0 3 % busy with others"}
    assert not Limits()
    assert Limits(utilisation=0)
