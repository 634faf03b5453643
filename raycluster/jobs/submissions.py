"""From parcels to submissions: ids, commands, and what jobs say of themselves. Pure.

The id of a job is ``<name>-<first 12 digits of the parcel's digest>-<attempt>``: whoever submits the same again finds
the job that is there, and whoever died in between finds it too.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from raycluster.jobs.job import Job, Submission
from raycluster.program import DEFAULT, Parcel, Program

# Keys of a job's metadata.
PROGRAM = "raycluster.program"
NAME = "raycluster.name"
DIGEST = "raycluster.digest"
RESULTS = "raycluster.results"
ATTEMPT = "raycluster.attempt"

# Ray gives a job that is stopped three seconds; a run that puts its things away may take longer.
STOP_WAIT_S = 30
# A shell's code for a signal n is this and n.
SIGNALLED = 128
# The program is not installed there, or there is no Python.
NOT_THERE = 126

_DIGITS = 12
_LONGEST_NAME = 60
_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


class Attempt(NamedTuple):
    """Which job of a parcel is the one to look at: its number, and the job where there is one."""

    number: int
    job: Job | None


def job_id(parcel: Parcel, attempt: int) -> str:
    """Return the id of an attempt, counted from 1."""
    return f"{_prefix(parcel)}{attempt}"


def _prefix(parcel: Parcel) -> str:
    # It becomes a part of paths and URLs.
    name = _NO_NAME.sub("-", parcel.name).strip("-.")[:_LONGEST_NAME] or "run"
    return f"{name}-{parcel.digest[:_DIGITS]}-"


def latest(parcel: Parcel, jobs: Iterable[Job]) -> Attempt:
    """Return the last attempt of a parcel among the jobs of a cluster; number 0 where there is none."""
    prefix = _prefix(parcel)
    found = Attempt(0, None)
    for job in jobs:
        number = job.id.removeprefix(prefix)
        if job.id.startswith(prefix) and number.isascii() and number.isdecimal() and int(number) > found.number:
            found = Attempt(int(number), job)
    return found


def died(job: Job) -> bool:
    """Whether a job's command was killed, or went away with its machine: a thing to try again.

    One that ended with an exit code of its own has said what it had to say.
    """
    killed = job.exit_code is None or job.exit_code >= SIGNALLED
    return job.status == "failed" and killed and not never_began(job)


def never_began(job: Job) -> bool:
    """Whether a job failed before its command was started: its environment could not be made, say."""
    return job.status == "failed" and job.exit_code is None and job.message.startswith(_NOT_BEGUN)


_NOT_BEGUN = (
    "runtime_env setup failed",
    "Job supervisor actor could not be scheduled",
    "Job supervisor actor failed to start",
    "Failed to start supervisor actor",
)


def shown(program: Program, line: str) -> str | None:
    """Return a line of a job's log for people; None for what Ray writes into it before the program speaks."""
    return None if _OF_RAY.match(line) else program.line(line)


_OF_RAY = re.compile(r"Running entrypoint for job |\d{4}-\d\d-\d\d \S+\tINFO job_manager\.py")


def submission(
    parcel: Parcel, job_id: str, metadata: Mapping[str, str] | None = None, *, tree: Path | None = None
) -> Submission:
    """Return what is submitted for a parcel.

    Parameters
    ----------
    parcel
        All that it needs must be in its place by then.
    job_id
        Of the job.
    metadata
        Beside what stands there by itself.
    tree
        A working tree whose code runs in place of what the cluster has installed.
    """
    own = {PROGRAM: DEFAULT, NAME: parcel.name, DIGEST: parcel.digest, RESULTS: parcel.results}
    return Submission(
        id=job_id,
        command=command_line(parcel.command),
        files=parcel.files,
        tree=tree,
        env_vars={**parcel.environment, "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S)},
        metadata={**own, **(metadata or {})},
    )


def command_line(command: tuple[str, ...]) -> str:
    """Return a shell's command line for a module and its arguments; the first line of the log is its version.

    Debian has no `python`. The shell makes room for the program, so that a signal ends that and no shell around it.
    """
    module, *arguments = command
    run = shlex.join(["-m", module, *arguments])
    return (
        'python="$(command -v python || command -v python3)" && '
        f'"$python" -m {shlex.quote(module)} --version || exit {NOT_THERE}; exec "$python" {run}'
    )
