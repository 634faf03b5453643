"""What goes wrong with one run, one cluster or one service keeps no other run from its turn."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from raycluster.errors import ClusterError
from raycluster.jobs.job import Submission
from raycluster.schedule import adding
from raycluster.schedule.adding import Wanted
from raycluster.schedule.places import report_path
from raycluster.schedule.records import CatchUp, Outcome, Run, Snapshot
from tests.raycluster.schedule.receiver import Receiver
from tests.raycluster.schedule.simulation import Work, World

START = dt.datetime(2026, 3, 1, 2, 30, tzinfo=dt.UTC).timestamp()
DAY, HOUR = 86400.0, 3600.0


@pytest.fixture
def world(folder: Path) -> World:
    return World(folder, START)


def of(world: World, schedule: str) -> list[Run]:
    return [run for run in world.runs() if run.schedule == schedule]


def test_two_state_files_share_a_cluster(folder: Path) -> None:
    """Two teams have a schedule of one name, due at one time: jobs, results and events are told apart."""
    runs = []
    for name in ("a", "b"):
        (folder / name).mkdir()
        world = World(folder / name, START)
        world.add("nightly")
        runs.append(world.book.add_run("nightly", START + 1))
        assert world.book.run(*runs[-1].key) == runs[-1]
    assert runs[0].key == runs[1].key
    for one, other in zip(*((run.job_id, run.folder, run.id) for run in runs), strict=True):
        assert one != other


def test_job_of_somebody_else_is_not_ours(world: World) -> None:
    """Whatever its id: it is left alone, and the run gets the next attempt."""
    world.add("nightly")
    run = world.book.add_run("nightly", START)
    about = {"raycluster.schedule": "theirs", "raycluster.due": "now", "raycluster.team": "x", "raycluster.gpus": "1"}
    theirs = world.cluster.submit(Submission(f"{run.id}-1", "theirs", metadata=about))
    world.run_until(START + HOUR / 3, 60)
    (ours,) = world.runs()
    assert (ours.outcome, ours.attempt, ours.results) == (Outcome.PASSED, 2, f"results/nightly/{ours.folder}")
    assert "somebody else's" in world.book.attempts(*run.key)[0].reason
    found = world.cluster.find(theirs.id)
    assert found is not None
    assert found.status == "succeeded"


def test_report_that_cannot_be_written_stops_nobody(world: World) -> None:
    """The other runs go on and are reported; it is said once, and written when there is room."""
    world.add("a")
    world.add("b")
    blocked = report_path(world.database.path, Run("a", 0, "due", "ended", 0.0, "")).parent  # type: ignore[arg-type]
    blocked.parent.mkdir()
    blocked.touch()
    world.run_until(START + DAY + HOUR, 600)
    assert [run.reported for run in of(world, "a")] == [False, False]
    assert [run.reported for run in of(world, "b")] == [True, True]
    assert len([line for line in world.said if str(blocked) in line]) == 2
    blocked.unlink()
    world.settle()
    assert all(run.reported for run in world.runs())


def test_no_error_ends_the_scheduler(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one that nobody has thought of."""
    plain, calls = world.book.snapshot, []

    def snapshot() -> Snapshot:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("odd")
        world.daemon.stop()
        return plain()

    monkeypatch.setattr(world.book, "snapshot", snapshot)
    world.daemon.run(0.01)
    assert len(calls) == 2
    assert [line for line in world.said if line.startswith("RuntimeError: odd; nothing is lost")]


@pytest.mark.parametrize("requests", [1, 2, 7])
def test_store_that_does_not_answer_fails_nothing(world: World, requests: int) -> None:
    """An outage of minutes, while it is packed or uploaded: the run rests, and no attempt is lost by it."""
    world.add("nightly", retries=0)
    world.program.outages = requests
    world.run_until(START + 2 * HOUR, 30)
    (run,) = world.runs()
    assert (run.outcome, run.attempt, run.failures) == (Outcome.PASSED, 1, 0)
    assert len([line for line in world.said if "not prepared yet: the store does not answer" in line]) == requests


def test_store_that_never_answers_again_is_the_reason(world: World) -> None:
    """The deadline ends the waiting, and says for what."""
    world.add("nightly", deadline_s=3600)
    world.program.outages = 1000
    world.run_until(START + 2 * HOUR, 600)
    (run,) = world.runs()
    assert run.outcome is Outcome.DEADLINE
    assert "not prepared yet: the store does not answer" in run.reason


def test_deadline_says_what_the_work_waited_for(world: World) -> None:
    """Its driver runs, and its workers have no place: that is why it is late."""
    world.cluster.make_work = lambda _: Work(10 * HOUR)
    world.add("nightly", deadline_s=3600)
    world.settle()
    world.waits.default_factory = lambda: "2 Worker: no node has 1 GPU"
    world.run_until(START + 3 * HOUR, 600)
    (run,) = world.runs()
    assert run.outcome is Outcome.DEADLINE
    assert "its work waited: 2 Worker: no node has 1 GPU" in run.reason


def test_one_state_file_counts_the_slots_of_one_cluster(world: World) -> None:
    """A quota is of one cluster: schedules of another are refused."""
    world.add("here", address="http://127.0.0.1:8265")
    wanted = Wanted(world.folder / "here.yaml", "0 3 * * *", "UTC", 1, "default", 0, "sim", name="there")
    with pytest.raises(ClusterError, match="quotas count the slots of one cluster"):
        adding.add(world.book, wanted, lambda _: world.program, START)
    same = Wanted(**{**vars(wanted), "address": "http://127.0.0.1:8265"})
    assert adding.add(world.book, same, lambda _: world.program, START).schedule.name == "there"


def test_starved_runs_are_told(folder: Path, receiver: Receiver) -> None:
    """A schedule that never gets slots is heard of; one whose run is still at work is not, every time."""
    receiver.bodies.clear()
    receiver.answer = lambda: 204
    world = World(folder, START, receiver.url)
    world.quota("all", 1)
    world.cluster.make_work = lambda _: Work(90 * HOUR)
    world.add("long", "0 3 1 * *", priority=1)
    world.add("starved", "30 3 * * *", no_overlap=True, catch_up=CatchUp.LAST)
    world.run_until(START + 3 * DAY, 1200)
    skipped = [run for run in of(world, "starved") if run.outcome is Outcome.SKIPPED]
    assert len(skipped) == 2
    assert all("it waited for 1 slot(s) of all teams together" in run.reason for run in skipped)
    assert all(report_path(world.database.path, run).exists() for run in skipped)
    assert {body["event_id"] for body in receiver.bodies} >= {f"{run.id}-ended" for run in skipped}
    world.run_until(START + 8 * DAY, 1200)
    skipped = [run for run in of(world, "starved") if run.outcome is Outcome.SKIPPED]
    behind = [run for run in skipped if "it waited for" not in run.reason]
    assert 0 < len(behind) < len(skipped)
    assert not any(report_path(world.database.path, run).exists() for run in behind)


@pytest.mark.parametrize("stop", [True, False])
def test_removed_schedule_whose_run_was_stopped_for_another(world: World, stop: bool) -> None:
    """It has begun, so it goes on when there is room, unless it is to be stopped."""
    world.quota("all", 1)
    world.add("low")
    world.run_until(START + 0.55 * HOUR, 60)
    world.add("high", "35 3 * * *", priority=5)
    world.book.add_run("high", world.clock.now)
    world.run_until(START + 0.6 * HOUR, 60)
    assert of(world, "low")[0].preemptions == 1
    adding.remove(world.book, "low", world.clock.now, stop=stop)
    world.run_until(START + 3 * HOUR, 600)
    assert of(world, "low")[0].outcome is (Outcome.STOPPED if stop else Outcome.PASSED)
