"""Ten schedules over a simulated month with changes of clocks: no run lost, none doubled, whatever fails meanwhile."""

from __future__ import annotations

import datetime as dt
import random
import zoneinfo
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raycluster.schedule.places import report_path
from raycluster.schedule.records import CatchUp, Kind, Outcome, Run, State
from tests.raycluster.schedule.receiver import Receiver
from tests.raycluster.schedule.simulation import Work, World
from tests.raycluster.schedule.test_cron import first_moment

START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
END = dt.datetime(2026, 4, 1, tzinfo=dt.UTC)
HOUR = 3600.0

# Name: cron, timezone, seconds of work, and the rest of the schedule.
SCHEDULES: dict[str, tuple[str, str, float, dict[str, Any]]] = {
    "tokyo": ("0 3 * * *", "Asia/Tokyo", 2 * HOUR, {"gpus": 2, "priority": 5, "no_overlap": True}),
    "berlin": ("30 2 * * *", "Europe/Berlin", HOUR, {"gpus": 2, "priority": 3, "team": "vision"}),
    "newyork": ("30 2 * * *", "America/New_York", HOUR, {"team": "vision", "catch_up": CatchUp.ALL}),
    "halves": ("0 0,12 * * *", "UTC", 2 * HOUR, {"team": "vision", "no_overlap": True}),
    "weekly": ("0 12 * * 1", "UTC", 30 * HOUR, {"gpus": 3, "catch_up": CatchUp.ALL, "no_overlap": True}),
    "weekdays": ("15 9 * * 1-5", "Asia/Kolkata", HOUR, {"priority": 1, "catch_up": CatchUp.ALL}),
    "monthly": ("0 0 1,15 * *", "UTC", 5 * HOUR, {"gpus": 2, "catch_up": CatchUp.ALL}),
    "fresh": ("0 6 * * *", "UTC", HOUR, {"catch_up": CatchUp.SKIP, "no_overlap": True}),
    "twice": ("0 1,13 * * *", "Australia/Lord_Howe", HOUR, {"catch_up": CatchUp.ALL, "team": "audio"}),
    "urgent": ("45 23 * * *", "UTC", 0.5 * HOUR, {"gpus": 4, "priority": 9, "catch_up": CatchUp.ALL, "retries": 20}),
}


def wanted(day: dt.date, cron: str) -> bool:
    """Return whether a day is one of an expression's, of those above."""
    _, _, days, _, weekdays = cron.split()
    if days != "*":
        return str(day.day) in days.split(",")
    first, _, last = weekdays.partition("-")
    return weekdays == "*" or int(first) <= day.isoweekday() <= int(last or first)


def expected(cron: str, timezone: str) -> set[int]:
    """Return the due times of the month: slow and plain."""
    zone = zoneinfo.ZoneInfo(timezone)
    minute, hours, *_ = cron.split()
    days = [START.date() + dt.timedelta(n) for n in range(-2, 34)]
    found = {
        first_moment(day, int(hour), int(minute), zone)
        for day in days
        if wanted(day, cron)
        for hour in hours.split(",")
    }
    return {due for due in found if START.timestamp() < due <= END.timestamp()}


@pytest.fixture
def world(folder: Path, receiver: Receiver) -> World:
    receiver.bodies.clear()
    world = World(folder, START.timestamp(), receiver.url)
    world.quota("all", 4)
    world.quota("vision", 2)
    for name, (cron, timezone, _, other) in SCHEDULES.items():
        world.add(name, cron, timezone=timezone, **{"retries": 20, **other})
    world.cluster.make_work = lambda run: Work(SCHEDULES[run[0]][2])
    return world


def next_moment(world: World) -> float:
    """Return when something happens by itself next, or in two hours."""
    snapshot = world.book.snapshot()
    dues = [schedule.next_due for schedule in snapshot.schedules.values()]
    rests = [run.not_before for run in snapshot.runs] + [message.next_try for message in snapshot.messages]
    later = [moment for moment in (*dues, *rests, world.cluster.next_end()) if moment > world.clock.now]
    return min([*later, world.clock.now + 2 * HOUR])


def live_through(world: World, happens: Callable[[], None]) -> None:
    """Let the month pass, and two days more for what is still running."""
    while world.clock.now < END.timestamp() + 48 * HOUR:
        if world.clock.now < END.timestamp():
            happens()
        world.settle()
        world.clock.now = next_moment(world)


def check(world: World, receiver: Receiver) -> list[Run]:
    """See that every due time has one run, and every run one end; return the runs of the month."""
    runs = [run for run in world.runs() if run.due <= END.timestamp()]
    for name, (cron, timezone, *_) in SCHEDULES.items():
        dues = [run.due for run in runs if run.schedule == name]
        assert len(dues) == len(set(dues))
        assert set(dues) == expected(cron, timezone), name
    assert all(run.state is State.ENDED and run.reported and run.kind is Kind.DUE for run in runs)
    ran = [run for run in runs if run.outcome is not Outcome.SKIPPED]
    assert {run.outcome for run in ran} == {Outcome.PASSED}
    work = {(schedule, due): one for (schedule, due), one in world.cluster.work.items()}
    for run in runs:
        done = work.get((run.schedule, dt.datetime.fromtimestamp(run.due, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")))
        assert (done is not None and done.done == SCHEDULES[run.schedule][2]) == (run.outcome is Outcome.PASSED)
        # A head that is started anew has forgotten that a job is done: it is asked once more, and finds all there.
        forgotten = [job for job in world.cluster.forgotten if job.startswith(run.job_id.rpartition("-")[0])]
        assert done is None or 1 <= done.completions <= 1 + len(forgotten)
        reported = run.outcome is Outcome.PASSED or "it waited for" in run.reason
        assert report_path(world.database.path, run).exists() == reported
    told = Counter(body["event_id"] for body in receiver.bodies)
    assert {f"{run.job_id.rpartition('-')[0]}-ended" for run in ran} <= set(told)
    again = Counter(world.cluster.ids) - Counter(set(world.cluster.ids))
    assert again <= Counter(world.cluster.forgotten)
    return runs


def test_calm_month(world: World, receiver: Receiver) -> None:
    """Every due time is run once, nothing is skipped; slots are used up to the quotas, and never beyond."""
    live_through(world, lambda: None)
    runs = check(world, receiver)
    assert len(runs) > 250
    assert [run for run in runs if run.outcome is Outcome.SKIPPED] == []
    assert sum(run.preemptions for run in runs) > 5
    assert {run.schedule for run in runs if run.preemptions} >= {"weekly"}
    assert (world.cluster.most["all"], world.cluster.most["vision"]) == (4, 2)
    assert len(receiver.bodies) == len({body["event_id"] for body in receiver.bodies})


@pytest.mark.slow
def test_month_of_misfortunes(world: World, receiver: Receiver) -> None:
    """Kills, absences, lost answers, deaths of drivers and heads, a deaf receiver: the month ends the same."""
    draw = random.Random(7)
    away: list[tuple[float, float]] = []
    receiver.answer = lambda: 500 if draw.random() < 0.2 else 204

    def work(run: tuple[str, str]) -> Work:
        seconds = SCHEDULES[run[0]][2]
        deaths = [seconds * draw.random()] if draw.random() < 0.1 else []
        return Work(seconds, deaths)

    def happens() -> None:
        world.cluster.lost_answers = int(draw.random() < 0.1)
        if draw.random() < 0.03:
            world.cluster.silent_until = world.clock.now + draw.random() * 5 * HOUR
        if draw.random() < 0.01:
            world.cluster.restart_head()
        if draw.random() < 0.2:
            world.moments.kill_at = world.moments.count + draw.randint(1, 12)
        if draw.random() < 0.008:
            begun = world.clock.now
            world.clock.now += draw.uniform(1, 30) * HOUR
            world.kill()
            away.append((begun, world.clock.now))
        elif draw.random() < 0.01:
            world.clock.now -= draw.uniform(0, 3) * HOUR

    world.cluster.make_work = work
    live_through(world, happens)
    receiver.answer = lambda: 204
    runs = check(world, receiver)
    skipped = [run for run in runs if run.outcome is Outcome.SKIPPED]
    assert skipped
    for run in skipped:
        rule = world.book.snapshot().schedules[run.schedule]
        assert rule.catch_up is not CatchUp.ALL
        assert rule.no_overlap or any(begun <= run.due <= end for begun, end in away)
    assert world.kills > 50
    assert sum(run.failures for run in runs) > 20
    assert away
