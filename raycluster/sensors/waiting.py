"""How one process waits: it looks now and then, pauses while a limit does not hold, goes on when all hold again."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from raycluster.sensors.readings import Blind, Limits, Remark, Sensor, blind, excesses, said
from raycluster.sensors.rules import SETTLE_S
from raycluster.sensors.telling import Told


class Clock(NamedTuple):
    """Tells the time, and lets it pass; in seconds."""

    now: Callable[[], float]
    sleep: Callable[[float], None]


_CLOCK = Clock(time.monotonic, time.sleep)


class Watched(NamedTuple):
    """A device, and what must hold of it."""

    sensor: Sensor
    limits: Limits


class Waiter:
    """The manners of one process.

    Parameters
    ----------
    watched
        The devices that it uses.
    every_s, margin
        See Rules.
    tell
        Called when it begins to wait, at every look of a pause, and when it goes on.
    clock
        Of the process.
    """

    def __init__(
        self,
        watched: Sequence[Watched],
        every_s: float,
        margin: float,
        tell: Callable[[Told], None],
        clock: Clock = _CLOCK,
    ) -> None:
        self._watched = watched
        self._every_s, self._margin = every_s, margin
        self._tell = tell
        self._clock, self._sleep = clock
        self._worked = False
        self._look_at = self._clock()
        self._state = Told()
        self._mixed = False
        self._read: dict[str, str] = {}
        self._blind: dict[Blind, None] = {}

    def wait(self) -> None:
        """Return as soon as all limits hold: at once, where one looked a moment ago."""
        began = self._clock()
        if began < self._look_at:
            return
        found, known = self._look(), len(self._state.blind)
        settled = bool(found) and self._mixed and self._worked
        if settled:
            # Some of it may be what this process did a moment ago: what counts is what is there while it does nothing.
            self._sleep(SETTLE_S)
            found = self._look()
        if found:
            self._pause(found, began)
        elif settled or len(self._blind) > known:
            self._say(seconds=self._state.seconds + (self._clock() - began if settled else 0))
        self._worked = True
        self._look_at = self._clock() + self._every_s

    def _pause(self, found: list[Remark], began: float) -> None:
        reasons: dict[str, str] = {}
        before, pauses = self._state.seconds, self._state.pauses + 1
        while found:
            reasons |= {excess.key: excess.text for excess in found}
            now = {"reasons": _remarks(reasons), "pauses": pauses, "seconds": before + self._clock() - began}
            self._say(ended=(), **now)
            self._sleep(self._every_s)
            found = self._look(reasons)
        ended = {key: self._read.get(key, "it cannot be watched any more") for key in reasons}
        self._say(ended=_remarks(ended), seconds=before + self._clock() - began)

    def _look(self, paused: Collection[str] = ()) -> list[Remark]:
        """Read everything, and return what does not hold."""
        self._state = dataclasses.replace(self._state, looks=self._state.looks + 1)
        found: list[Remark] = []
        self._mixed, self._read = False, {}
        for sensor, limits in self._watched:
            readings = sensor.read(worked=self._worked)
            self._mixed = self._mixed or readings.mixed
            self._blind.update(dict.fromkeys(blind(sensor, readings, limits)))
            self._read |= said(sensor, readings)
            found += excesses(sensor, readings, limits, paused, self._margin)
        return found

    def _say(self, **changes: Any) -> None:
        self._state = dataclasses.replace(self._state, blind=tuple(self._blind), **changes)
        self._tell(self._state)


def _remarks(texts: Mapping[str, str]) -> tuple[Remark, ...]:
    return tuple(Remark(key, text) for key, text in texts.items())
