"""Many processes, few lines: one for each limit of a machine."""

from __future__ import annotations

import dataclasses

from raycluster.sensors.pauses import STILL_EVERY_S, News, Pauses
from raycluster.sensors.readings import Blind, Remark
from raycluster.sensors.telling import Told

HOT = Told((Remark("GPU 0 temperature", "GPU 0 at 87 °C, limit 80"),), pauses=1, looks=1)
COLD = dataclasses.replace(HOT, ended=(Remark("GPU 0 temperature", "GPU 0 at 74 °C"),), looks=4, seconds=30.0)


def test_one_line_at_pausing_and_one_at_going_on() -> None:
    """Four actors on one GPU are one pause; it ends with the last of them. Their seconds are added up."""
    pauses = Pauses(every_s=10)
    for name in "abcd":
        pauses.take(name, "node 1", HOT, 0)
    assert pauses.news(0, alone=True) == News(["paused: GPU 0 at 87 °C, limit 80"], 0, 4)
    pauses.take("d", "node 1", dataclasses.replace(HOT, looks=3), 20)
    for name in "abc":
        pauses.take(name, "node 1", COLD, 30)
    assert pauses.news(30, alone=True) == News([], 90, 1)
    pauses.take("d", "node 1", COLD, 35)
    assert pauses.news(35, alone=True) == News(["going on after 35 s: GPU 0 at 74 °C"], 30, 0)
    assert pauses.news(36, alone=True) == News([], 0, 0)


def test_machines_are_named_and_told_apart() -> None:
    """The same limit on two machines is two pauses."""
    pauses = Pauses(every_s=10)
    pauses.take("a", "10.0.0.3", HOT, 0)
    pauses.take("b", "10.0.0.4", HOT, 0)
    assert pauses.news(0, alone=False).lines == [
        "paused on 10.0.0.3: GPU 0 at 87 °C, limit 80",
        "paused on 10.0.0.4: GPU 0 at 87 °C, limit 80",
    ]
    assert pauses.reasons(alone=False) == ("GPU 0 at 87 °C, limit 80 on 10.0.0.3; GPU 0 at 87 °C, limit 80 on 10.0.0.4")
    pauses.take("b", "10.0.0.4", COLD, 25)
    assert pauses.news(25, alone=False).lines == ["going on after 25 s on 10.0.0.4: GPU 0 at 74 °C"]


def test_pause_that_was_over_before_anybody_looked_is_told() -> None:
    """Nothing silent: two lines at once, for two processes too."""
    pauses = Pauses(every_s=10)
    for name in "ab":
        pauses.take(name, "node", COLD, 5)
    assert pauses.news(5, alone=True) == News(
        ["paused: GPU 0 at 87 °C, limit 80", "going on after 30 s: GPU 0 at 74 °C"], 60, 0
    )
    pauses.take("a", "node", dataclasses.replace(COLD, looks=9), 9)
    assert pauses.news(9, alone=True).lines == []


def test_long_pause_is_remembered_now_and_then() -> None:
    """With what is read by then; the process is alive, as its looks say."""
    pauses = Pauses(every_s=10)
    pauses.take("a", "node", HOT, 0)
    pauses.news(0, alone=True)
    still = Remark("GPU 0 temperature", "GPU 0 at 85 °C, limit 80")
    lines = []
    for step in range(1, 70):
        pauses.take("a", "node", dataclasses.replace(HOT, reasons=(still,), looks=step), 10.0 * step)
        lines += pauses.news(10.0 * step, alone=True).lines
    assert lines == [
        f"still paused after {minutes:.0f} min: GPU 0 at 85 °C, limit 80"
        for minutes in (STILL_EVERY_S / 60, 2 * STILL_EVERY_S / 60)
    ]


def test_process_that_ends_in_a_pause_leaves_no_pause() -> None:
    """Killed, it says nothing more: after a few looks it counts no longer."""
    pauses = Pauses(every_s=20)
    pauses.take("a", "node", HOT, 0)
    pauses.news(0, alone=True)
    assert pauses.waiting(59) == ["a"]
    assert pauses.waiting(60) == []
    assert pauses.news(50, alone=True) == News([], 0, 1)
    assert pauses.news(60, alone=True).lines == ["nothing waits any more after 60 s: what waited has ended"]


def test_end_of_all_ends_a_pause() -> None:
    """The last blocks were done by another actor: the one that waits is ended with the pool."""
    pauses = Pauses(every_s=10)
    for name in "ab":
        pauses.take(name, "node", HOT, 0)
    pauses.news(0, alone=True)
    pauses.take("a", "node", COLD, 5)
    assert pauses.news(6, alone=True, over=True) == News(["going on after 6 s: GPU 0 at 74 °C"], 30, 0)


def test_limits_that_cannot_be_watched_are_said_once_a_machine() -> None:
    """However many processes meet with it."""
    pauses = Pauses(every_s=10)
    blind = Told(blind=(Blind("gpu_temperature", "no NVIDIA driver answers here"),), looks=1)
    lines = []
    for number, where in enumerate(["node 1", "node 1", "node 2", "node 1"]):
        pauses.take(f"process {number}", where, blind, number)
        lines += pauses.news(number, alone=False).lines
    assert lines == [
        f"gpu_temperature cannot be watched on {where}: no NVIDIA driver answers here" for where in ("node 1", "node 2")
    ]
