"""What can be decided."""

from __future__ import annotations

import dataclasses

from raycluster.schedule.records import Attempt, Message, Run


@dataclasses.dataclass(frozen=True)
class Due:
    """A due time; `skipped` says why it gets no run."""

    time: int
    skipped: str = ""


@dataclasses.dataclass(frozen=True)
class Enqueue:
    """Make runs of due times, and move the schedule on, in one transaction."""

    schedule: str
    dues: tuple[Due, ...]
    next_due: int


@dataclasses.dataclass(frozen=True)
class Write:
    """Change a run, if it is still as it was; and one of its attempts with it. Nothing outside is touched."""

    before: Run
    after: Run
    attempt: Attempt | None = None


@dataclasses.dataclass(frozen=True)
class Launch:
    """Pack, upload and submit the job of a run that the cluster does not know."""

    run: Run


@dataclasses.dataclass(frozen=True)
class Halt:
    """Ask the job of a run to end."""

    run: Run


@dataclasses.dataclass(frozen=True)
class Judge:
    """Hold a run's results against the last good ones."""

    run: Run


@dataclasses.dataclass(frozen=True)
class Report:
    """Write the report of a run that has ended."""

    run: Run


@dataclasses.dataclass(frozen=True)
class Send:
    """Send a message."""

    message: Message


Action = Enqueue | Write | Launch | Halt | Judge | Report | Send
