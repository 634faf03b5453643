"""Ids of jobs, what their end means, and the command line that they run."""

from __future__ import annotations

import dataclasses
import string
import subprocess
import sys
from pathlib import Path

import pytest

from raycluster.jobs.job import Job, Status
from raycluster.jobs.submissions import (
    NOT_THERE,
    RESULTS,
    command_line,
    died,
    job_id,
    latest,
    never_began,
    shown,
    submission,
)
from raycluster.program import Parcel, find_program

DIGEST = "0123456789abcdef" * 4
PARCEL = Parcel("faces", DIGEST, {"faces.yaml": b"x"}, ("evaljobs", "run", "faces.yaml", "--out", "/r"), "/r")
ALLOWED = set(string.ascii_letters + string.digits + "_.-")


def test_equal_parcels_have_equal_ids() -> None:
    """Whoever submits the same again, from anywhere, finds the job that is there."""
    assert job_id(PARCEL, 1) == "faces-0123456789ab-1"
    assert job_id(dataclasses.replace(PARCEL, results="elsewhere"), 1) == job_id(PARCEL, 1)
    assert job_id(dataclasses.replace(PARCEL, digest="f" * 64), 1) != job_id(PARCEL, 1)


@pytest.mark.parametrize("name", ["gesichter/../etc", "名前", "a b;rm -rf", "x" * 300, "..", "", "-", "ü\n"])
def test_ids_are_harmless_in_paths_and_urls(name: str) -> None:
    """A job's id is a part of log files and URLs; a run may be called anything."""
    found = job_id(dataclasses.replace(PARCEL, name=name), 12)
    assert set(found) <= ALLOWED
    assert not found.startswith((".", "-"))
    assert len(found) < 100


def test_latest_attempt_is_told_by_number() -> None:
    """Attempt 10 comes after 9, and jobs of other parcels, or with no number, are none of it."""
    ids = [job_id(PARCEL, n) for n in (1, 9, 10, 2)]
    others = ["faces-0123456789ab-x", "faces-0123456789ab-11-1", "faces-ffffffffffff-99", "", "faces-0123456789ab-²"]
    found = latest(PARCEL, [Job(name, "failed") for name in ids + others])
    assert (found.number, found.job and found.job.id) == (10, job_id(PARCEL, 10))
    assert latest(PARCEL, []) == (0, None)


@pytest.mark.parametrize(
    ("status", "code", "message", "dead", "unborn"),
    [
        ("failed", 137, "Job entrypoint command failed with exit code -9", True, False),
        ("failed", 143, "", True, False),
        ("failed", None, "Job supervisor actor died: The actor died because its node has died.", True, False),
        ("failed", None, "Unexpected error occurred: failed to get job supervisor.", True, False),
        ("failed", None, "runtime_env setup failed: Failed to download", False, True),
        ("failed", None, "Job supervisor actor failed to start within 900.0 seconds.", False, True),
        ("failed", 1, "", False, False),
        ("failed", 4, "", False, False),
        ("failed", 127, "", False, False),
        ("succeeded", 0, "", False, False),
        ("stopped", None, "", False, False),
        ("running", None, "", False, False),
    ],
)
def test_only_what_was_killed_has_died(
    status: Status, code: int | None, message: str, dead: bool, unborn: bool
) -> None:
    """A run that ended by itself has said what it had to say; one that was killed goes on where it was."""
    job = Job("x", status, message, code)
    assert (died(job), never_began(job)) == (dead, unborn)


def test_results_of_an_attempt_lie_in_a_folder_of_their_own() -> None:
    """No attempt waits for the claim of one that was killed, and none writes over another's results."""
    placed = PARCEL.placed("faces-1")
    assert placed.results == "/r/faces-1"
    assert placed.command == ("evaljobs", "run", "faces.yaml", "--out", "/r/faces-1")
    assert submission(placed, "faces-1").metadata[RESULTS] == "/r/faces-1"
    assert placed.digest == PARCEL.digest


def test_command_says_its_version_first_and_keeps_its_exit_code(tmp_path: Path) -> None:
    """The first line of a log tells which program runs; its exit code reaches whoever waits."""
    environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        shell = ["sh", "-c", command_line(command)]
        return subprocess.run(shell, check=False, capture_output=True, text=True, env=environment, cwd=tmp_path)

    done = run("evaljobs", "run", "there is no such file.yaml")
    assert done.stdout.splitlines()[0] == find_program().version
    assert done.returncode == 2
    assert "there is no such file.yaml" in done.stderr
    assert run("no_such_module_anywhere", "run").returncode == NOT_THERE


def test_lines_of_ray_are_not_shown() -> None:
    """People see what the run says, not the command line around it; a difference of versions is said."""
    program = find_program()
    assert shown(program, 'Running entrypoint for job x: python="$(command -v python)"') is None
    assert shown(program, "2026-11-23 06:33:13,952\tINFO job_manager.py:581 -- Runtime env is setting up.") is None
    assert shown(program, program.version) is None
    assert "evaljobs 99.0" in (shown(program, "evaljobs 99.0") or "")
    assert "here is" in (shown(program, "evaljobs 99.0") or "")
