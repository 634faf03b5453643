"""Staying with a job: what is tried again, what is not, and what is said; the fates of jobs are written down."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from raycluster.errors import ClusterError, LostError, UnreachableError
from raycluster.jobs.attending import STOPPED_CODE, Patience, attend, fetched
from raycluster.jobs.job import Job
from raycluster.jobs.server import RayJobServer, connect_jobs
from raycluster.jobs.submissions import RESULTS
from raycluster.jobs.submitting import Wish, submit
from raycluster.program import Parcel
from tests.raycluster.jobs.programs import PARCEL, Prog
from tests.raycluster.jobs.scripted import FORGOTTEN, KILLED, LOST, Fate, ScriptedCluster


@pytest.fixture
def play(prog: Prog) -> Callable[..., tuple[ScriptedCluster, int, list[str], list[str]]]:
    """Return what submits a configuration to a cluster of some fates and stays with it."""
    del prog

    def start(*fates: Fate, retries: int = 3) -> tuple[ScriptedCluster, int, list[str], list[str]]:
        shown: list[str] = []
        said: list[str] = []
        with ScriptedCluster(fates).running() as cluster:
            submitted = submit("x.yaml", address=cluster.address, say=said.append)
            attended = attend(submitted, shown.append, said.append, Patience(retries=retries))
            fetched(attended, said.append)
        return cluster, attended.exit_code, shown, said

    return start


def ids(cluster: ScriptedCluster) -> list[str]:
    return [body["submission_id"].removeprefix("x-000000000000-") for body in cluster.submitted]


Play = Callable[..., tuple[ScriptedCluster, int, list[str], list[str]]]


def test_what_died_is_tried_again(play: Play, prog: Prog) -> None:
    """Killed, lost with its node, forgotten by its head: each is another attempt, with results of its own."""
    cluster, code, shown, said = play(KILLED, LOST, FORGOTTEN, Fate("done\n"))
    assert (code, ids(cluster)) == (0, ["1", "2", "3", "4"])
    assert shown == ["AT WORK"] * 3 + ["DONE"]
    assert prog.uploads == [f"s3://b/runs/x-000000000000-{n}" for n in range(1, 5)]
    assert prog.fetches == [("s3://b/runs/x-000000000000-4", Path("out"))]
    assert [body["metadata"][RESULTS] for body in cluster.submitted] == prog.uploads
    assert ["killed (exit code 137)" in said[0], "went away" in said[1], "started again" in said[2]] == [True] * 3


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 127])
def test_what_ended_by_itself_is_not_tried_again(play: Play, prog: Prog, code: int) -> None:
    """Its exit code is the command's; its results are brought here where it left some."""
    fate = Fate(status="FAILED" if code else "SUCCEEDED", exit_code=code)
    cluster, found, _, _ = play(fate)
    assert (found, ids(cluster)) == (code, ["1"])
    assert len(prog.fetches) == (1 if code in {0, 1} else 0)


def test_attempts_have_an_end(play: Play, prog: Prog) -> None:
    """A run that is killed time after time is given up, with what to do."""
    with pytest.raises(
        LostError, match=r"x-000000000000-3: .*killed.*after 2 more attempts it is given up.*submit it again"
    ):
        play(KILLED, KILLED, KILLED, KILLED, retries=2)
    assert prog.fetches == []


def test_stopped_run_stays_stopped(play: Play, prog: Prog) -> None:
    """Whoever stops a run means it."""
    cluster, code, _, _ = play(Fate(status="STOPPED", exit_code=None))
    assert (code, ids(cluster), prog.fetches) == (STOPPED_CODE, ["1"], [])


def test_environment_that_cannot_be_made_is_not_tried_again(play: Play, prog: Prog) -> None:
    """It would fail again; the cluster's reason is said."""
    fate = Fate("", "FAILED", None, "runtime_env setup failed: no such package")
    with pytest.raises(LostError, match=r"did not begin: .*no such package"):
        play(fate, Fate())
    assert prog.fetches == []


def test_equal_submission_finds_the_job_that_is_there(prog: Prog) -> None:
    """Running: it is waited for. Done: it is said. Failed: another attempt. --again: another one, but not beside it."""
    del prog
    with ScriptedCluster([Fate(status="FAILED", exit_code=4), Fate(), Fate()]).running() as cluster:
        first = submit("x.yaml", address=cluster.address)
        assert (first.found, first.number) == (False, 1)
        again = submit("x.yaml", address=cluster.address)
        assert (again.found, again.number, again.job.status) == (True, 1, "running")
        with pytest.raises(ClusterError, match=r"raycluster stop x-000000000000-1"):
            submit("x.yaml", Wish(again=True), address=cluster.address)
        list(connect_jobs(cluster.address).follow(first.job.id))
        second = submit("x.yaml", address=cluster.address)
        assert (second.found, second.number) == (False, 2)
        list(connect_jobs(cluster.address).follow(second.job.id))
        done = submit("x.yaml", address=cluster.address)
        assert (done.found, done.number, done.job.status) == (True, 2, "succeeded")
        assert done.results == "s3://b/runs/x-000000000000-2"
        assert submit("x.yaml", Wish(again=True), address=cluster.address).number == 3


def test_results_that_lie_elsewhere_are_another_attempt(prog: Prog) -> None:
    """A run is done where its results are where they are wanted: with none to fetch, nobody else brings them there."""

    def wanted(results: str) -> Parcel:
        return dataclasses.replace(PARCEL, out=None, results=results, command=("prog", "--out", results))

    with ScriptedCluster([Fate(), Fate()]).running() as cluster:
        prog.parcel = wanted("/a")
        first = submit("x.yaml", address=cluster.address)
        prog.parcel = wanted("/b")
        with pytest.raises(ClusterError, match=r"leaves its results in /a, not in /b.*raycluster stop x-0{12}-1"):
            submit("x.yaml", address=cluster.address)
        list(connect_jobs(cluster.address).follow(first.job.id))
        second = submit("x.yaml", address=cluster.address)
        assert (second.found, second.number, second.results) == (False, 2, "/b")
        list(connect_jobs(cluster.address).follow(second.job.id))
        assert submit("x.yaml", address=cluster.address).found


def test_submission_without_an_answer_may_be_there(prog: Prog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody says that nothing was submitted where nobody knows."""
    del prog

    def silent(*_: object) -> Job:
        raise UnreachableError("timed out")

    monkeypatch.setattr(RayJobServer, "submit", silent)
    with (
        ScriptedCluster([]).running() as cluster,
        pytest.raises(LostError, match=r"timed out. Whether .* is not known"),
    ):
        submit("x.yaml", address=cluster.address)


def test_code_that_travels_is_a_part_of_the_id(prog: Prog, tmp_path: Path) -> None:
    """Other code of the working tree is another job."""
    del prog
    (tmp_path / "code.py").write_text("x = 1")
    with ScriptedCluster([Fate(), Fate(), Fate()]).running() as cluster:
        wish = Wish(tree=tmp_path)
        first = submit("x.yaml", wish, address=cluster.address)
        assert submit("x.yaml", wish, address=cluster.address).job.id == first.job.id
        (tmp_path / "code.py").write_text("x = 2")
        assert submit("x.yaml", wish, address=cluster.address).job.id != first.job.id
        assert submit("x.yaml", address=cluster.address).number == 1
    assert all("working_dir" in body["runtime_env"] for body in cluster.submitted)


def test_nothing_secret_is_sent(prog: Prog, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials reach a cluster by its own role: they are neither sent nor left out without a word."""
    del prog
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA-OF-THIS-SHELL")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET-OF-THIS-SHELL")
    said: list[str] = []
    with ScriptedCluster([Fate()]).running() as cluster:
        submit("x.yaml", address=cluster.address, say=said.append)
    assert "AWS_ACCESS_KEY_ID" in said[0]
    assert "not sent" in said[0]
    sent = repr(cluster.submitted)
    assert "OF-THIS-SHELL" not in sent
    assert "tttt" not in sent
