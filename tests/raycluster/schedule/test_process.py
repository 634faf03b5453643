"""The scheduler's process is killed by SIGKILL, again and again, at moments that nobody chose."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from raycluster.schedule.places import is_held, report_path
from raycluster.schedule.records import Outcome, State
from tests.raycluster.schedule.jobs_server import Jobs, serving
from tests.raycluster.schedule.receiver import Receiver
from tests.raycluster.schedule.simulation import World

ROOT = Path(__file__).parents[3]


@contextmanager
def scheduler(state: Path, webhook: str) -> Iterator[subprocess.Popen[str]]:
    """Start the scheduler's process; it works already."""
    command = [sys.executable, "-m", "tests.raycluster.schedule.daemon_process", str(state), webhook]
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "working\n"
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.slow
def test_killed_at_any_moment(folder: Path, receiver: Receiver) -> None:
    """Twelve runs, with a quota and priorities, through a dozen kills: each is run once and told."""
    draw = random.Random(3)
    receiver.bodies.clear()
    jobs = Jobs(seconds=0.4)
    with serving(jobs):
        world = World(folder, time.time(), receiver.url)
        world.quota("all", 2)
        for number in range(4):
            world.add(f"s{number}", "0 0 1 1 *", address=jobs.url, priority=number % 2, gpus=1 + number % 2)
        asked = [world.book.add_run(f"s{number % 4}", time.time()) for number in range(12)]
        state = world.database.path
        kills = 0
        until = time.monotonic() + 240
        while (
            not all(run.state is State.ENDED and run.reported for run in world.runs()) or world.book.snapshot().messages
        ):
            assert time.monotonic() < until, [(run.job_id, run.state, run.reason) for run in world.runs()]
            with scheduler(state, receiver.url):
                assert is_held(state)
                time.sleep(draw.uniform(0, 0.6))
            kills += 1
    assert kills > 4
    assert not is_held(state)
    runs = world.runs()
    assert {run.key for run in runs} == {run.key for run in asked}
    assert {run.outcome for run in runs} == {Outcome.PASSED}
    submitted = Counter(body["submission_id"] for body in jobs.submitted)
    assert set(submitted.values()) == {1}
    assert set(submitted) == {f"{run.job_id.rpartition('-')[0]}-{n}" for run in runs for n in range(1, run.attempt + 1)}
    finished = [job_id for job_id in submitted if (jobs.find(job_id) or {})["status"] == "SUCCEEDED"]
    assert len(finished) == len(runs)
    assert {body["event_id"] for body in receiver.bodies} == {f"{r.job_id.rpartition('-')[0]}-ended" for r in runs}
    assert all(report_path(state, run).exists() for run in runs)
