"""What many processes say of their pauses, made into few lines: one for each limit of a machine."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from raycluster.sensors.telling import Told

# Between two lines on a pause that goes on.
STILL_EVERY_S = 300.0
# A waiting process that says nothing for so long, or for so many of its looks, has ended.
_SILENT_S, _SILENT_LOOKS = 30.0, 3


class News(NamedTuple):
    """What is new: lines for people, seconds that processes have waited since the last news, and how many wait."""

    lines: list[str]
    seconds: float
    waiting: int


class _Limit(NamedTuple):
    """One quantity of one device of one machine."""

    where: str
    key: str


@dataclasses.dataclass
class _Process:
    where: str
    told: Told
    # When it said something new.
    at: float


@dataclasses.dataclass
class _Pause:
    text: str
    began: float
    said: float


class Pauses:
    """The pauses of all processes. Times are seconds of any clock.

    Parameters
    ----------
    every_s
        How often a process looks.
    """

    def __init__(self, every_s: float) -> None:
        self._silent_s = max(_SILENT_S, _SILENT_LOOKS * every_s)
        self._processes: dict[str, _Process] = {}
        self._open: dict[_Limit, _Pause] = {}
        # Over before anybody saw them, and what was read when those ended that were seen.
        self._missed: dict[_Limit, tuple[str, float]] = {}
        self._last_read: dict[_Limit, str] = {}
        self._blind: dict[tuple[str, str, str], bool] = {}
        self._seconds = 0.0

    def take(self, name: str, where: str, told: Told, now: float) -> None:
        """Take in what a process of a machine says."""
        before = self._processes[name].told if name in self._processes else Told()
        self._processes[name] = _Process(where, told, now)
        self._seconds += max(0.0, told.seconds - before.seconds)
        for limit, why in told.blind:
            self._blind.setdefault((where, limit, why), False)
        for key, text in told.ended:
            self._last_read[_Limit(where, key)] = text
        if told.pauses > before.pauses and not told.waits and not before.waits:
            for key, text in told.reasons:
                self._missed[_Limit(where, key)] = text, told.seconds - before.seconds

    def waiting(self, now: float) -> list[str]:
        """Return the names of the processes that wait."""
        return [n for n, p in self._processes.items() if p.told.waits and now - p.at < self._silent_s]

    def reasons(self, *, alone: bool) -> str:
        """Say for what is waited; where, unless the machine is the only one."""
        return "; ".join(f"{pause.text}{_on(limit.where, alone)}" for limit, pause in sorted(self._open.items()))

    def news(self, now: float, *, alone: bool, over: bool = False) -> News:
        """Return what has changed since the last time; where, unless the machine is the only one.

        `over`: all processes have ended, those that waited too.
        """
        waiting = [] if over else self.waiting(now)
        present = {
            _Limit(self._processes[name].where, key): text
            for name in waiting
            for key, text in self._processes[name].told.reasons
        }
        lines = [f"{limit} cannot be watched{_on(where, alone)}: {why}" for where, limit, why in self._unsaid_blind()]
        closed = {limit: self._open.pop(limit) for limit in list(self._open) if limit not in present}
        lines += [self._gone_on(limit, now - pause.began, alone=alone) for limit, pause in closed.items()]
        for limit, (text, seconds) in self._missed.items():
            if limit not in present:
                lines += [_paused(limit, text, alone=alone), self._gone_on(limit, seconds, alone=alone)]
        for limit, text in present.items():
            lines += self._present(limit, text, now, alone=alone)
        seconds, self._seconds = self._seconds, 0.0
        self._missed.clear()
        return News(lines, seconds, len(waiting))

    def _unsaid_blind(self) -> list[tuple[str, str, str]]:
        unsaid = [key for key, was_said in self._blind.items() if not was_said]
        self._blind.update(dict.fromkeys(unsaid, True))
        return unsaid

    def _present(self, limit: _Limit, text: str, now: float, *, alone: bool) -> list[str]:
        """Say of a pause that it has begun, or now and then that it goes on."""
        pause = self._open.get(limit)
        if pause is None:
            self._open[limit] = _Pause(text, now, now)
            return [_paused(limit, text, alone=alone)]
        pause.text = text
        if now - pause.said < STILL_EVERY_S:
            return []
        pause.said = now
        return [f"still paused after {_duration(now - pause.began)}{_on(limit.where, alone)}: {text}"]

    def _gone_on(self, limit: _Limit, seconds: float, *, alone: bool) -> str:
        when = f"after {_duration(seconds)}{_on(limit.where, alone)}"
        read = self._last_read.pop(limit, None)
        return f"going on {when}: {read}" if read else f"nothing waits any more {when}: what waited has ended"


def _paused(limit: _Limit, text: str, *, alone: bool) -> str:
    return f"paused{_on(limit.where, alone)}: {text}"


def _on(where: str, alone: bool) -> str:
    return "" if alone else f" on {where}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
