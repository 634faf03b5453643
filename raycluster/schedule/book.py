"""How the state changes: each change is one transaction, and is refused where what it rests on has changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from raycluster.schedule import tables
from raycluster.schedule.database import Database
from raycluster.schedule.deciding.actions import Enqueue, Write
from raycluster.schedule.deciding.ending import end
from raycluster.schedule.records import (
    Attempt,
    CatchUp,
    Cause,
    Kind,
    Message,
    Outcome,
    Run,
    Schedule,
    Snapshot,
    State,
)

R = TypeVar("R", Schedule, Run, Attempt, Message)

# How the columns that are not plain become what records hold.
_READERS: dict[str, Any] = {
    "overrides": tuple,
    "gates": tuple,
    "catch_up": CatchUp,
    "kind": Kind,
    "state": State,
}
_MAYBE: dict[str, Any] = {"cause": Cause, "outcome": Outcome}
# Of a snapshot; made once, since making them takes longer than asking.
_SCHEDULES = sa.select(tables.schedules).order_by("name")
_RUNS = (
    sa.select(tables.runs)
    .where(sa.or_(tables.runs.c.state != State.ENDED, sa.not_(tables.runs.c.reported)))
    .order_by("due", "schedule")
)
_MESSAGES = sa.select(tables.messages).where(tables.messages.c.outcome == "").order_by("next_try")
_QUOTAS = sa.select(tables.quotas)


class StaleError(Exception):
    """A run is no longer as it was when something was decided about it; nothing was written."""


class Book:
    """Reads and writes the state."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Reading

    def snapshot(self) -> Snapshot:
        """Return all that decisions rest on, as of one moment."""
        with self._database.reading() as connection:
            return Snapshot(
                {row["name"]: _record(Schedule, row) for row in connection.execute(_SCHEDULES).mappings()},
                tuple(_record(Run, row) for row in connection.execute(_RUNS).mappings()),
                {row.team: row.gpus for row in connection.execute(_QUOTAS)},
                tuple(_record(Message, row) for row in connection.execute(_MESSAGES).mappings()),
            )

    def run(self, schedule: str, due: int) -> Run | None:
        """Return a run."""
        with self._database.reading() as connection:
            found = connection.execute(sa.select(tables.runs).where(_is_run(schedule, due))).mappings().one_or_none()
            return None if found is None else _record(Run, found)

    def attempts(self, schedule: str, due: int) -> list[Attempt]:
        """Return the attempts of a run, the first first."""
        table = tables.attempts
        wanted = sa.select(table).where(table.c.schedule == schedule, table.c.due == due).order_by("number")
        with self._database.reading() as connection:
            return [_record(Attempt, row) for row in connection.execute(wanted).mappings()]

    def history(self, schedule: str | None, limit: int) -> list[Run]:
        """Return the last runs, the newest first."""
        wanted = sa.select(tables.runs).order_by(tables.runs.c.due.desc(), "schedule").limit(limit)
        if schedule is not None:
            wanted = wanted.where(tables.runs.c.schedule == schedule)
        with self._database.reading() as connection:
            return [_record(Run, row) for row in connection.execute(wanted).mappings()]

    def message_outcome(self, schedule: str, due: int) -> str | None:
        """Return what became of the message about a run: empty while it is to be sent; None where there is none."""
        wanted = sa.select(tables.messages.c.outcome).where(_is(tables.messages, schedule, due))
        with self._database.reading() as connection:
            return connection.execute(wanted).scalar_one_or_none()

    # Writing: what was decided

    def enqueue(self, action: Enqueue, now: float) -> None:
        """Make runs of due times; those that there are stay as they are."""
        rows = []
        for due in action.dues:
            run = Run(action.schedule, due.time, Kind.DUE, State.WAITING, now, self._database.identity)
            if due.skipped:
                run = end(run, Outcome.SKIPPED, None, due.skipped, now)
            rows.append(_row(run))
        with self._database.writing() as connection:
            if rows:
                connection.execute(insert(tables.runs).on_conflict_do_nothing(), rows)
            connection.execute(
                sa.update(tables.schedules)
                .where(tables.schedules.c.name == action.schedule)
                .values(next_due=action.next_due)
            )

    def write(self, action: Write) -> None:
        """Change a run; with its end, all that follows from it.

        Raises
        ------
        StaleError
            If the run is not as it was; nothing was written.
        """
        before, after = action.before, action.after
        with self._database.writing() as connection:
            same = (tables.runs.c.state == before.state, tables.runs.c.attempt == before.attempt)
            done = connection.execute(sa.update(tables.runs).where(_is_run(*before.key), *same).values(_row(after)))
            if done.rowcount != 1:
                raise StaleError(before.job_id)
            if action.attempt is not None:
                _write_attempt(connection, action.attempt)
            if after.state is State.ENDED and before.state is not State.ENDED:
                _write_end(connection, after)

    def remember_webhook(self, schedule: str, webhook: str | None) -> None:
        """Keep who is told, as the configuration says now."""
        self._change_schedule(schedule, webhook=webhook)

    def remember_gpus(self, schedule: str, gpus: int) -> None:
        """Keep how many GPUs the cluster was seen with."""
        self._change_schedule(schedule, cluster_gpus=gpus)

    def write_message(self, message: Message, outcome: str) -> None:
        """Keep what became of trying to send a message; an outcome ends it."""
        change = {"tries": message.tries, "next_try": message.next_try, "outcome": outcome}
        with self._database.writing() as connection:
            which = _is(tables.messages, message.schedule, message.due)
            connection.execute(sa.update(tables.messages).where(which).values(change))

    # Writing: what people ask for

    def add_schedule(self, schedule: Schedule) -> bool:
        """Add a schedule, also in place of one that was removed; return whether there was none of the name."""
        with self._database.writing() as connection:
            table = tables.schedules
            there = connection.execute(sa.select(table.c.removed).where(table.c.name == schedule.name)).one_or_none()
            if there is not None and there.removed is None:
                return False
            row = _row(schedule)
            connection.execute(insert(table).values(row).on_conflict_do_update(index_elements=["name"], set_=row))
            return True

    def remove_schedule(self, name: str, now: float, *, stop: bool) -> bool:
        """Remove a schedule; return whether there was one in force."""
        table = tables.schedules
        change = sa.update(table).where(table.c.name == name, table.c.removed.is_(None))
        with self._database.writing() as connection:
            return connection.execute(change.values(removed=now, stop_removed=stop)).rowcount == 1

    def add_run(self, schedule: str, now: float) -> Run:
        """Queue a run of a schedule at once; its due time is the first free second that cron has no time for."""
        with self._database.writing() as connection:
            due = int(now)
            while due % 60 == 0 or connection.execute(sa.select(tables.runs).where(_is_run(schedule, due))).first():
                due += 1
            run = Run(schedule, due, Kind.NOW, State.WAITING, now, self._database.identity)
            connection.execute(sa.insert(tables.runs).values(_row(run)))
            return run

    def set_baseline(self, schedule: str, results: str) -> None:
        """Let later runs be held against these results."""
        self._change_schedule(schedule, baseline=results)

    def _change_schedule(self, name: str, **values: Any) -> None:
        table = tables.schedules
        with self._database.writing() as connection:
            connection.execute(sa.update(table).where(table.c.name == name).values(**values))

    def set_quota(self, team: str, gpus: int | None) -> None:
        """Give a team so many slots; None for no limit."""
        with self._database.writing() as connection:
            connection.execute(sa.delete(tables.quotas).where(tables.quotas.c.team == team))
            if gpus is not None:
                connection.execute(sa.insert(tables.quotas).values(team=team, gpus=gpus))


def _write_attempt(connection: sa.Connection, attempt: Attempt) -> None:
    """Add an attempt; of one that is there, write how it ended."""
    row = _row(attempt)
    change = {name: row[name] for name in ("started", "ended", "status", "exit_code", "reason")}
    key = ["schedule", "due", "number"]
    connection.execute(insert(tables.attempts).values(row).on_conflict_do_update(index_elements=key, set_=change))


def _write_end(connection: sa.Connection, run: Run) -> None:
    """Write what follows from the end of a run: the next baseline, and who is to be told."""
    table = tables.schedules
    schedule = connection.execute(sa.select(table).where(table.c.name == run.schedule)).one()
    if run.outcome is Outcome.PASSED and run.results is not None:
        connection.execute(sa.update(table).where(table.c.name == run.schedule).values(baseline=run.results))
    if schedule.webhook is not None and not run.reported:
        message = Message(run.schedule, run.due, schedule.webhook)
        connection.execute(
            insert(tables.messages).values(**dataclasses.asdict(message), outcome="").on_conflict_do_nothing()
        )


def _is(table: sa.Table, schedule: str, due: int) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.schedule == schedule, table.c.due == due)


def _is_run(schedule: str, due: int) -> sa.ColumnElement[bool]:
    return _is(tables.runs, schedule, due)


def _row(record: Schedule | Run | Attempt) -> dict[str, Any]:
    found = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


def _record(kind: type[R], row: Mapping[str, Any] | sa.RowMapping) -> R:
    values = {field.name: row[field.name] for field in dataclasses.fields(kind)}
    values |= {name: _READERS[name](values[name]) for name in values.keys() & _READERS.keys()}
    values |= {name: read(values[name]) for name, read in _MAYBE.items() if values.get(name) is not None}
    return kind(**values)
