"""Checkpoints of training runs: a metric along each line, which one is best, and whether it differs from the last."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from evaljobs.report.comparing.difference_tables import VERDICTS
from evaljobs.report.comparing.differences import Metric, pair_rows
from evaljobs.report.comparing.paired_columns import paired_columns
from evaljobs.report.results import OK, group_rows
from evaljobs.report.section import Chart, Found, Table
from evaljobs.report.tables.columns import Column, Kind, Row
from evaljobs.report.tables.leaderboard import find_point
from evaljobs.report.tables.numbers import interval_text, rate_text
from evaljobs.report.tables.verification import quality_columns


def series_rows(found: Found, fpr: float) -> dict[str, list[dict[str, Any]]]:
    """Return the models of each line in the order of its numbers: rows of the leaderboard.

    Beside ``model``, ``result``, ``point`` and ``status`` they have ``is_best`` (of its line: by TPR, then AUROC, the
    first of equals), ``is_last`` (of those with a TPR) and ``against_last``: the difference to that one (see
    `evaljobs.report.comparing.differences`), or None.

    Returns
    -------
    dict
        By the line's name, in order of first appearance; lines of one model are left out.
    """
    lines: dict[str, list[dict[str, Any]]] = {}
    for row in group_rows(found.results, found.group):
        series = row["model"].get("series")
        if series:
            lines.setdefault(series["name"], []).append({**row, "point": find_point(row["result"], fpr)})
    for rows in lines.values():
        rows.sort(key=lambda row: row["model"]["series"]["value"])
        _mark(found, fpr, rows)
    return {name: rows for name, rows in lines.items() if len(rows) > 1}


def _mark(found: Found, fpr: float, rows: list[dict[str, Any]]) -> None:
    """Say which row of a line is the best and which the last one, and how each differs from the last."""
    judged = [row for row in rows if _tpr(row) is not None]
    best = min(judged, key=lambda row: (-row["point"]["tpr"], -(row["result"]["auroc"] or 0.0)), default=None)
    last = judged[-1] if judged else None
    for row in rows:
        row["is_best"], row["is_last"] = row is best, row is last
        row["against_last"] = None
        if last is not None and row in judged and row is not last:
            names = last["model"]["name"], row["model"]["name"]
            row["against_last"] = next(
                one for one in pair_rows(found.group, found.group, *names, [fpr]) if one["metric"] == Metric.TPR
            )


def _tpr(row: Row) -> float | None:
    return (row["point"] or {}).get("tpr")


def series_tables(found: Found, fpr: float) -> list[Table]:
    """Return the tables of checkpoints: the best of each line against its last one, and every checkpoint.

    Parameters
    ----------
    found
        The verifications of a job on a set.
    fpr
        The target at which checkpoints are judged.

    Returns
    -------
    list of Table
        ``series_best`` and ``series``; none where there is no line of two models.
    """
    lines = series_rows(found, fpr)
    if not lines:
        return []
    best = [row for row in map(_best_row, lines.values()) if row is not None]
    every = [row for rows in lines.values() for row in rows]
    tables = []
    if best:
        notes = ["the best of many is chosen by the images on which it is judged: it looks better than it is"]
        tables.append(Table("series_best", "Best checkpoints", _BEST, best, [*notes, *_legend(best)]))
    columns = [*_PLACE, Column("model", "model", "model.name", Kind.TEXT, strong=_is_best), *quality_columns(fpr)]
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


def series_chart(found: Found, fpr: float) -> Chart | None:
    """Return TPR along the lines, with 95% intervals; None where there is no line of two models."""
    lines = series_rows(found, fpr)
    if not lines:
        return None
    tags = dict.fromkeys(rows[0]["model"]["series"]["tag"] for rows in lines.values())
    y_title = f"TPR at FPR {rate_text(fpr)}"
    return Chart(
        "series",
        f"{y_title} over {' and '.join(tags)}",
        f"{y_title} of {len(lines):,} line(s) of checkpoints, with 95% intervals",
        "lines",
        {"lines": [_line(name, rows) for name, rows in lines.items()], "x_title": " / ".join(tags), "y_title": y_title},
    )


def _line(name: str, rows: Sequence[Row]) -> dict[str, Any]:
    ends = [(row["point"] or {}).get("tpr_ci") for row in rows]
    return {
        "name": name,
        "x": [row["model"]["series"]["value"] for row in rows],
        "y": [_tpr(row) for row in rows],
        "low": [end and end[0] for end in ends],
        "high": [end and end[1] for end in ends],
    }


# Columns


def _is_best(row: Row) -> bool:
    return bool(row["is_best"])


def _side_text(side: str, row: Row) -> str:
    point = row[side]["point"]
    return interval_text(point["tpr"], point.get("tpr_ci"))


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
_BEST = [
    Column("line", "line", "best.model.series.name", Kind.TEXT),
    Column("tag", "along", "best.model.series.tag", Kind.TEXT),
    Column("checkpoints", "checkpoints", "n", Kind.INTEGER),
    _number("best", "best at", "best", "model", "series", "value"),
    Column("best_model", "best", "best.model.name", Kind.TEXT),
    Column("tpr_best", "its TPR", "best.point.tpr", Kind.NUMBER, format=partial(_side_text, "best")),
    _number("last", "last at", "last", "model", "series", "value"),
    Column("last_model", "last", "last.model.name", Kind.TEXT),
    Column("tpr_last", "its TPR", "last.point.tpr", Kind.NUMBER, format=partial(_side_text, "last")),
    *_AGAINST_LAST,
]
