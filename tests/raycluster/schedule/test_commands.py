"""The commands: everything is checked at once, what is said, and which exit codes there are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from raycluster.schedule.book import Book
from raycluster.schedule.database import Database
from raycluster.schedule.places import is_held
from tests.engine.conftest import Bench
from tests.raycluster import command_line
from tests.raycluster.schedule.jobs_server import Jobs, serving
from tests.raycluster.schedule.receiver import Receiver

Raycluster = Callable[..., "subprocess.CompletedProcess[str]"]
_COMMAND = [sys.executable, "-c", "from raycluster.cli import main; main()"]


@pytest.fixture
def environment(tmp_path: Path, folder: Path) -> dict[str, str]:
    """A user without cluster, token and state."""
    left_out = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    places = {"XDG_STATE_HOME": str(folder), "XDG_CACHE_HOME": str(tmp_path / "cache"), "RAY_AUTH_MODE": "disabled"}
    return {**kept, **places}


@pytest.fixture
def raycluster(environment: dict[str, str]) -> Raycluster:
    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return command_line.run(*arguments, environment=environment)

    return call


@pytest.fixture
def config(tmp_path: Path) -> Path:
    bench = Bench(tmp_path).images(2, 3)
    bench.model("net", 1)
    bench.config["name"] = "nightly run"
    return bench.write()


@contextmanager
def scheduler(environment: dict[str, str], *options: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*_COMMAND, "scheduler", "--poll", "0.1", *options], stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stderr is not None
        assert "the scheduler works on" in process.stderr.readline()
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def test_every_mistake_is_named_at_once(raycluster: Raycluster, tmp_path: Path) -> None:
    """Before anything is kept; the exit code is that of a mistake, and there is no traceback."""
    raycluster("schedule", "quota", "vision", "2")
    asked = ["--cron", "0 3 * *", "--timezone", "Asia/Tokio", "--gpus", "3", "--team", "vision", "--name", "a/b"]
    done = raycluster("schedule", "add", str(tmp_path / "nowhere.yaml"), *asked, "--address", "http://example.com:8265")
    assert done.returncode == 2
    assert "6 mistake(s), nothing was scheduled" in done.stderr
    for words in ("4 field(s)", "'Asia/Tokio'", "'a/b'", "--gpus 3 would never start", "nowhere.yaml", "example.com"):
        assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(raycluster("schedule", "ls", "--json").stdout) == {"version": 1, "schedules": []}


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--gpus", "0"], ["--deadline", "soon"], ["--catch-up", "some"], ["--retries", "-1"], []),
        *(["--gpus", "9" * 20], ["--priority", "-" + "9" * 20], ["--deadline", "1e300d"]),
    ],
)
def test_wrong_options(raycluster: Raycluster, config: Path, arguments: list[str]) -> None:
    """As for every command."""
    cron = ["--cron", "0 3 * * *"] if arguments else []
    done = raycluster("schedule", "add", str(config), *cron, *arguments)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_from_adding_to_history(
    raycluster: Raycluster, config: Path, environment: dict[str, str], receiver: Receiver
) -> None:
    """A schedule is added, run at once, listed, told and removed; the real daemon ends by a signal within seconds."""
    receiver.bodies.clear()
    receiver.answer = lambda: 204
    environment["NIGHTLY_HOOK"] = receiver.url
    with serving(Jobs(seconds=0.3)) as jobs:
        added = raycluster(
            *("schedule", "add", str(config), "--cron", "0 3 * * *", "--timezone", "Asia/Tokyo", "--shared-files"),
            *("--deadline", "4h", "--no-overlap", "--address", jobs.url, "--set", "notify.webhook=env:NIGHTLY_HOOK"),
        )
        assert (added.returncode, added.stderr) == (0, "")
        assert added.stdout.startswith("nightly-run: first due ")
        assert "03:00 JST" in added.stdout
        assert "raycluster scheduler" in added.stdout
        assert "results of each run in a folder of its own below" in added.stdout
        at = ("--shared-files", "--address", jobs.url)
        again = raycluster("schedule", "add", str(config), "--cron", "0 3 * * *", *at)
        assert again.returncode == 2
        assert "there is a schedule 'nightly-run' already" in again.stderr
        alone = raycluster("schedule", "run-now", "nightly-run", "--wait")
        assert alone.returncode == 2
        assert "no scheduler runs" in alone.stderr
        with scheduler(environment) as process:
            run = raycluster("schedule", "run-now", "nightly-run", "--wait")
            assert run.returncode == 0, run.stderr
            assert "passed (exit code 0)" in run.stdout
            begun = time.monotonic()
            while not receiver.bodies:
                assert time.monotonic() < begun + 120
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            assert process.wait(120) == 0
            assert process.stderr is not None
            log = process.stderr.read()
        assert "waiting -> starting" in log
        assert receiver.url.rpartition("/")[2] not in log
    (body,) = jobs.submitted
    assert body["metadata"]["raycluster.schedule"] == "nightly-run"
    assert body["metadata"]["raycluster.results"].endswith(f"/out/{body['submission_id'].removeprefix('nightly-run-')}")
    assert "env:NIGHTLY_HOOK" not in json.dumps(body)
    history = json.loads(raycluster("schedule", "history", "--json").stdout)
    (told,) = history["runs"]
    assert (told["outcome"], told["exit_code"], told["state"]) == ("passed", 0, "ended")
    assert receiver.bodies == [{name: value for name, value in told.items() if name != "state"}]
    shown = raycluster("schedule", "history", "nightly-run").stdout.splitlines()
    assert shown[0].split() == ["due", "schedule", "outcome", "exit", "attempts", "stopped", "told", "why"]
    assert "delivered" in shown[1]
    assert raycluster("schedule", "rm", "nightly-run").returncode == 0
    assert raycluster("schedule", "rm", "nightly-run").returncode == 2


def test_scheduler_once(raycluster: Raycluster, environment: dict[str, str], folder: Path) -> None:
    """It does what there is to do, and ends; beside another one it does not begin."""
    done = raycluster("scheduler", "--once")
    assert done.returncode == 0
    state = folder / "raycluster" / "schedules.sqlite3"
    assert Book(Database(state)).snapshot().runs == ()
    with scheduler(environment):
        assert is_held(state)
        second = raycluster("scheduler", "--once")
    assert second.returncode == 2
    assert "a scheduler runs already" in second.stderr


def test_quotas(raycluster: Raycluster) -> None:
    """Given, listed, taken away."""
    assert raycluster("schedule", "quota", "vision", "4").returncode == 0
    assert raycluster("schedule", "quota", "all", "8").stdout.split() == ["team", "slots", "all", "8", "vision", "4"]
    assert raycluster("schedule", "quota", "vision", "--none").stdout.split() == ["team", "slots", "all", "8"]
    for wrong in (["vision"], ["vision", "9" * 20], ["vision", "3", "--none"], ["a b", "3"], ["vision", "-1"]):
        assert raycluster("schedule", "quota", *wrong).returncode == 2
