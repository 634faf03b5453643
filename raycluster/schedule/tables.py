"""The tables of the state file, and the version of their layout."""

from __future__ import annotations

import sqlalchemy as sa

# Of this layout, in SQLite's `user_version`; and whose file it is, in its `application_id`.
VERSION = 2
APPLICATION = 0x72634A53

# What makes a file of an earlier version one of the next.
UPGRADES: dict[int, str] = {1: "ALTER TABLE schedules ADD COLUMN cluster_gpus INTEGER DEFAULT 0 NOT NULL"}

metadata = sa.MetaData()

# Of the file itself, in one row: the random name that tells its runs from those of other state files.
identity = sa.Table("identity", metadata, sa.Column("name", sa.Text, nullable=False))

schedules = sa.Table(
    "schedules",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("program", sa.Text, nullable=False),
    sa.Column("config", sa.Text, nullable=False),
    sa.Column("overrides", sa.JSON, nullable=False),
    sa.Column("shared", sa.Boolean, nullable=False),
    sa.Column("cron", sa.Text, nullable=False),
    sa.Column("timezone", sa.Text, nullable=False),
    sa.Column("team", sa.Text, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("gpus", sa.Integer, sa.CheckConstraint("gpus > 0"), nullable=False),
    sa.Column("deadline_s", sa.Integer),
    sa.Column("no_overlap", sa.Boolean, nullable=False),
    sa.Column("catch_up", sa.Text, nullable=False),
    sa.Column("retries", sa.Integer, nullable=False),
    sa.Column("address", sa.Text),
    sa.Column("insecure", sa.Boolean, nullable=False),
    sa.Column("webhook", sa.Text),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("next_due", sa.Integer, nullable=False),
    sa.Column("removed", sa.Float),
    sa.Column("stop_removed", sa.Boolean, nullable=False),
    sa.Column("baseline", sa.Text),
    sa.Column("cluster_gpus", sa.Integer, server_default=sa.text("0"), nullable=False),
)

# (schedule, due) is the key: this is what makes a second run of one due time impossible.
runs = sa.Table(
    "runs",
    metadata,
    sa.Column("schedule", sa.Text, sa.ForeignKey("schedules.name"), primary_key=True),
    sa.Column("due", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("queued", sa.Float, nullable=False),
    sa.Column("origin", sa.Text, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("preemptions", sa.Integer, nullable=False),
    sa.Column("not_before", sa.Float, nullable=False),
    sa.Column("cause", sa.Text),
    sa.Column("missing_since", sa.Float),
    sa.Column("judged", sa.Integer, nullable=False),
    sa.Column("results", sa.Text),
    sa.Column("gates", sa.JSON, nullable=False),
    sa.Column("started", sa.Float),
    sa.Column("ended", sa.Float),
    sa.Column("outcome", sa.Text),
    sa.Column("exit_code", sa.Integer),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("baseline", sa.Text),
    sa.Column("reported", sa.Boolean, nullable=False),
    # Those that ask for something: few, among years of history.
    sa.Index("open_runs", "due", sqlite_where=sa.text("state != 'ended' OR NOT reported")),
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("schedule", sa.Text, primary_key=True),
    sa.Column("due", sa.Integer, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("begun", sa.Float, nullable=False),
    sa.Column("started", sa.Float),
    sa.Column("ended", sa.Float),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("exit_code", sa.Integer),
    sa.Column("reason", sa.Text, nullable=False),
    sa.ForeignKeyConstraint(["schedule", "due"], ["runs.schedule", "runs.due"]),
)

quotas = sa.Table(
    "quotas",
    metadata,
    sa.Column("team", sa.Text, primary_key=True),
    sa.Column("gpus", sa.Integer, nullable=False),
)

# What is still to be said of runs that have ended: written with the end, taken out by the answer.
messages = sa.Table(
    "messages",
    metadata,
    sa.Column("schedule", sa.Text, primary_key=True),
    sa.Column("due", sa.Integer, primary_key=True),
    sa.Column("webhook", sa.Text, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("next_try", sa.Float, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.ForeignKeyConstraint(["schedule", "due"], ["runs.schedule", "runs.due"]),
    sa.Index("open_messages", "next_try", sqlite_where=sa.text("outcome = ''")),
)
