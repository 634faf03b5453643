"""What a job is, and what a cluster's job server must be able to do."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, Protocol

Status = Literal["pending", "running", "succeeded", "failed", "stopped"]
ENDED: tuple[Status, ...] = ("succeeded", "failed", "stopped")


@dataclasses.dataclass(frozen=True)
class Submission:
    """What is submitted. Two of one id are one job, however often they are sent.

    Attributes
    ----------
    id
        Chosen by us, and never by chance: whoever died in between finds the job again.
    command
        A shell command line, without secrets: it stands in process lists and logs.
    files
        Of its working folder, by relative path.
    tree
        A local folder whose files lie in the working folder too: code that is not installed there.
    env_vars
        Of the job and of all workers that it starts; no secrets, for the dashboard shows them.
    metadata
        Kept by Ray beside the job; text only.
    """

    id: str
    command: str
    files: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    tree: Path | None = None
    env_vars: Mapping[str, str] = dataclasses.field(default_factory=dict)
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Job:
    """A job as its cluster tells of it.

    Attributes
    ----------
    message
        What the cluster says of its end, or of why it has not begun.
    exit_code
        Of its command, as a shell has it: 128 + n where signal n killed it. None where nobody saw it end.
    started, ended
        Unix seconds. Ray counts from when it was submitted.
    """

    id: str
    status: Status
    message: str = ""
    exit_code: int | None = None
    started: float | None = None
    ended: float | None = None
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)


class JobServer(Protocol):
    """Jobs of one cluster. Each method raises ClusterError where the server does not answer, or refuses."""

    def submit(self, submission: Submission) -> Job:
        """Submit, or return the job that has this id already."""

    def find(self, job_id: str) -> Job | None:
        """Return a job, or None where the cluster knows none of this id."""

    def jobs(self) -> list[Job]:
        """Return all jobs that the cluster remembers."""

    def stop(self, job_id: str) -> None:
        """Ask a job to end; returns before it has. Nothing happens to one that has ended."""

    def log(self, job_id: str, tail: int | None = None) -> str:
        """Return what a job has printed: all, or the last lines."""

    def follow(self, job_id: str) -> Iterator[str]:
        """Yield what a job prints, from the start, until it ends."""
