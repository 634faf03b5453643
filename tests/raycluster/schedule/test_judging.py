"""Finished runs are judged: when their results can be read, and against copies that nobody tidies up."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from raycluster.program import Verdict
from raycluster.schedule.records import Outcome, Run, State
from tests.raycluster.schedule.simulation import Work, World

START = dt.datetime(2026, 3, 1, 2, 30, tzinfo=dt.UTC).timestamp()
DAY, HOUR = 86400.0, 3600.0


@pytest.fixture
def world(folder: Path) -> World:
    return World(folder, START)


def only(world: World) -> Run:
    (run,) = world.runs()
    return run


def test_store_that_does_not_answer_is_waited_for(world: World) -> None:
    """A run that is done is judged when its results can be read: an outage of hours is no verdict."""
    world.add("nightly", gates="tpr")
    world.cluster.make_work = lambda _: Work(60)
    world.run_until(START + 30.5 * 60, 60)
    world.program.outages = 300
    world.run_until(START + 4 * HOUR, 60)
    run = only(world)
    assert (run.state, run.outcome) == (State.JUDGING, None)
    assert "not judged yet: the store does not answer" in run.verdict
    world.program.outages = 0
    world.run_until(START + 5 * HOUR, 60)
    run = only(world)
    assert (run.outcome, run.verdict) == (Outcome.PASSED, "passed: as it should")


def test_deadline_ends_the_waiting_for_a_verdict(world: World) -> None:
    """Who asked for results by then is told that they are there, and that nobody has judged them."""
    world.add("nightly", gates="tpr", deadline_s=3600)
    world.cluster.make_work = lambda _: Work(60)
    world.run_until(START + 30.5 * 60, 60)
    world.program.outages = 100_000
    world.run_until(START + 2 * HOUR, 60)
    run = only(world)
    assert (run.outcome, run.exit_code) == (Outcome.INCONCLUSIVE, 0)
    assert "it could not be judged: the store does not answer" in run.verdict


def test_last_good_results_are_kept_beside_the_state(world: World) -> None:
    """Where runs leave their results, somebody tidies up: runs are held against a copy of the last good ones."""
    world.add("nightly", gates="tpr")
    held: list[str | None] = []
    judge = world.program.judge

    def noted(results: str, baseline: str | None, gates: Sequence[str]) -> Verdict:
        held.append(baseline)
        return judge(results, baseline, gates)

    world.program.judge = noted  # type: ignore[method-assign] # the simulation's own does the rest
    world.run_until(START + 3 * DAY, 1200)
    first, second, third = world.runs()
    copies = list((world.folder / "state-baselines" / "nightly").iterdir())
    assert [(copy / "kept").read_text() for copy in copies] == [third.results]
    assert held[0] is None
    assert [str(world.folder) in (path or "") for path in held[1:]] == [True, True]
    assert [baseline for _, baseline in world.program.judged] == [None, first.results, second.results]
    shutil.rmtree(copies[0])
    world.run_until(START + 4 * DAY, 1200)
    assert held[-1] == third.results


def test_gpus_that_are_away_are_planned_for(world: World) -> None:
    """A head that was started again has none for a while: runs are planned for those that it had."""
    world.add("nightly")
    world.run_until(START + HOUR, 600)
    world.cluster.gpus = 4
    world.run_until(START + DAY + HOUR, 600)
    world.cluster.gpus = 0
    world.run_until(START + 2 * DAY + HOUR, 600)
    world.cluster.gpus = 2
    world.run_until(START + 3 * DAY + HOUR, 600)
    assert [asked.gpus for asked in world.program.asked] == [0, 4, 4, 2]
    assert len([line for line in world.said if "the cluster has no GPUs now, and had 4: it waits" in line]) == 1
