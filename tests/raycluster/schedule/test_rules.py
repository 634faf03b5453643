"""What becomes of runs: each rule of the schedules by itself, through the real scheduler."""

from __future__ import annotations

import datetime as dt
import json
from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa

from raycluster.errors import ClusterError
from raycluster.program import Verdict
from raycluster.schedule import adding
from raycluster.schedule.listing import listed
from raycluster.schedule.places import report_path
from raycluster.schedule.records import CatchUp, Outcome, Run, State
from tests.raycluster.schedule.simulation import Work, World

START = dt.datetime(2026, 3, 1, 2, 30, tzinfo=dt.UTC).timestamp()
DAY, HOUR = 86400.0, 3600.0


@pytest.fixture
def world(folder: Path) -> World:
    return World(folder, START)


def only(world: World) -> Run:
    (run,) = world.runs()
    return run


@pytest.mark.parametrize(
    ("catch_up", "run", "skipped"), [(CatchUp.ALL, 5, 0), (CatchUp.LAST, 1, 4), (CatchUp.SKIP, 0, 5)]
)
def test_missed_runs(world: World, catch_up: CatchUp, run: int, skipped: int) -> None:
    """After days without a scheduler: each missed run is made up for, the last one, or none; all are on record."""
    world.add("nightly", catch_up=catch_up)
    world.clock.now += 4.5 * DAY
    world.run_until(world.clock.now + 6 * HOUR, 600)
    outcomes = [run.outcome for run in world.runs()]
    assert (outcomes.count(Outcome.PASSED), outcomes.count(Outcome.SKIPPED)) == (run, skipped)
    if catch_up is CatchUp.LAST:
        assert outcomes[-1] is Outcome.PASSED
    assert world.book.snapshot().schedules["nightly"].next_due > world.clock.now


def test_restart_at_the_due_time_misses_nothing(world: World) -> None:
    """What is found some minutes late was not missed."""
    world.add("nightly", catch_up=CatchUp.SKIP)
    world.clock.now += 34 * 60
    world.run_until(world.clock.now + HOUR, 600)
    assert only(world).outcome is Outcome.PASSED


def test_years_of_absence(world: World) -> None:
    """Thousands of due times are taken in by pieces; the last one runs."""
    world.add("hourly", "0 * * * *")
    world.clock.now += 90 * DAY
    world.run_until(world.clock.now + 0.4 * HOUR, 600)
    runs = world.runs()
    assert len(runs) == 90 * 24
    assert [run.outcome for run in runs[-2:]] == [Outcome.SKIPPED, Outcome.PASSED]


@pytest.mark.parametrize(("catch_up", "passed"), [(CatchUp.ALL, 3), (CatchUp.LAST, 2), (CatchUp.SKIP, 1)])
def test_due_while_the_run_before_goes_on(world: World, catch_up: CatchUp, passed: int) -> None:
    """Without overlap: all wait for their turn, or the last one does, or none."""
    world.cluster.make_work = lambda run: Work(2.5 * HOUR if run[1].startswith("2026-03-01T03") else HOUR)
    world.add("often", "0 3,4,5 1 3 *", no_overlap=True, catch_up=catch_up)
    world.run_until(START + 8 * HOUR, 600)
    runs = world.runs()
    assert [run.outcome for run in runs].count(Outcome.PASSED) == passed
    assert len(runs) == 3
    assert runs[0].outcome is Outcome.PASSED


def test_overlap_where_it_is_allowed(world: World) -> None:
    """Runs of one schedule may go side by side."""
    world.cluster.make_work = lambda _: Work(2.5 * HOUR)
    world.add("often", "0 3,4 * * *")
    world.run_until(START + 2 * HOUR, 600)
    assert len(world.cluster.live()) == 2


def test_clock_that_goes_back_doubles_nothing(world: World) -> None:
    """03:00 comes again: it has its run."""
    world.add("nightly")
    world.run_until(START + HOUR, 600)
    world.clock.now = START
    world.run_until(START + 2 * HOUR, 600)
    assert only(world).outcome is Outcome.PASSED


@pytest.mark.parametrize("killed", [True, False])
def test_clock_that_had_gone_ahead_loses_nothing(world: World, killed: bool) -> None:
    """A clock shows next year for a moment: once it is right again, schedules are due as they always were."""
    world.add("nightly", catch_up=CatchUp.LAST)
    world.clock.now = START + 300 * DAY
    world.settle()
    world.clock.now = START
    if killed:
        world.kill()
    world.settle()
    assert world.book.snapshot().schedules["nightly"].next_due == int(START + HOUR / 2)


def test_driver_that_dies_too_often(world: World) -> None:
    """Tried again after a rest, as often as was asked for; then the run has failed, and says how."""
    world.cluster.make_work = lambda _: Work(HOUR, dies_at=[60, 120, 180, 240])
    world.add("nightly", retries=2)
    world.run_until(START + 6 * HOUR, 60)
    run = only(world)
    assert (run.outcome, run.exit_code, run.attempt) == (Outcome.FAILED, 4, 3)
    assert "given up after 3 attempt(s): its driver died (exit code 137)" in run.reason
    attempts = world.book.attempts(*run.key)
    assert [one.exit_code for one in attempts] == [137, 137, 137]
    rests = [after.begun - (before.ended or 0) for before, after in pairwise(attempts)]
    assert rests[0] >= 60
    assert rests[1] >= 120


@pytest.mark.parametrize("code", [1, 2, 4, 126])
def test_exit_code_of_its_own_is_the_answer(world: World, code: int) -> None:
    """A run that says why it failed is not tried again."""
    world.cluster.make_work = lambda _: Work(60, exit_code=code)
    world.add("nightly")
    world.run_until(START + 2 * HOUR, 600)
    run = only(world)
    assert (run.outcome, run.exit_code, run.attempt) == (Outcome.FAILED, code, 1)
    assert world.book.snapshot().schedules["nightly"].baseline is None


def test_configuration_that_vanished(world: World) -> None:
    """That run fails, with the reason; the schedule stays, and runs again when the file is back."""
    schedule = world.add("nightly", retries=1)
    config = Path(schedule.config)
    config.rename(config.with_suffix(".away"))
    world.run_until(START + 2 * HOUR, 60)
    run = only(world)
    assert (run.outcome, run.exit_code) == (Outcome.FAILED, 2)
    assert "no configuration file" in run.reason
    config.with_suffix(".away").rename(config)
    world.run_until(START + 26 * HOUR, 600)
    assert world.runs()[-1].outcome is Outcome.PASSED


def test_deadline_of_a_run_that_still_waits(world: World) -> None:
    """It counts from when the run was queued; the reason says what it waited for."""
    world.quota("all", 1)
    world.cluster.make_work = lambda _: Work(10 * HOUR)
    world.add("first", "0 3 * * *")
    world.add("second", "0 3 * * *", deadline_s=3600)
    world.run_until(START + 3 * HOUR, 600)
    run = next(run for run in world.runs() if run.schedule == "second")
    assert run.outcome is Outcome.DEADLINE
    assert "still waited for 1 slot(s) of all teams together" in run.reason


def test_baseline_moves_to_good_runs_alone(world: World) -> None:
    """A failed or inconclusive night is held against the last good one, and so is the next; people can accept it."""
    world.add("nightly", gates="tpr")
    verdicts, results = [True, False, None, True], "results/nightly"
    for night, passed in enumerate(verdicts, start=1):
        world.program.verdicts[f"{results}/2026030{night}T0300Z-{world.database.identity}-1"] = Verdict(passed, "so")
    world.run_until(START + 4 * DAY, 1200)
    runs = world.runs()
    first = f"{results}/20260301T0300Z-{world.database.identity}-1"
    assert [run.baseline for run in runs] == [None, first, first, first]
    assert [run.outcome for run in runs] == ["passed", "gate-failed", "inconclusive", "passed"]
    assert [adding.exit_code(run) for run in runs] == [0, 3, 0, 0]
    assert world.book.snapshot().schedules["nightly"].baseline == runs[3].results
    fifth = f"{results}/20260305T0300Z-{world.database.identity}-1"
    world.program.verdicts[fifth] = Verdict(False, "worse")
    world.run_until(START + 5 * DAY, 1200)
    adding.accept(world.book, "nightly", world.database.path, lambda _: world.program)
    assert world.book.snapshot().schedules["nightly"].baseline == fifth


def test_results_that_cannot_be_judged(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tried again for a while; then it is said, and neither good nor bad."""

    def judge(*_: object) -> Verdict:
        raise ClusterError("the store does not answer")

    monkeypatch.setattr(world.program, "judge", judge)
    world.add("nightly", gates="tpr")
    world.run_until(START + 3 * HOUR, 300)
    run = only(world)
    assert (run.outcome, run.exit_code, run.judged) == (Outcome.INCONCLUSIVE, 0, 4)
    assert "could not be judged: the store does not answer" in run.verdict
    assert world.book.snapshot().schedules["nightly"].baseline is None


@pytest.mark.parametrize("stop", [True, False])
def test_removed_schedule(world: World, stop: bool) -> None:
    """What waits is dropped; what runs goes on, or is stopped; the history stays, and the name is free."""
    world.quota("all", 1)
    world.cluster.make_work = lambda _: Work(2 * HOUR)
    world.add("nightly", "0 3,4 * * *")
    world.run_until(START + 2 * HOUR, 600)
    adding.remove(world.book, "nightly", world.clock.now, stop=stop)
    world.run_until(START + 30 * HOUR, 1200)
    first, second = world.runs()
    assert first.outcome is (Outcome.STOPPED if stop else Outcome.PASSED)
    assert second.outcome is Outcome.STOPPED
    assert second.attempt == 0
    with pytest.raises(ClusterError, match="no schedule 'nightly'"):
        adding.find(world.book, "nightly")
    world.add("nightly")
    assert adding.find(world.book, "nightly").baseline is None


def test_job_that_somebody_stops_stays_stopped(world: World) -> None:
    """Whoever stops a job does not want it back."""
    world.add("nightly")
    world.run_until(START + 0.55 * HOUR, 60)
    (job,) = world.cluster.live()
    world.cluster.stop(job)
    world.run_until(START + 2 * HOUR, 600)
    assert only(world).outcome is Outcome.STOPPED


def test_full_disk_loses_nothing(world: World) -> None:
    """The state file cannot grow: nothing is half written, and it goes on where there is room again."""
    world.add("nightly")
    with world.database.reading() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    limit = [pages]

    @sa.event.listens_for(world.database._engine, "begin")
    def _full(connection: sa.Connection) -> None:
        connection.exec_driver_sql(f"PRAGMA max_page_count = {limit[0]}")

    world.clock.now = START + HOUR

    def fill() -> None:
        while True:
            world.book.add_run("nightly", world.clock.now)

    with pytest.raises(sa.exc.OperationalError, match="full"):
        fill()
    before = len(world.runs())
    with pytest.raises(sa.exc.OperationalError, match="full"):
        world.settle()
    limit[0] = 100_000
    world.run_until(START + 2 * HOUR, 600)
    runs = world.runs()
    assert len(runs) in {before, before + 1}
    assert {run.outcome for run in runs} == {Outcome.PASSED}


def test_report_is_whole_and_versioned(world: World) -> None:
    """A JSON file for each run, of which programs can rely on."""
    world.add("nightly", gates="tpr")
    world.run_until(START + 2 * HOUR, 600)
    run = only(world)
    found = json.loads(report_path(world.database.path, run).read_text())
    assert list(found) == [
        *("schema_version", "event_id", "text", "schedule", "due", "kind", "outcome", "exit_code", "reason", "gates"),
        *("results", "team", "priority", "gpus", "queued", "started", "ended", "preemptions", "attempts"),
    ]
    assert found["event_id"] == f"nightly-20260301T0300Z-{world.database.identity}-ended"
    assert found["gates"] == {"asked": ["tpr"], "verdict": ["passed: as it should"], "baseline": None}
    assert list(found["attempts"][0]) == ["job", "begun", "started", "ended", "status", "exit_code", "reason"]
    assert report_path(world.database.path, run).stat().st_mode & 0o077 == 0


def test_list_says_what_is_waited_for(world: World) -> None:
    """Nobody has to guess why nothing happens."""
    world.quota("vision", 1)
    world.add("a", team="vision", priority=1)
    world.add("b", team="vision")
    world.run_until(START + 0.52 * HOUR, 60)
    assert [row["open"] for row in listed(world.book, world.clock.now)] == [
        ["2026-03-01T03:00:00Z running"],
        ["2026-03-01T03:00:00Z waiting for 1 slot(s) of team vision"],
    ]


def test_runs_at_once_take_their_turn(world: World) -> None:
    """Any number of them, beside what is due; none takes the due time of another."""
    world.quota("all", 1)
    world.add("nightly", no_overlap=True)
    world.clock.now = START + HOUR / 2 - 1
    keys = {world.book.add_run("nightly", world.clock.now).key for _ in range(3)}
    assert len(keys) == 3
    world.run_until(START + 3 * HOUR, 300)
    assert [run.outcome for run in world.runs()] == [Outcome.PASSED] * 4
    assert all(run.state is State.ENDED for run in world.runs())
