"""The scheduler is killed between any two of its steps: nothing is lost, nothing is doubled."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from raycluster.errors import UnreachableError
from raycluster.schedule.places import report_path
from raycluster.schedule.records import CatchUp, Outcome, State
from tests.raycluster.schedule.receiver import Receiver
from tests.raycluster.schedule.simulation import Work, World

START = dt.datetime(2026, 3, 1, 2, 50, tzinfo=dt.UTC).timestamp()
END = START + 4 * 3600
WORK = {
    "low": Work(2400),
    "high": Work(500),
    "dies": Work(900, dies_at=[100]),
    "late": Work(50_000),
    "wrong": Work(60, exit_code=2),
}
EXPECTED = {
    "low": (Outcome.PASSED, 0),
    "high": (Outcome.PASSED, 0),
    "dies": (Outcome.PASSED, 0),
    "late": (Outcome.DEADLINE, 4),
    "wrong": (Outcome.FAILED, 2),
}


def night(folder: Path, receiver: Receiver) -> World:
    """A night of preemption, a death, a deadline, an exit code of its own, gates and messages."""
    receiver.bodies.clear()
    world = World(folder, START, receiver.url)
    world.cluster.make_work = lambda run: Work(**{**vars(WORK[run[0]]), "dies_at": list(WORK[run[0]].dies_at)})
    world.quota("all", 2)
    world.add("low", "0 3 * * *", gpus=2, no_overlap=True, gates="as good as last night")
    world.add("high", "10 3 * * *", priority=5)
    world.add("dies", "0 5 * * *")
    world.add("late", "0 5 * * *", deadline_s=1800)
    world.add("wrong", "20 3 * * *", priority=4, catch_up=CatchUp.ALL)
    return world


def check(world: World, receiver: Receiver) -> None:
    runs = world.runs()
    assert {run.schedule: (run.outcome, run.exit_code) for run in runs} == EXPECTED
    assert len(runs) == len(EXPECTED)
    assert len(world.cluster.ids) == len(set(world.cluster.ids))
    low = next(run for run in runs if run.schedule == "low")
    assert low.preemptions == 1
    for (schedule, _), work in world.cluster.work.items():
        assert work.completions == (schedule != "late"), schedule
    told = Counter(body["event_id"] for body in receiver.bodies)
    assert set(told) == {f"{run.job_id.rpartition('-')[0]}-ended" for run in runs}
    for run in runs:
        written: dict[str, Any] = json.loads(report_path(world.database.path, run).read_text())
        assert written["outcome"] == run.outcome
        assert all(body == written for body in receiver.bodies if body["event_id"] == written["event_id"])
        assert written["attempts"][-1]["ended"] is not None


def test_killed_between_any_two_steps(folder: Path, receiver: Receiver) -> None:
    """Before and after every commit, and after every call to the cluster; each night ends as if nothing had been."""
    (folder / "calm").mkdir()
    calm = night(folder / "calm", receiver)
    calm.moments.count = 0
    calm.run_until(END, 600)
    check(calm, receiver)
    assert len(receiver.bodies) == len(EXPECTED)
    moments = calm.moments.names[-calm.moments.count :]
    assert {"before commit", "after commit", "after submit", "after stop", "judge"} <= set(moments)
    for moment, name in enumerate(moments, start=1):
        # Killed before a call, it has done what it had done after the moment before; looking changes nothing.
        if name not in {"before commit", "after commit", "after submit", "after stop"}:
            continue
        (folder / f"{moment}").mkdir()
        world = night(folder / f"{moment}", receiver)
        world.moments.count, world.moments.kill_at = 0, moment
        world.run_until(END, 600)
        assert world.kills == 1, name
        try:
            check(world, receiver)
        except AssertionError as error:
            raise AssertionError(f"killed at moment {moment}, {name}: {world.said}") from error
        world.database.close()


@pytest.mark.parametrize("every", [2, 3, 7])
def test_killed_again_and_again(folder: Path, receiver: Receiver, every: int) -> None:
    """Several kills in one night, however close."""
    world = night(folder, receiver)
    plain = world.moments.pass_by

    def pass_by(name: str) -> None:
        # In time it does get somewhere: a process that is always killed before its first write cannot.
        world.moments.kill_at = world.moments.count + 1 if world.moments.count % (every * 5) == every else None
        plain(name)

    world.moments.pass_by = pass_by  # type: ignore[method-assign] # the moments decide by themselves
    world.run_until(END, 600)
    assert world.kills > 5
    check(world, receiver)


def test_lost_answers(folder: Path, receiver: Receiver) -> None:
    """What was submitted though the answer was lost is found, and not submitted again."""
    world = night(folder, receiver)
    world.clock.now = START + 600
    while world.clock.now < END:
        world.cluster.lost_answers = 1
        world.settle()
        world.clock.now += 120
    assert len([line for line in world.said if "not submitted yet" in line]) >= len(EXPECTED)
    check(world, receiver)


def test_silent_cluster_fails_nothing(folder: Path, receiver: Receiver) -> None:
    """While nobody answers nothing is concluded: no run has failed, and each goes on afterwards."""
    world = night(folder, receiver)
    world.run_until(START + 900, 300)
    world.cluster.silent_until = START + 3 * 3600
    with pytest.raises(UnreachableError):
        world.cluster.find("low")
    world.run_until(START + 2.5 * 3600, 600)
    runs = {run.schedule: run for run in world.runs()}
    assert all(run.failures == 0 and run.state is not State.ENDED for run in runs.values())
    assert len([line for line in world.said if "nothing is concluded" in line]) == 1
    world.run_until(START + 8 * 3600, 600)
    runs = {run.schedule: run for run in world.runs()}
    assert runs["low"].outcome is Outcome.PASSED
    assert runs["wrong"].exit_code == 2
    assert runs["late"].outcome is Outcome.DEADLINE


def test_head_that_forgot_its_jobs(folder: Path, receiver: Receiver) -> None:
    """A head that was started anew knows no jobs: each run gets the next attempt, and goes on from the store."""
    world = night(folder, receiver)
    world.run_until(START + 700, 100)
    done = world.cluster.live()
    assert done
    world.cluster.restart_head()
    world.run_until(START + 8 * 3600, 300)
    runs = {run.schedule: run for run in world.runs()}
    assert {name: (run.outcome, run.exit_code) for name, run in runs.items()} == EXPECTED
    assert all(work.completions == 1 for (name, _), work in world.cluster.work.items() if name != "late")
    assert runs["low"].failures == 1
    attempts = world.book.attempts(*runs["low"].key)
    assert "forgotten" in {attempt.status for attempt in attempts}
