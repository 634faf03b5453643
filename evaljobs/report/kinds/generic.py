"""A job of a kind that nobody has written a section for: its results as a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from evaljobs.report.comparing.differences import Verdict
from evaljobs.report.results import OK
from evaljobs.report.section import Found, Headline, Part, Section, Table
from evaljobs.report.tables.columns import Column, Kind, Row

_LONGEST = 80


def generic_section(kind: str) -> Callable[[Found], Section]:
    """Return the section of jobs of a kind: a row for each model, a column for each number or text of its result."""
    return partial(_section, kind)


def _section(kind: str, found: Found) -> Section:
    rows = [_row(name, entry) for name, entry in found.group.evaluations.items()]
    worked = [row for row in rows if row["status"] == OK]
    sentence = f"{len(worked):,} of {len(rows):,} evaluations worked."
    return Section(
        job=found.group.job,
        kind=kind,
        set=found.group.set,
        headline=Headline(None, sentence, Verdict.UNKNOWN),
        choice="",
        boards={},
        chosen="",
        whole=Part(tables=[Table("results", f"Results of {found.group.job}", _columns(worked), worked)]),
    )


def _row(name: str | None, entry: Mapping[str, Any]) -> dict[str, Any]:
    return {"model": {"name": name}, "status": entry["status"], "values": dict(_flat(entry.get("result") or {}))}


def _flat(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the numbers and texts of a result by their place in it; lists are left to the tables."""
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{path}{key}.")
        elif not isinstance(inner, list):
            yield f"{path}{key}", inner


def _columns(rows: list[dict[str, Any]]) -> list[Column]:
    keys = dict.fromkeys(key for row in rows for key in row["values"])
    return [Column("model", "model", "model.name", Kind.TEXT), *(_column(key, rows) for key in keys)]


def _column(key: str, rows: list[dict[str, Any]]) -> Column:
    values = [row["values"].get(key) for row in rows]
    numeric = all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values)
    if numeric and any(value is not None for value in values):
        whole = all(value is None or isinstance(value, int) for value in values)
        kind, form = (Kind.INTEGER, ",d") if whole else (Kind.NUMBER, ".6g")
        return Column(key, key, partial(_value, key), kind, format=form)
    return Column(key, key, partial(_text, key), Kind.TEXT)


def _value(key: str, row: Row) -> Any:
    return row["values"].get(key)


def _text(key: str, row: Row) -> str | None:
    value = row["values"].get(key)
    text = None if value is None else str(value)
    return text if text is None or len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
