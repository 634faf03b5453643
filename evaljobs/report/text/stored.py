"""What stands in a store, as tables for people."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from evaljobs.report.tables.columns import Column, Kind, Row, used_columns
from evaljobs.report.tables.escape import visible
from evaljobs.report.tables.formats import to_terminal

# Enough of a digest to name it by.
SHOWN_DIGITS = 12

# Of the tables, largest first.
TERMINAL_ROWS = 50

_UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def size_text(size: float) -> str:
    """Write bytes with three digits: 12.3 GB."""
    for unit, name in _UNITS:
        if size >= 0.9995 * unit:
            return f"{size / unit:.3g} {name}"
    return f"{size:.0f} B"


def _day(name: str) -> Column:
    def text(row: Row) -> str:
        return f"{dt.datetime.fromtimestamp(row[name], dt.UTC):%Y-%m-%d}"

    return Column(name, name, name, Kind.TEXT, format=text)


def _size(row: Row) -> str:
    return size_text(row["size"])


KIND_COLUMNS = (
    Column("kind", "", "kind", Kind.TEXT),
    Column("entries", "entries", "entries", Kind.INTEGER, format=","),
    Column("files", "files", "files", Kind.INTEGER, format=","),
    Column("rows", "rows", "rows", Kind.INTEGER, format=","),
    Column("size", "size", "size", Kind.INTEGER, format=_size),
    _day("oldest"),
    _day("newest"),
)

TABLE_COLUMNS = (
    Column("model", "model", lambda row: (row["model"] or "?")[:SHOWN_DIGITS], Kind.TEXT),
    Column("output", "output", lambda row: row["output"] or None, Kind.TEXT),
    Column("image", "image", lambda row: row["image"] or None, Kind.TEXT),
    Column("normalisation", "normalisation", lambda row: row["normalisation"] or None, Kind.TEXT),
    Column("provider", "provider", lambda row: row["provider"] or None, Kind.TEXT),
    Column("batch", "batch", "batch", Kind.INTEGER),
    Column("rows", "rows", "rows", Kind.INTEGER, format=","),
    Column("files", "files", "files", Kind.INTEGER, format=","),
    Column("size", "size", "size", Kind.INTEGER, format=_size),
    _day("written"),
    _day("used"),
)


def render_usage(found: Mapping[str, Any]) -> RenderableType:
    """Return what stands in a store for a terminal.

    Parameters
    ----------
    found
        As `evaljobs.store.usage.Usage.as_json` gives it.
    """
    parts: list[RenderableType] = [
        Text(visible(f"{found['store']}: {size_text(found['size'])}")),
        to_terminal(KIND_COLUMNS, found["kinds"]),
    ]
    tables = found["tables"][:TERMINAL_ROWS]
    if tables:
        parts.append(to_terminal(used_columns(TABLE_COLUMNS, tables), tables))
    if smaller := len(found["tables"]) - len(tables):
        parts.append(Text(f"and {smaller:,} smaller tables; --json lists all"))
    if found["unfinished"]:
        parts.append(Text(f"{found['unfinished']:,} half-written file(s) of killed writers; deleted after a day"))
    if found["unknown"]:
        parts.append(Text(f"{found['unknown']:,} file(s) that no store made; they are left alone"))
    return Group(*parts)


def trimmed_lines(found: Mapping[str, Any]) -> list[str]:
    """Return what was trimmed, in lines.

    Parameters
    ----------
    found
        As `evaljobs.store.collecting.Collected.as_json` gives it.
    """
    dry = found["dry_run"]
    freed, left = size_text(found["freed"]), size_text(found["left"])
    what = f"{found['tables']:,} table(s) and {found['results']:,} result(s)"
    lines = [
        f"would free {freed}: {what} ({left} would stay in {found['store']})"
        if dry
        else f"freed {freed}: {what} ({left} stay in {found['store']})"
    ]
    if found["uploads"] or found["runs"]:
        said = f"{found['uploads']:,} upload(s) and the results of {found['runs']:,} run(s)"
        lines.append(f"{'would free' if dry else 'freed'} {size_text(found['submitted'])} of submissions: {said}")
    if found["spared"]:
        lines.append(f"kept {found['spared']:,} more that these use:")
    if found["held"]:
        lines.append("kept what was sent for submissions, since these are at work:")
    if found["spared"] or found["held"]:
        lines += [f"  {holder}" for holder in found["holders"]]
    return [visible(line) for line in lines]


def verified_lines(found: Mapping[str, Any]) -> list[str]:
    """Return what was found wrong with a store, in lines.

    Parameters
    ----------
    found
        As `evaljobs.store.verifying.Verified.as_json` gives it.
    """
    findings = found["findings"]
    deleted = set(found["deleted"])
    lines = [
        f"{one['condition']}{' and deleted' if one['name'] in deleted else ''}: {one['name']}: {one['reason']}"
        for one in findings
    ]
    damaged = sum(one["condition"] == "damaged" for one in findings)
    checked = f"{found['files']:,} files, {size_text(found['size'])}, in {found['store']}"
    if not damaged:
        return [visible(line) for line in [*lines, f"whole: {checked}"]]
    done = "their content is made again by the next run that needs it"
    do = done if deleted else f"`evaljobs store verify --delete` deletes them, and {done}"
    return [visible(line) for line in [*lines, f"{damaged:,} damaged of {checked}; {do}"]]
