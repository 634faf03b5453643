"""What there is, for people and programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raycluster.schedule.book import Book
from raycluster.schedule.deciding.admission import admit
from raycluster.schedule.document import document
from raycluster.schedule.records import Run, Schedule, State, time_text


def listed(book: Book, now: float) -> list[dict[str, Any]]:
    """Return the schedules in force, with their last run and what their open ones are at."""
    snapshot = book.snapshot()
    waiting = admit(snapshot, now).waiting
    found = []
    for name, schedule in snapshot.schedules.items():
        runs = [run for run in snapshot.runs if run.schedule == name and run.state is not State.ENDED]
        if schedule.removed is None or runs:
            found.append(_row(book, schedule, [_at(run, waiting.get(run.key)) for run in runs]))
    return found


def _row(book: Book, schedule: Schedule, at: list[str]) -> dict[str, Any]:
    last = next((run for run in book.history(schedule.name, 100) if run.state is State.ENDED), None)
    return {
        "name": schedule.name,
        "config": schedule.config,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "next_due": schedule.next_due,
        "team": schedule.team,
        "gpus": schedule.gpus,
        "priority": schedule.priority,
        "deadline_s": schedule.deadline_s,
        "no_overlap": schedule.no_overlap,
        "catch_up": schedule.catch_up,
        "removed": schedule.removed,
        "baseline": schedule.baseline,
        "last": None if last is None else f"{last.outcome} {time_text(last.due)}",
        "open": at,
    }


def _at(run: Run, waits_for: str | None) -> str:
    """Say what a run is at."""
    when = f"{time_text(run.due)} {run.state}"
    if run.state is State.WAITING:
        return f"{when} for {waits_for or 'the scheduler'}"
    return f"{when}{' since its job is unknown to the cluster' if run.missing_since else ''}"


def documents(book: Book, runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return what is told of runs, those that have not ended too."""
    schedules = book.snapshot().schedules
    return [document(schedules[run.schedule], run, book.attempts(*run.key)) | {"state": run.state} for run in runs]
