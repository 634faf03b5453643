"""Checkpoints of training runs: a metric along each line, which one is best, and whether it differs from the last."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from evaljobs.report.comparing.difference_tables import VERDICTS
from evaljobs.report.comparing.paired_columns import paired_columns
from evaljobs.report.results import OK
from evaljobs.report.runs.lines import line_of
from evaljobs.report.section import Chart, Found, Table
from evaljobs.report.tables.columns import Column, Kind, Row
from evaljobs.report.tables.quality import Quality


def series_rows(found: Found, quality: Quality) -> dict[str, list[dict[str, Any]]]:
    """Return the models of each line in the order of its numbers: rows of the leaderboard.

    They have beside it ``is_best`` (of its line; the first of equals), ``is_last`` (of those with a number) and
    ``against_last``: the difference to that one (`Quality.difference`), or None.

    Returns
    -------
    dict
        By the line's name, in order of first appearance; lines of one model are left out.
    """
    lines: dict[str, list[dict[str, Any]]] = {}
    by_name = {row["model"]["name"]: row for row in quality.rows(found)}
    for row in (by_name[model["name"]] for model in found.results["models"] if model["name"] in by_name):
        series = row["model"].get("series")
        if series:
            lines.setdefault(series["name"], []).append({**row})
    for rows in lines.values():
        rows.sort(key=lambda row: row["model"]["series"]["value"])
        _mark(quality, rows)
    return {name: rows for name, rows in lines.items() if len(rows) > 1}


def _mark(quality: Quality, rows: list[dict[str, Any]]) -> None:
    """Say which row of a line is the best and which the last one, and how each differs from the last."""
    judged = [row for row in rows if quality.number(row) is not None]
    best = max(judged, key=quality.goodness, default=None)
    last = judged[-1] if judged else None
    for row in rows:
        row["is_best"], row["is_last"] = row is best, row is last
        row["against_last"] = None
        if last is not None and row in judged and row is not last:
            row["against_last"] = quality.difference(last["result"], row["result"])


def series_tables(found: Found, quality: Quality) -> list[Table]:
    """Return the tables of checkpoints: the best of each line against its last one, and every checkpoint.

    Parameters
    ----------
    found
        The evaluations of a job on a set.
    quality
        By which checkpoints are judged.

    Returns
    -------
    list of Table
        ``series_best`` and ``series``; none where there is no line of two models.
    """
    lines = series_rows(found, quality)
    if not lines:
        return []
    best = [row for row in map(_best_row, lines.values()) if row is not None]
    every = [row for rows in lines.values() for row in rows]
    tables = []
    if best:
        notes = ["the best of many is chosen by the images on which it is judged: it looks better than it is"]
        tables.append(Table("series_best", "Best checkpoints", _best_columns(quality), best, [*notes, *_legend(best)]))
    columns = [*_PLACE, Column("model", "model", "model.name", Kind.TEXT, strong=_is_best), *quality.columns()]
    return [*tables, Table("series", "Checkpoints", [*columns, *_AGAINST_LAST], every)]


def _best_row(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    best = next((row for row in rows if row["is_best"]), None)
    last = next((row for row in rows if row["is_last"]), None)
    if best is None or last is None:
        return None
    return {"best": best, "last": last, "n": len(rows), "against_last": best["against_last"]}


def _legend(rows: Sequence[Row]) -> list[str]:
    found = {row["against_last"]["verdict"] for row in rows if row["against_last"]}
    return [f"{verdict}: {meaning}" for verdict, meaning in VERDICTS.items() if verdict in found]


def series_chart(found: Found, quality: Quality) -> Chart | None:
    """Return the quality along the lines, with 95% intervals; None where there is no line of two models."""
    lines = series_rows(found, quality)
    if not lines:
        return None
    tags = dict.fromkeys(rows[0]["model"]["series"]["tag"] for rows in lines.values())
    y_title = quality.title
    drawn = [
        line_of(name, rows, quality, [row["model"]["series"]["value"] for row in rows]) for name, rows in lines.items()
    ]
    return Chart(
        "series",
        f"{quality.heading} over {' and '.join(tags)}",
        f"{quality.heading} of {len(lines):,} line(s) of checkpoints, with 95% intervals",
        "lines",
        {"lines": drawn, "x_title": " / ".join(tags), "y_title": y_title},
    )


# Columns


def _is_best(row: Row) -> bool:
    return bool(row["is_best"])


def _side_column(quality: Quality, side: str) -> Column:
    """Return the number of the best or of the last one."""
    name, title = quality.metric

    def value(row: Row) -> float | None:
        return quality.number(row[side])

    def text(row: Row) -> str:
        return quality.text(row[side])

    return Column(f"{name}_{side}", f"its {title}", value, Kind.NUMBER, format=text)


def _value_text(path: tuple[str, ...], row: Row) -> str:
    for part in path:
        row = row[part]
    return str(row)


def _number(name: str, title: str, *path: str) -> Column:
    return Column(name, title, ".".join(path), Kind.NUMBER, format=partial(_value_text, path))


def _why_none(row: Row) -> str:
    return "" if row.get("status", OK) != OK else "it is the last one" if row.get("is_last", True) else ""


_AGAINST_LAST = paired_columns("against_last", "less the last one", _why_none)
_PLACE = [
    Column("line", "line", "model.series.name", Kind.TEXT),
    Column("tag", "along", "model.series.tag", Kind.TEXT),
    _number("value", "at", "model", "series", "value"),
]


def _best_columns(quality: Quality) -> list[Column]:
    return [
        Column("line", "line", "best.model.series.name", Kind.TEXT),
        Column("tag", "along", "best.model.series.tag", Kind.TEXT),
        Column("checkpoints", "checkpoints", "n", Kind.INTEGER),
        _number("best", "best at", "best", "model", "series", "value"),
        Column("best_model", "best", "best.model.name", Kind.TEXT),
        _side_column(quality, "best"),
        _number("last", "last at", "last", "model", "series", "value"),
        Column("last_model", "last", "last.model.name", Kind.TEXT),
        _side_column(quality, "last"),
        *_AGAINST_LAST,
    ]
