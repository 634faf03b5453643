"""Machines with addresses of their own: whatever is killed there, every run ends once, with the right numbers."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.clusters.conftest import Command, Site, Start
from tests.faults.workload import Expected, parts, results, rows

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.timeout(900)]

_MOST_S = 400.0


def until(condition: Callable[[], bool]) -> None:
    """Wait for a moment."""
    deadline = time.monotonic() + _MOST_S
    while not condition():
        assert time.monotonic() < deadline, "the moment never came"
        time.sleep(0.01)


def ended(process: Any) -> tuple[int, str]:
    """Return exit code and output."""
    output, _ = process.communicate(timeout=_MOST_S)
    return process.returncode, output


def assert_as_expected(workload: Path, expected: Expected, out: str = "results") -> None:
    """Every row of every table, and the results, as on one machine that nobody disturbs."""
    assert rows(workload.parent / "store") == expected.rows
    assert results(workload, out) == expected.results


def test_a_killed_scheduler_runs_everything_once(
    site: Site, raycluster: Command, start: Start, workload: Path, expected: Expected, tmp_path: Path
) -> None:
    """SIGKILL of the scheduler at moments by chance, again and again: the run ends once, with the right numbers."""
    draw = random.Random(5)
    state = ["--state", tmp_path / "state.sqlite3"]
    at = ["--address", site.cluster.url, "--insecure-http"]
    code, output = raycluster(
        "schedule", "add", workload, "--name", "nightly", "--cron", "0 3 * * *", "--timezone", "Asia/Tokyo",
        "--shared-files", *at, *state,
    )  # fmt: skip
    assert code == 0, output
    code, output = raycluster("schedule", "run-now", "nightly", *state)
    assert code == 0, output

    def history() -> list[dict[str, Any]]:
        code, text = raycluster("schedule", "history", "--json", *state)
        assert code == 0, text
        return list(json.loads(text)["runs"])

    kills = 0
    deadline = time.monotonic() + _MOST_S
    while not (runs := history()) or any(run["outcome"] is None for run in runs):
        assert time.monotonic() < deadline, runs
        scheduler = start("scheduler", "--poll", "0.2", *state)
        time.sleep(draw.uniform(2, 8))
        scheduler.kill()
        scheduler.wait()
        kills += 1
    assert kills > 1
    assert [(run["outcome"], run["exit_code"]) for run in runs] == [("passed", 0)]
    assert_as_expected(workload, expected, runs[0]["results"])
    code, text = raycluster("jobs", "--json", *at)
    assert code == 0, text
    jobs = [job for job in json.loads(text)["jobs"] if job["id"].startswith("nightly-")]
    assert [job["status"] for job in jobs] == ["succeeded"]


def test_a_submitted_sweep_survives_its_machines(
    site: Site, raycluster: Command, start: Start, workload: Path, expected: Expected
) -> None:
    """Submitted from outside; a worker is killed, another added, then the head is started again: one run, right.

    The last with this cluster: it leaves it with a worker less.
    """
    store = workload.parent / "store"
    tenth = max(1, expected.parts // 10)
    at = ["--address", site.cluster.url, "--insecure-http"]
    waiting = start("submit", workload, "--shared-files", *at)

    until(lambda: len(parts(store)) >= tenth)
    with site.head.held("evaljobs run"):  # a node takes longer to start than the rest of the run
        site.workers[0].power_off()
        site.cluster.add(site.spare)
    assert not (workload.parent / "results" / "results.json").exists(), "it ended before that"
    until(lambda: len(parts(store)) >= 3 * tenth)

    for machine in (site.head, site.workers[1], site.spare):  # nodes end when their head has gone
        machine.power_off()
    kept = rows(store)
    assert kept
    site.cluster.start_head()
    site.cluster.add(site.workers[1])

    code, output = ended(waiting)
    assert code == 0, output
    attempts = re.findall(r"benchmark-[0-9a-f]{12}-(\d)", output)
    assert sorted(set(attempts)) in (["1"], ["1", "2"]), output  # a head that has forgotten a job is given it again
    assert_as_expected(workload, expected)
    code, output = raycluster("submit", workload, "--shared-files", *at)
    assert (code, "is done already" in output) == (0, True), output
