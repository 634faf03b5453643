"""How one process waits, on a clock that stands still unless somebody sleeps."""

from __future__ import annotations

import dataclasses

import pytest

from raycluster.sensors.readings import Kind, Limits, Quantity, Readings
from raycluster.sensors.recorded import RecordedSensor
from raycluster.sensors.rules import SETTLE_S
from raycluster.sensors.telling import Told
from raycluster.sensors.waiting import Clock, Waiter, Watched

HOT, WARM, COLD = (Readings(temperature=t) for t in (87, 78, 70))
LIMITS = Limits(temperature=80)


class Time:
    """A clock that sleeping sets forward."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclasses.dataclass
class Bench:
    """A waiter, its clock, and all that it told."""

    waiter: Waiter
    time: Time
    told: list[Told]

    def after(self, seconds: float) -> list[float]:
        """Work for so long, ask again, and return how it slept."""
        self.time.now += seconds
        self.time.slept.clear()
        self.waiter.wait()
        return list(self.time.slept)


def bench(*watched: Watched, every_s: float = 10, margin: float = 0.05) -> Bench:
    time, told = Time(), list[Told]()
    waiter = Waiter(watched, every_s, margin, told.append, Clock(lambda: time.now, time.sleep))
    return Bench(waiter, time, told)


def recorded(*rows: Readings, kind: Kind = "gpu", limits: Limits = LIMITS) -> Watched:
    return Watched(RecordedSensor(kind, rows), limits)


def test_waits_until_it_is_cool_enough_and_says_so() -> None:
    """Hot, then below the limit but not below its margin, then cool: two looks later it goes on."""
    found = bench(recorded(HOT, WARM, COLD))
    assert found.after(0) == [10, 10]
    assert [told.waits for told in found.told] == [True, True, False]
    assert [told.reasons[0].text for told in found.told] == [
        "GPU 0 at 87 °C, limit 80",
        "GPU 0 at 78 °C, limit 80",
        "GPU 0 at 78 °C, limit 80",
    ]
    assert [told.seconds for told in found.told] == [0, 10, 20]
    assert found.told[-1].ended == (("GPU 0 temperature", "GPU 0 at 70 °C"),)
    assert found.told[-1].pauses == 1


def test_looks_now_and_then_alone() -> None:
    """A thousand small shards cost one look in ten seconds; what was never exceeded is told to nobody."""
    found = bench(recorded(COLD, HOT, COLD))
    assert found.after(0) == found.after(9.9) == []
    assert found.told == []
    assert found.after(0.2) == [10]
    assert [told.pauses for told in found.told] == [1, 1]


def test_pauses_add_up() -> None:
    """The second pause is counted on top of the first, and every look is one more."""
    found = bench(recorded(HOT, COLD, HOT, HOT, COLD))
    found.after(0)
    found.after(20)
    assert [(told.pauses, told.seconds) for told in found.told] == [(1, 0), (1, 10), (2, 10), (2, 20), (2, 30)]
    assert [told.looks for told in found.told] == [1, 2, 3, 4, 5]


def test_all_reasons_of_a_pause_are_kept_until_it_ends() -> None:
    """First the GPU is hot, then the CPU is busy: the process waits for both, one after the other."""
    busy = recorded(Readings(utilisation=10), Readings(utilisation=90), Readings(utilisation=10), kind="cpu")
    found = bench(Watched(busy.sensor, Limits(utilisation=50)), recorded(HOT, COLD))
    assert found.after(0) == [10, 10]
    assert [reason.key for reason in found.told[-1].reasons] == ["GPU 0 temperature", "CPU utilisation"]
    assert [ended.text for ended in found.told[-1].ended] == ["GPU 0 at 70 °C", "CPU 10 % busy with others"]


class Mixed:
    """A GPU whose driver does not tell processes apart: everybody's use, a moment after."""

    kind: Kind = "gpu"
    device = "GPU 0"

    def __init__(self, *busy: float) -> None:
        self.busy = iter(busy)

    def read(self, *, worked: bool) -> Readings:
        return Readings(utilisation=next(self.busy), mixed=worked)


def test_what_this_process_did_a_moment_ago_is_no_reason_to_pause() -> None:
    """It looks again after a moment of doing nothing. Before it has done anything, what is there is of others."""
    found = bench(Watched(Mixed(95, 10, 99, 1, 99, 98, 1), Limits(utilisation=50)))
    assert found.after(0) == [10]
    assert found.after(20) == [SETTLE_S]
    assert (found.told[-1].pauses, found.told[-1].seconds, found.told[-1].waits) == (1, 10 + SETTLE_S, False)
    assert found.after(20) == [SETTLE_S, 10]
    assert found.told[-1].pauses == 2
    assert found.told[-1].seconds == 20 + 2 * SETTLE_S


def test_missing_sensor_is_told_once_and_holds_nobody_up() -> None:
    """No crash, no pause: the limits that cannot be watched, and why."""
    nothing = Readings(lacks={Quantity.TEMPERATURE: "no driver answers here"})
    found = bench(Watched(Once(nothing), LIMITS))
    assert [found.after(20) for _ in range(3)] == [[], [], []]
    assert [told.blind for told in found.told] == [(("gpu_temperature", "no driver answers here"),)]
    assert found.told[0].seconds == 0
    assert not found.told[0].waits


class Once:
    """Reads the same at every look."""

    kind: Kind = "gpu"
    device = "GPU 0"

    def __init__(self, readings: Readings) -> None:
        self.readings = readings

    def read(self, *, worked: bool) -> Readings:
        assert worked in {True, False}
        return self.readings


def test_sensor_that_falls_silent_ends_the_pause() -> None:
    """A driver that goes away in the middle: the limit cannot be watched any more, and the work goes on."""
    found = bench(recorded(HOT, Readings()))
    assert found.after(0) == [10]
    assert found.told[-1].ended == (("GPU 0 temperature", "it cannot be watched any more"),)
    assert found.told[-1].blind == (("gpu_temperature", "the recording does not tell it"),)


@pytest.mark.parametrize("rows", [(HOT, COLD), (HOT, Readings(), HOT)])
def test_what_is_told_travels(rows: tuple[Readings, ...]) -> None:
    """As JSON, and back to the same."""
    found = bench(recorded(*rows))
    found.after(0)
    assert len(found.told) == 2
    assert [Told.from_bytes(told.to_bytes()) for told in found.told] == found.told
