"""Which runs get slots: by priority, within the quotas of their teams and of all together.

A run that does not fit keeps what is free for itself, so nothing of lower rank slips past it for ever. Runs of strictly
lower priority are stopped for it, where that makes room: so a run that was stopped is never stopped again by its equal.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence

from raycluster.schedule.records import EVERYBODY, Run, Schedule, Snapshot, State

_HOLDING = {State.STARTING, State.RUNNING, State.STOPPING}


@dataclasses.dataclass(frozen=True)
class Admission:
    """The runs that get slots, those that are to be stopped, and what each of the others waits for."""

    admitted: tuple[Run, ...]
    preempted: tuple[Run, ...]
    waiting: Mapping[tuple[str, int], str]


def admit(snapshot: Snapshot, now: float) -> Admission:
    """Decide who gets slots."""
    active = [run for run in snapshot.runs if run.state in _HOLDING]
    slots = _Slots(snapshot, active)
    eligible, waiting = _eligible(snapshot, active, now)
    admitted: list[Run] = []
    preempted: list[Run] = []
    for run in eligible:
        schedule = snapshot.schedules[run.schedule]
        if short := slots.short(schedule):
            waiting[run.key] = f"{schedule.gpus} slot(s) of {' and of '.join(map(_whose, short))}"
            preempted += slots.make_room(schedule)
        else:
            admitted.append(run)
        # Either way they are his: what is left is for those behind.
        slots.take(schedule, short)
    return Admission(tuple(admitted), tuple(preempted), waiting)


def _eligible(snapshot: Snapshot, active: Sequence[Run], now: float) -> tuple[list[Run], dict[tuple[str, int], str]]:
    """Return the runs that may start if there are slots, in the order of their claims; and what others wait for."""
    taken = {run.schedule for run in active} | {run.schedule for run in snapshot.runs if run.state is State.JUDGING}
    eligible: list[Run] = []
    waiting: dict[tuple[str, int], str] = {}
    order = sorted(
        (run for run in snapshot.runs if run.state is State.WAITING),
        # One that was begun goes first among runs of its schedule: those behind it must not overtake it.
        key=lambda run: (-snapshot.schedules[run.schedule].priority, run.attempt == 0, run.due, run.schedule),
    )
    for run in order:
        schedule = snapshot.schedules[run.schedule]
        why = ""
        if schedule.no_overlap and run.schedule in taken:
            why = "the run before"
        elif run.not_before > now:
            why = "its next attempt"
        elif over := _never_fits(snapshot.quotas, schedule):
            why = over
        if schedule.no_overlap:
            taken.add(run.schedule)
        if why:
            waiting[run.key] = why
        else:
            eligible.append(run)
    return eligible, waiting


def _never_fits(quotas: Mapping[str, int], schedule: Schedule) -> str:
    """Say which quota a schedule exceeds by itself: whoever waits for that must not keep others waiting."""
    over = [who for who in (schedule.team, EVERYBODY) if schedule.gpus > quotas.get(who, math.inf)]
    return f"a larger quota of {_whose(over[0])}: it asks for {schedule.gpus} slot(s)" if over else ""


def _whose(who: str) -> str:
    return "all teams together" if who == EVERYBODY else f"team {who}"


class _Slots:
    """The slots of each team, and of everybody: what is in use or claimed, and what comes back soon."""

    def __init__(self, snapshot: Snapshot, active: Sequence[Run]) -> None:
        self._schedules, self._quotas = snapshot.schedules, snapshot.quotas
        self._used: Counter[str] = Counter()
        self._coming: Counter[str] = Counter()
        self._victims = [run for run in active if run.state is State.RUNNING]
        for run in active:
            self._count(self._used, run)
            if run.state is State.STOPPING:
                self._count(self._coming, run)

    def short(self, schedule: Schedule) -> list[str]:
        """Return whose slots do not suffice for one run more."""
        return [who for who in (schedule.team, EVERYBODY) if schedule.gpus > self._free(who)]

    def take(self, schedule: Schedule, short: Sequence[str]) -> None:
        """Give slots to a run; or, where some do not suffice, keep those alone for it: the others stay free."""
        for who in short or (schedule.team, EVERYBODY):
            self._used[who] += schedule.gpus

    def make_room(self, schedule: Schedule) -> list[Run]:
        """Return the runs of lower priority that must be stopped for one, no more than needed, the lowest first.

        None where that would not suffice: nobody is stopped for nothing.
        """
        chosen: list[Run] = []
        for victim in self._lower(schedule):
            if any(victim in self._of(who, self._victims) for who in self._lacking(schedule, chosen)):
                chosen.append(victim)
        if self._lacking(schedule, chosen):
            return []
        for victim in list(chosen):
            others = [run for run in chosen if run is not victim]
            if not self._lacking(schedule, others):
                chosen = others
        for victim in chosen:
            self._victims.remove(victim)
            self._count(self._coming, victim)
        return chosen

    def _lower(self, schedule: Schedule) -> list[Run]:
        """Return the runs that may be stopped for a schedule: the lowest first, of equals the one begun last."""
        lower = [run for run in self._victims if self._schedules[run.schedule].priority < schedule.priority]
        return sorted(lower, key=lambda run: (self._schedules[run.schedule].priority, -(run.started or 0), run.key))

    def _lacking(self, schedule: Schedule, stopped: Sequence[Run]) -> list[str]:
        """Return whose slots do not suffice even when some runs have stopped, and those that are stopping have."""
        given: Counter[str] = Counter(self._coming)
        for run in stopped:
            self._count(given, run)
        return [who for who in (schedule.team, EVERYBODY) if schedule.gpus > self._free(who) + given[who]]

    def _of(self, who: str, runs: Sequence[Run]) -> list[Run]:
        return [run for run in runs if who in {EVERYBODY, self._schedules[run.schedule].team}]

    def _free(self, who: str) -> float:
        return self._quotas.get(who, math.inf) - self._used[who]

    def _count(self, slots: Counter[str], run: Run) -> None:
        schedule = self._schedules[run.schedule]
        for who in (schedule.team, EVERYBODY):
            slots[who] += schedule.gpus
