"""The leaderboard and the thresholds of one job on one set, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evaljobs.report.results import OK, earlier_rates, image_rates, result_of, tag_keys
from evaljobs.report.section import Found, Table
from evaljobs.report.tables.columns import Column, Row
from evaljobs.report.tables.flags import flags, meanings
from evaljobs.report.tables.leaderboard import chosen_fpr, intervals_text, leaderboard_rows
from evaljobs.report.tables.numbers import rate_text
from evaljobs.report.tables.verification import (
    BALANCED_COLUMN,
    RATE_NOTE,
    THRESHOLD_COLUMNS,
    leaderboard_columns,
    rate_column,
    threshold_columns,
)
from evaljobs.report.text.closer_look import balance_matters

SCALES = (
    "Accept a pair when its cosine is at or above the threshold. It stands on both scales in use, cosine and "
    "(cosine + 1) / 2, rounded down only as far as every pair of this data stays on its side; CSV and Parquet keep all "
    "digits."
)


def leaderboard_table(found: Found, fpr: float, *, rates: bool) -> Table:
    """Return all models at one target FPR, best first, failed ones last.

    Parameters
    ----------
    found
        Verifications.
    fpr
        The target. At the one that the group is ranked by the table's name is ``leaderboard``, else it says the target.
    rates
        Whether it says how many images a model takes in a second, which differs between equal runs.
    """
    rows = leaderboard_rows(found.results, found.group, fpr)
    columns = [_strong(column) for column in leaderboard_columns(tag_keys(found.results), fpr)]
    notes = _notes(rows)
    if rates and (measured := image_rates(found.results)):
        columns.insert(-1, rate_column(measured, earlier_rates(found.results)))
        notes.append(RATE_NOTE)
    name = "leaderboard" if fpr == chosen_fpr(found.group) else f"leaderboard-{rate_text(fpr)}"
    return Table(name, f"Leaderboard at FPR {rate_text(fpr)}", columns, rows, notes)


def _strong(column: Column) -> Column:
    return replace(column, strong=_is_first) if column.name == "tpr" else column


def _is_first(row: Row) -> bool:
    return bool(row["rank"] == 1)


def _notes(rows: Sequence[Row]) -> list[str]:
    about = intervals_text(row["result"] for row in rows if row["status"] == OK)
    return [*([about] if about else []), *meanings(flag for row in rows for flag in flags(row["point"]))]


def thresholds_table(found: Found, fpr: float) -> Table:
    """Return every operating point of every model, models in the order of the leaderboard at one target FPR."""
    ranked = leaderboard_rows(found.results, found.group, fpr)
    rows = [{**row, "point": point} for row in ranked if row["status"] == OK for point in row["result"]["points"]]
    columns = threshold_columns(tag_keys(found.results))
    columns.insert([column.name for column in columns].index("tpr") + 1, BALANCED_COLUMN)
    return Table("thresholds", "Thresholds of all models", columns, rows, [SCALES, *_notes(rows)])


def threshold_table(found: Found, model: str) -> Table:
    """Return the operating points of one model; without rows where it has no result."""
    result = result_of(found.group, model)
    points = result["points"] if result else []
    rows = [{"result": result, "point": point, "status": OK} for point in points]
    columns = list(THRESHOLD_COLUMNS)
    if balance_matters(points):
        columns.insert([column.name for column in columns].index("tpr") + 1, BALANCED_COLUMN)
    return Table("thresholds", f"Thresholds of {model}", columns, rows, [SCALES, *_notes(rows)])
