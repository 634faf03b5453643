"""What is told of a run that has ended: the JSON of reports and webhooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raycluster.schedule.records import Attempt, Run, Schedule, time_text

SCHEMA_VERSION = 1


def document(schedule: Schedule, run: Run, attempts: Sequence[Attempt]) -> dict[str, Any]:
    """Return all that is known of a run, without secrets: the same whenever it is asked for."""
    return {
        "schema_version": SCHEMA_VERSION,
        "event_id": f"{run.id}-ended",  # equal for every try, so that receivers can drop doubles
        "text": summary(run),
        "schedule": run.schedule,
        "due": time_text(run.due),
        "kind": run.kind,
        "outcome": run.outcome,
        "exit_code": run.exit_code,
        "reason": run.reason,
        "gates": {"asked": list(run.gates), "verdict": run.verdict.splitlines(), "baseline": run.baseline},
        "results": run.results,
        "team": schedule.team,
        "priority": schedule.priority,
        "gpus": schedule.gpus,
        "queued": time_text(run.queued),
        "started": _maybe(run.started),
        "ended": _maybe(run.ended),
        "preemptions": run.preemptions,
        "attempts": [_attempt(run, attempt) for attempt in attempts],
    }


def summary(run: Run) -> str:
    """Return one line for people."""
    code = "" if run.exit_code is None else f" (exit code {run.exit_code})"
    found = why(run)
    return f"{run.schedule}, due {time_text(run.due)}: {run.outcome}{code}" + (f": {found}" if found else "")


def why(run: Run) -> str:
    """Return in a line why a run has ended as it has; of gates the last, for there stands what has failed."""
    return next(iter(run.reason.splitlines() or reversed(run.verdict.splitlines())), "")


def _attempt(run: Run, attempt: Attempt) -> dict[str, Any]:
    return {
        "job": f"{run.id}-{attempt.number}",
        "begun": time_text(attempt.begun),
        "started": _maybe(attempt.started),
        "ended": _maybe(attempt.ended),
        "status": attempt.status,
        "exit_code": attempt.exit_code,
        "reason": attempt.reason,
    }


def _maybe(time: float | None) -> str | None:
    return None if time is None else time_text(time)
