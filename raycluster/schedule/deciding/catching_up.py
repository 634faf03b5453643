"""Which due times become runs."""

from __future__ import annotations

from collections.abc import Sequence

from raycluster.schedule.cron import due_times, next_due
from raycluster.schedule.deciding.actions import Due, Enqueue
from raycluster.schedule.records import CatchUp, Kind, Run, Schedule, State

# A due time that is noticed later than this was missed: restarting the daemon takes seconds.
GRACE_S = 300
# Due times that one transaction takes in; after a long absence there are several.
_AT_ONCE = 500
_AWAY = "missed: the scheduler was not running"
_UNFINISHED = "the run before was not finished"


def enqueue(schedule: Schedule, unfinished: bool, now: float) -> Enqueue | None:
    """Return the due times that have come, or None.

    Parameters
    ----------
    unfinished
        Whether an earlier run of the schedule has not ended.
    """
    if schedule.removed is not None or schedule.next_due > now:
        return None
    times, following = due_times(schedule.cron, schedule.timezone, schedule.next_due, now, _AT_ONCE)
    return Enqueue(schedule.name, _sorted_out(schedule, times, unfinished, now, whole=following > now), following)


def rewind(schedule: Schedule, now: float) -> Enqueue | None:
    """Return the schedule's next due time where it is sooner than the one that is kept: a clock had gone ahead.

    Due times that have a run get no other.
    """
    soonest = next_due(schedule.cron, schedule.timezone, now)
    return Enqueue(schedule.name, (), soonest) if schedule.removed is None and soonest < schedule.next_due else None


def _sorted_out(
    schedule: Schedule, times: Sequence[int], unfinished: bool, now: float, *, whole: bool
) -> tuple[Due, ...]:
    found: list[Due] = []
    for place, time in enumerate(times):
        last = whole and place == len(times) - 1
        found.append(Due(time, _why_skipped(schedule, unfinished, missed=now - time > GRACE_S, last=last)))
        unfinished = unfinished or not found[-1].skipped
    return tuple(found)


def _why_skipped(schedule: Schedule, unfinished: bool, *, missed: bool, last: bool) -> str:
    match schedule.catch_up:
        case CatchUp.LAST:
            return _AWAY if missed and not last else ""
        case CatchUp.SKIP:
            if missed:
                return _AWAY
            return _UNFINISHED if unfinished and schedule.no_overlap else ""
        case _:
            return ""


def superseded(schedule: Schedule, runs: Sequence[Run]) -> list[Run]:
    """Return the runs that were never started, and whose successor was due before their turn came.

    Parameters
    ----------
    runs
        Of the schedule, not ended, by due time.
    """
    if not schedule.no_overlap or schedule.catch_up is not CatchUp.LAST:
        return []
    idle = [run for run in runs if run.state is State.WAITING and run.kind is Kind.DUE and run.attempt == 0]
    return idle[:-1]
