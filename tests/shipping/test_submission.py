"""From this machine to a cluster and back: the command `raycluster submit`, a real head, a real S3 server."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from evaljobs.config import load
from evaljobs.errors import ExitCode
from evaljobs.progress import Quiet
from evaljobs.run import Options, run
from raycluster.cluster.looking import status
from raycluster.connection.connect import Cluster
from raycluster.jobs.job import ENDED
from raycluster.jobs.stages import summary
from raycluster.program import Stage
from tests.engine.conftest import Bench
from tests.ray_head import RayHead
from tests.raycluster import command_line

TIMEOUT_S = 240.0
ROOT = Path(__file__).parents[2]
Command = Callable[..., tuple[int, str, str]]
Start = Callable[..., subprocess.Popen[str]]
# A GPU that never cools down.
BUSY = {"guest": {"gpu_temperature": 80, "every_s": 0.5, "recorded": [{"gpu_temperature": 87, "cpu_utilisation": 5}]}}


@pytest.fixture
def environment(ray_head: RayHead, cache: Path, tmp_path: Path) -> dict[str, str]:
    """What reaches the head of the tests, and folders of its own."""
    return {**ray_head.environment, "XDG_CACHE_HOME": str(cache), "XDG_STATE_HOME": str(tmp_path / "state")}


@pytest.fixture
def start(ray_head: RayHead, environment: dict[str, str]) -> Iterator[Start]:
    """Return what starts the command line in a process of its own, to be interrupted or waited for."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "raycluster", *map(str, arguments), "--address", ray_head.address]
        pipe = subprocess.PIPE
        started.append(subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True))
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def raycluster(ray_head: RayHead, environment: dict[str, str]) -> Command:
    """Return what carries a command out in this process: exit code, output and errors."""

    def call(*arguments: object) -> tuple[int, str, str]:
        done = command_line.run(*arguments, "--address", ray_head.address, environment=environment)
        return done.returncode, done.stdout, done.stderr

    return call


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Return exit code, output and errors."""
    out, err = process.communicate(timeout=TIMEOUT_S)
    return process.returncode, out, err


def undisturbed(results: Path) -> dict[str, Any]:
    """Return what two equal runs have in common."""
    found = json.loads(results.read_text())
    del found["execution"]
    return dict(found)


def job_of(err: str) -> str:
    found = re.search(r"^(?:submitted )?(benchmark-[0-9a-f]{12}-\d+)", err, re.MULTILINE)
    assert found, err
    return found[1]


def driver_of(job: str) -> psutil.Process:
    """Return the process of a run whose results go to the folder of a job, as soon as it is there."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            if "evaljobs" in words and "run" in words and any(word.endswith(f"/{job}") for word in words):
                return process
        time.sleep(0.05)
    raise AssertionError(f"no process of {job}")


def test_results_of_a_cluster_are_those_of_this_machine(local: Bench, raycluster: Command, cluster: Cluster) -> None:
    """Local images and models: the same numbers, ids, names and exit code come back; nothing is sent or run twice."""
    (local.folder / "models" / "bad.onnx").write_bytes(b"no model")
    path = local.write()
    here = local.folder / "here"
    assert cluster.cpus == 2
    config = load(path, [f"store={here}-store"])
    assert run(config, path, Quiet(), Options(out=here)).exit_code == ExitCode.SOME_FAILED

    code, out, _ = raycluster("submit", path, "--dry-run")
    assert (code, "nothing was sent" in out) == (0, True)
    assert "python -m evaljobs run benchmark.yaml --address auto --out s3://" in out

    code, out, err = raycluster("submit", path, "--detach")
    job = job_of(err)
    assert (code, out) == (0, "")
    assert re.search(r"uploading \d+ files", err)
    assert "the run will refuse bad" in err
    code, out, _ = raycluster("jobs", "--json")
    assert job in {found["id"] for found in json.loads(out)["jobs"]}

    code, out, err = raycluster("submit", path)
    assert code == 1, err
    assert re.search(rf"{job} is (pending|running) already", err)
    assert "Running entrypoint" not in out
    assert undisturbed(local.out / "results.json") == undisturbed(here / "results.json")
    assert (local.out / "results.csv").read_bytes() == (here / "results.csv").read_bytes()

    code, out, err = raycluster("submit", path)  # something failed: whoever asks again gets another attempt
    assert (code, job_of(err)) == (1, job[:-1] + "2")
    assert "Everything is computed already" in out
    assert "uploading" not in err


def test_killed_driver_is_submitted_again_and_goes_on(
    local: Bench, raycluster: Command, start: Start, ray_head: RayHead, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray runs a job once; who waits for it tries again, and ends with the exit code of the run that ended.

    Meanwhile the status of the cluster says how far the run is, and each of its models.
    """
    local.images(6, 20)
    waiting = start("submit", local.write())
    assert waiting.stderr is not None
    job = ""
    for line in waiting.stderr:
        if line.startswith("submitted"):
            job = job_of(line)
            break
    driver_of(job).send_signal(signal.SIGKILL)
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(ray_head.token_file))
    assert_status_follows(ray_head.address, f"{job[:-1]}2")
    code, _, err = ended(waiting)
    assert code == 0, err
    assert f"{job}: its driver was killed (exit code 137); submitted again as attempt 2" in err
    assert len(undisturbed(local.out / "results.json")["evaluations"]) == 2

    (local.out / "results.json").unlink()
    code, _, err = raycluster("submit", local.folder / "benchmark.yaml")
    assert (code, "uploading" in err) == (0, False)
    assert f"{job[:-1]}2 is done already; --again runs it once more" in err
    assert len(undisturbed(local.out / "results.json")["evaluations"]) == 2


def assert_status_follows(address: str, job: str) -> None:
    """From outside, over HTTP: the run's stages and its models by name, and what is in use, until it ends."""
    seen: dict[tuple[str | None, str], Stage] = {}
    busy = 0.0
    over = False
    deadline = time.monotonic() + TIMEOUT_S
    while not over:
        assert time.monotonic() < deadline, seen
        time.sleep(0.2)
        state = status(address)
        found = [one for one in state.jobs if one.job.id == job]
        seen |= {(stage.model, stage.stage): stage for one in found for stage in one.stages}
        busy = max(busy, *(node.used.get("CPU", 0.0) for node in state.nodes))
        over = any(one.job.status in ENDED for one in found)
    assert [one.job.status for one in found] == ["succeeded"]
    assert {model for model, _ in seen if model} >= {"one", "two"}
    assert any(model is None for model, _ in seen)
    assert summary(list(seen.values()))
    assert busy > 0
    assert [node.alive for node in state.nodes] == [True]


def test_interruption_leaves_the_run_alone(local: Bench, raycluster: Command, start: Start) -> None:
    """Ctrl-C says how to come back, and how to end it; ended, the run says so itself, and nothing is brought here.

    Its code is that of a working tree.
    """
    local.config["cluster"] = BUSY  # it does not end by itself
    path = local.write()
    waiting = start("submit", path, "--working-tree", ROOT)
    assert waiting.stdout is not None
    assert any(line.startswith("paused: GPU 0 at 87 °C") for line in waiting.stdout)
    waiting.send_signal(signal.SIGINT)
    code, _, err = ended(waiting)
    job = job_of(err)
    assert code == 130
    assert f"raycluster logs {job} --follow" in err
    assert f"raycluster stop {job}" in err
    driver = driver_of(job)
    assert (Path(driver.cwd()) / "evaljobs" / "shipping").is_dir()
    code, out, _ = raycluster("stop", job)
    assert (code, out) == (0, f"{job}: stopped\n")
    assert not driver.is_running()
    code, out, err = raycluster("logs", job)
    assert "exit code 143" in out
    assert not (local.out / "results.json").exists()


def test_mistakes_are_said_in_a_sentence(local: Bench, raycluster: Command, tmp_path: Path) -> None:
    """No traceback, exit code 2, and no job."""
    for arguments in (
        ("submit", tmp_path / "none.yaml"),
        ("submit", local.write(), "--set", "fpr=2"),
        ("submit", local.write(), "--working-tree", tmp_path / "nowhere"),
        ("submit", local.write(), "--start-deadline", "soon"),
        ("logs", "no-such-job"),
        ("stop", "no-such-job"),
    ):
        code, _, err = raycluster(*arguments)
        assert code == 2, err
        assert "Traceback" not in err
        assert err.strip()
