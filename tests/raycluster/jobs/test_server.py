"""Jobs on a real head, over its job server."""

from __future__ import annotations

import re
import shlex
import time
from pathlib import Path

import pytest

from raycluster.access.web import Answer
from raycluster.cluster.looking import waiting_for
from raycluster.errors import ClusterError, DeniedError, ForgottenError, LostError, UnreachableError
from raycluster.jobs import server as server_module
from raycluster.jobs.attending import Patience, attend
from raycluster.jobs.commands import stop_and_wait
from raycluster.jobs.job import ENDED, Job, Submission
from raycluster.jobs.server import RayJobServer, connect_jobs
from raycluster.jobs.submitting import Errand, Submitted
from raycluster.program import Parcel, find_program
from raycluster.schedule.outside import real
from raycluster.schedule.records import NO_TEAM, CatchUp, Schedule
from tests.ray_head import RayHead
from tests.raycluster.jobs.conftest import use_token
from tests.s3_server import S3Server

PATIENCE_S = 180.0


def until(server: RayJobServer, job_id: str, *statuses: str) -> Job:
    """Wait until a job has one of some statuses."""
    deadline = time.monotonic() + PATIENCE_S
    while (job := server.find(job_id)) is None or job.status not in statuses:
        assert time.monotonic() < deadline, f"{job} is not {statuses}"
        time.sleep(0.2)
    return job


def test_job_is_submitted_once_and_followed_to_its_end(server: RayJobServer) -> None:
    """Its files are there, every line comes once, its exit code is its own, and a second submission is the same job."""
    wanted = Submission(
        "followed-1",
        "cat a/b.txt && echo $GREETING && for i in 1 2 3; do echo line $i; sleep 0.4; done; printf end; exit 3",
        files={"a/b.txt": b"from the folder\n"},
        env_vars={"GREETING": "hello"},
        metadata={"who": "tests"},
    )
    first = server.submit(wanted)
    assert server.submit(wanted).id == first.id == "followed-1"
    lines = [line for line in server.follow("followed-1") if not line.startswith(("Running", "20"))]
    assert lines == ["from the folder", "hello", "line 1", "line 2", "line 3", "end"]
    done = until(server, "followed-1", *ENDED)
    assert (done.status, done.exit_code, done.metadata["who"]) == ("failed", 3, "tests")
    assert done.started is not None
    assert abs(done.started - time.time()) < 10 * PATIENCE_S
    assert [job.id for job in server.jobs()].count("followed-1") == 1
    assert server.log("followed-1", tail=1) == "end"
    assert stop_and_wait(server, "followed-1") == done  # nothing happens to what has ended


def test_killed_driver_has_the_code_of_its_signal(server: RayJobServer) -> None:
    """So whoever waits tells it from one that ended by itself."""
    server.submit(Submission("killed-1", "exec sh -c 'kill -9 $$'"))
    assert until(server, "killed-1", *ENDED).exit_code == 128 + 9


def test_stopped_job_may_put_its_things_away(server: RayJobServer, tmp_path: Path) -> None:
    """A stop is a SIGTERM first; the job has as long as it asked for."""
    mark = tmp_path / "ended"
    command = f"trap 'sleep 4; echo bye > {mark}; exit 0' TERM; echo ready; while true; do sleep 0.1; done"
    server.submit(Submission("stopped-1", command, env_vars={"RAY_JOB_STOP_WAIT_TIME_S": "20"}))
    assert "ready" in server.follow("stopped-1")
    assert stop_and_wait(server, "stopped-1").status == "stopped"
    assert mark.read_text() == "bye\n"


def test_unknown_job_is_said(server: RayJobServer) -> None:
    """A head that was started again knows nothing of the jobs of before."""
    assert server.find("no-such-job") is None
    for ask in (server.stop, server.log, lambda name: next(server.follow(name))):
        with pytest.raises(ForgottenError, match="no-such-job"):
            ask("no-such-job")


@pytest.mark.parametrize(
    ("token", "said"), [(None, "wants a token"), ("0" * 64, "does not take the token of .*RAY_AUTH_TOKEN")]
)
def test_token_is_asked_for(
    ray_head: RayHead, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, token: str | None, said: str
) -> None:
    """Whoever has no token, or a wrong one, is told so, and the token is not in the message."""
    monkeypatch.setenv("HOME", str(tmp_path))
    use_token(monkeypatch, token)
    with pytest.raises(DeniedError, match=said) as caught:
        connect_jobs(ray_head.address).jobs()
    assert "0000" not in str(caught.value)


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said at once, with what to do."""
    use_token(monkeypatch, "x" * 32)
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:9.*refused"):
        connect_jobs("http://127.0.0.1:9").jobs()


def test_somebody_else_there(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is no head is told from one; nothing is submitted there."""
    use_token(monkeypatch, "x" * 32)
    with pytest.raises(ClusterError):
        connect_jobs(s3.endpoint).jobs()


@pytest.mark.parametrize("address", ["http://192.0.2.55:8265", "http://example.com:8265", "http://8.8.8.8"])
def test_foreign_host_over_plain_http_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token is worth a shell on the cluster: it does not travel where others read it, unless the user says so."""
    use_token(monkeypatch, "x" * 32)
    with pytest.raises(ClusterError, match=r"nothing was sent|cannot be found"):
        connect_jobs(address)


def test_run_that_never_begins_is_given_up_with_the_reason(server: RayJobServer) -> None:
    """Work that no node can take would wait for ever: after the deadline it is stopped, and what is missing is said."""
    code = "import ray; ray.init('auto', log_to_driver=False); ray.get(ray.remote(num_gpus=1)(lambda: 1).remote())"
    python = 'exec "$(command -v python || command -v python3)"'
    job = server.submit(Submission("starving-1", f"{python} -c {shlex.quote(code)}"))
    errand = Errand(server, find_program(), Parcel("starving", "0" * 64, {}, (), ""), None)
    submitted = Submitted(errand, 1, job, found=False)
    deadline = time.monotonic() + PATIENCE_S
    while not any(waiting.missing for waiting in waiting_for(server.server, job.id)):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert waiting_for(server.server, "starving") == []
    outside, schedule = real(quiet), schedule_on(server.server.url)
    assert re.fullmatch(r"1 \S+: no node has 1 GPU", outside.waits_for(schedule, job.id))
    assert outside.gpus(schedule) == 0
    assert outside.connect(schedule).find(job.id) is not None
    with pytest.raises(LostError, match=r"has not begun within 1 s and was stopped: .* waits: no node has 1 GPU"):
        attend(submitted, quiet, quiet, Patience(start_s=1))
    assert until(server, "starving-1", *ENDED).status == "stopped"


def test_run_that_waits_for_others_goes_on_waiting(server: RayJobServer, tmp_path: Path) -> None:
    """What is in use will be free: nobody stops a run for that, and what it waits for is said."""
    told = tmp_path / "told"
    # Two that want all CPUs, until it was told that one of them waits, or far too long.
    code = (
        "import os, ray, time; ray.init('auto', log_to_driver=False); "
        f"wait = lambda: [0 for _ in range(600) if os.path.exists({str(told)!r}) or time.sleep(0.1)]; "
        "f = ray.remote(num_cpus=2)(wait); ray.get([f.remote(), f.remote()])"
    )
    python = 'exec "$(command -v python || command -v python3)"'
    server.submit(Submission("queueing-1", f"{python} -c {shlex.quote(code)}"))
    job = until(server, "queueing-1", "running")  # half a second is not enough for its environment
    errand = Errand(server, find_program(), Parcel("queueing", "0" * 64, {}, (), ""), None)

    def say(line: str) -> None:
        if re.search(r"queueing-1: .*waits: 2 of 2 CPU in use", line):
            told.touch()

    attended = attend(Submitted(errand, 1, job, found=False), quiet, say, Patience(start_s=0.5))
    assert (attended.job.status, attended.exit_code) == ("succeeded", 0)
    assert told.exists()


def test_answers_of_another_form_are_no_bug_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is no head's answers what it likes: it is said in a sentence."""
    use_token(monkeypatch, "x" * 32)
    jobs = connect_jobs("http://127.0.0.1:9")
    for body in (b"[1]", b'"x"', b'[{"type": "SUBMISSION", "start_time": "now"}]', b'{"metadata": [1], "x-1": 1}'):
        monkeypatch.setattr(server_module, "ask", lambda *_a, body=body, **_k: Answer(200, body))
        with pytest.raises(ClusterError, match=r"answers|no job server"):
            jobs.jobs() if body.startswith(b"[") else jobs.find("x-1")


def test_package_is_there_only_where_the_cluster_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error is no yes: the package is sent, or the job is not submitted."""
    use_token(monkeypatch, "x" * 32)
    asked: list[str] = []

    def ask(_server: object, method: str, path: str, **_: object) -> Answer:
        asked.append(method)
        return Answer(404, b"Job x-1 does not exist") if path.startswith("/api/jobs/") else Answer(500, b"no")

    monkeypatch.setattr(server_module, "ask", ask)
    with pytest.raises(ClusterError, match="500"):
        connect_jobs("http://127.0.0.1:9").submit(Submission("x-1", "true", files={"a": b""}))
    assert asked == ["GET", "GET", "PUT"]


def schedule_on(address: str) -> Schedule:
    """Return a schedule of a cluster."""
    return Schedule(
        "s", "evaljobs", "x.yaml", (), False, "0 3 * * *", "UTC", NO_TEAM, 0, 1, None, False, CatchUp.LAST, 0, address,
        False, None, 0.0, 0,
    )  # fmt: skip


def quiet(_: str) -> None:
    """Say nothing."""
