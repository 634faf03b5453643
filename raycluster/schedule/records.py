"""What is kept of schedules and runs. Times are Unix seconds; a due time is a whole number of them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum

# The team of schedules that name none; and the quota of all teams together.
NO_TEAM = "default"
EVERYBODY = "all"
# Key of a job's metadata: the identity of the state file whose job it is.
ORIGIN = "raycluster.origin"


class CatchUp(enum.StrEnum):
    """What becomes of due times that were missed: the daemon was away, or the run before was not finished."""

    ALL = "all"
    LAST = "last"
    SKIP = "skip"


class Kind(enum.StrEnum):
    """Why there is a run: it was due, or somebody asked for it."""

    DUE = "due"
    NOW = "now"


class State(enum.StrEnum):
    """Where a run is. Each is written before what follows from it is done."""

    WAITING = "waiting"  # for its turn
    STARTING = "starting"  # has its slots and the id of its job; whether the cluster has it is to be seen
    RUNNING = "running"  # the cluster has its job
    STOPPING = "stopping"  # the job is asked to end
    JUDGING = "judging"  # the job has ended well; its results are to be held against the last good ones
    ENDED = "ended"


class Outcome(enum.StrEnum):
    """What became of a run."""

    PASSED = "passed"
    INCONCLUSIVE = "inconclusive"  # finished, and its gates neither passed nor failed
    GATE_FAILED = "gate-failed"
    FAILED = "failed"
    DEADLINE = "deadline"
    STOPPED = "stopped"  # by somebody
    SKIPPED = "skipped"  # never started, as the schedule's rules say


class Cause(enum.StrEnum):
    """Why a job is stopped."""

    PREEMPTED = "preempted"
    DEADLINE = "deadline"
    REMOVED = "removed"


@dataclasses.dataclass(frozen=True)
class Schedule:
    """A configuration that is run again and again.

    Attributes
    ----------
    name
        Unique; results, jobs and history are found by it.
    program, config, overrides, shared
        What is run: an installed program, its configuration file (absolute), ``key=value``, and whether the cluster
        sees this machine's files.
    cron, timezone
        Five fields, and an IANA name.
    team, priority, gpus
        Whose slots it takes, before whom, and how many. Greater priorities go first.
    deadline_s
        Seconds after a run was queued, by which it has ended or is stopped; None for ever.
    no_overlap
        Whether a run waits for the one before.
    retries
        How often a driver that died is submitted again.
    address, insecure
        The cluster's job server; None for the default. Whether plain HTTP to another machine was agreed to.
    webhook
        Who is told, as the configuration says: a URL or ``env:NAME``.
    next_due
        The first due time that has no run yet.
    removed
        When it was removed; None while it is in force.
    stop_removed
        Whether its runs are stopped with it.
    baseline
        Where the results of the last good run are.
    cluster_gpus
        How many GPUs its cluster had when it was last seen with some: runs are planned for these.
    """

    name: str
    program: str
    config: str
    overrides: tuple[str, ...]
    shared: bool
    cron: str
    timezone: str
    team: str
    priority: int
    gpus: int
    deadline_s: int | None
    no_overlap: bool
    catch_up: CatchUp
    retries: int
    address: str | None
    insecure: bool
    webhook: str | None
    created: float
    next_due: int
    removed: float | None = None
    stop_removed: bool = False
    baseline: str | None = None
    cluster_gpus: int = 0


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of a schedule: (schedule, due) is unique, so none is ever doubled.

    Attributes
    ----------
    origin
        The identity of its state file: others may have a schedule of the same name, due at the same time.
    attempt
        Number of the last job that was submitted, or is to be; 0 before the first.
    failures, preemptions
        How many attempts died, and how many were stopped for a run of higher priority.
    not_before
        Until when it rests before it is tried again.
    cause
        Why its job is being stopped.
    missing_since
        Since when the cluster does not know its job.
    results, gates
        Of the last attempt.
    exit_code
        Of the run, as `raycluster schedule run-now --wait` ends.
    baseline
        What its results were held against.
    reported
        Whether its report was written.
    """

    schedule: str
    due: int
    kind: Kind
    state: State
    queued: float
    origin: str
    attempt: int = 0
    failures: int = 0
    preemptions: int = 0
    not_before: float = 0
    cause: Cause | None = None
    missing_since: float | None = None
    judged: int = 0
    results: str | None = None
    gates: tuple[str, ...] = ()
    started: float | None = None
    ended: float | None = None
    outcome: Outcome | None = None
    exit_code: int | None = None
    reason: str = ""
    verdict: str = ""
    baseline: str | None = None
    reported: bool = False

    @property
    def key(self) -> tuple[str, int]:
        """What it is found by."""
        return self.schedule, self.due

    @property
    def id(self) -> str:
        """What it is called where runs of other state files are, too."""
        return f"{self.schedule}-{due_text(self.due)}-{self.origin}"

    @property
    def job_id(self) -> str:
        """The id of the job of its last attempt; follows from the run, so that it is found again after any death."""
        return f"{self.id}-{self.attempt}"

    @property
    def folder(self) -> str:
        """The name of the folder for the results of its last attempt, of which nobody else has the like."""
        return f"{due_text(self.due)}-{self.origin}-{self.attempt}"


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One job of a run. `status` and `exit_code` are what the cluster said at the end."""

    schedule: str
    due: int
    number: int
    begun: float
    started: float | None = None
    ended: float | None = None
    status: str = ""
    exit_code: int | None = None
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class Message:
    """A webhook's message about a run that has ended, until it is delivered or given up."""

    schedule: str
    due: int
    webhook: str
    tries: int = 0
    next_try: float = 0


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """All that decisions rest on.

    Attributes
    ----------
    schedules
        By name, removed ones too.
    runs
        All that have not ended, or have no report yet; by due time.
    quotas
        Slots by team; `EVERYBODY` for all together. Who is not there has no limit.
    messages
        Those to be sent.
    """

    schedules: dict[str, Schedule]
    runs: tuple[Run, ...]
    quotas: dict[str, int]
    messages: tuple[Message, ...] = ()


def due_text(due: int) -> str:
    """Return a due time as it stands in ids and names of files: ``20261123T0300Z``, seconds where there are some."""
    time = dt.datetime.fromtimestamp(due, dt.UTC)
    return time.strftime("%Y%m%dT%H%M%SZ" if due % 60 else "%Y%m%dT%H%MZ")


def time_text(time: float) -> str:
    """Return a time for people and programs: ``2026-11-23T03:00:00Z``."""
    return dt.datetime.fromtimestamp(int(time), dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
