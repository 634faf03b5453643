"""From this machine to a cluster and back: the command `raycluster submit`, a real head, a real S3 server."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.engine.conftest import Bench
from tests.ray_head import RayHead

TIMEOUT_S = 240.0
ROOT = Path(__file__).parents[2]
Command = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def raycluster(ray_head: RayHead, cache: Path, tmp_path: Path) -> Command:
    """Return what starts the command line on the head of the tests."""

    def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "raycluster", *map(str, arguments), "--address", ray_head.address]
        env = {**ray_head.environment, "XDG_CACHE_HOME": str(cache), "XDG_STATE_HOME": str(tmp_path / "state")}
        return subprocess.Popen(
            command, env=env | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    return start


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Return exit code, output and errors."""
    out, err = process.communicate(timeout=TIMEOUT_S)
    return process.returncode, out, err


def undisturbed(results: Path) -> dict[str, Any]:
    """Return what two equal runs have in common."""
    found = json.loads(results.read_text())
    del found["execution"]
    return dict(found)


def own_ray() -> dict[str, str]:
    """Return the environment for a run with a Ray of its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}


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


def test_results_of_a_cluster_are_those_of_this_machine(local: Bench, raycluster: Command) -> None:
    """Local images and models: the same numbers, ids, names and exit code come back; nothing is sent or run twice."""
    (local.folder / "models" / "bad.onnx").write_bytes(b"no model")
    path = local.write()
    here = local.folder / "here"
    run = [sys.executable, "-m", "evaljobs", "run", str(path), "--out", str(here), "--set", f"store={here}-store"]
    done = subprocess.run([*run, "--set", "cluster.cpus=1"], check=False, capture_output=True, env=own_ray())
    assert done.returncode == 1, done.stderr

    code, out, _ = ended(raycluster("submit", path, "--dry-run"))
    assert (code, "nothing was sent" in out) == (0, True)
    assert "python -m evaljobs run benchmark.yaml --address auto --out s3://" in out

    code, out, err = ended(raycluster("submit", path, "--detach"))
    job = job_of(err)
    assert (code, out) == (0, "")
    assert re.search(r"uploading \d+ files", err)
    assert "the run will refuse bad" in err
    code, out, _ = ended(raycluster("jobs", "--json"))
    assert job in {found["id"] for found in json.loads(out)["jobs"]}

    code, out, err = ended(raycluster("submit", path))
    assert code == 1, err
    assert re.search(rf"{job} is (pending|running) already", err)
    assert "Running entrypoint" not in out
    assert undisturbed(local.out / "results.json") == undisturbed(here / "results.json")
    assert (local.out / "results.csv").read_bytes() == (here / "results.csv").read_bytes()

    code, out, err = ended(raycluster("submit", path))  # something failed: whoever asks again gets another attempt
    assert (code, job_of(err)) == (1, job[:-1] + "2")
    assert "Everything is computed already" in out
    assert "uploading" not in err


def test_killed_driver_is_submitted_again_and_goes_on(local: Bench, raycluster: Command) -> None:
    """Ray runs a job once; who waits for it tries again, and ends with the exit code of the run that ended."""
    local.images(20, 40)
    waiting = raycluster("submit", local.write())
    assert waiting.stderr is not None
    job = ""
    for line in waiting.stderr:
        if line.startswith("submitted"):
            job = job_of(line)
            break
    driver_of(job).send_signal(signal.SIGKILL)
    code, _, err = ended(waiting)
    assert code == 0, err
    assert f"{job}: its driver was killed (exit code 137); submitted again as attempt 2" in err
    assert len(undisturbed(local.out / "results.json")["evaluations"]) == 2

    (local.out / "results.json").unlink()
    code, _, err = ended(raycluster("submit", local.folder / "benchmark.yaml"))
    assert (code, "uploading" in err) == (0, False)
    assert f"{job[:-1]}2 is done already; --again runs it once more" in err
    assert len(undisturbed(local.out / "results.json")["evaluations"]) == 2


def test_interruption_leaves_the_run_alone(local: Bench, raycluster: Command) -> None:
    """Ctrl-C says how to come back, and how to end it; ended, the run says so itself, and nothing is brought here.

    Its code is that of a working tree.
    """
    local.images(30, 40)
    path = local.write()
    waiting = raycluster("submit", path, "--working-tree", ROOT)
    assert waiting.stdout is not None
    assert any(line.startswith(("decoding", "embedding", "reading")) for line in waiting.stdout)
    waiting.send_signal(signal.SIGINT)
    code, _, err = ended(waiting)
    job = job_of(err)
    assert code == 130
    assert f"raycluster logs {job} --follow" in err
    assert f"raycluster stop {job}" in err
    driver = driver_of(job)
    assert (Path(driver.cwd()) / "evaljobs" / "shipping").is_dir()
    code, out, _ = ended(raycluster("stop", job))
    assert (code, out) == (0, f"{job}: stopped\n")
    assert not driver.is_running()
    code, out, err = ended(raycluster("logs", job))
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
        code, _, err = ended(raycluster(*arguments))
        assert code == 2, err
        assert "Traceback" not in err
        assert err.strip()
