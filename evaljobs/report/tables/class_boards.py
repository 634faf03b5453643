"""The leaderboard of classifications of one set, by whichever measure is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from evaljobs.report.comparing.measures import ACCURACY, Measure, class_rows, interval_of, measures_of, value_of
from evaljobs.report.results import OK, Document, Group, all_groups, earlier_rates, image_rates, tag_keys
from evaljobs.report.section import Found, Table
from evaljobs.report.tables.columns import Column, Kind, Row
from evaljobs.report.tables.leaderboard import intervals_text
from evaljobs.report.tables.numbers import interval_text
from evaljobs.report.tables.verification import COST_COLUMNS, RATE_NOTE, STATUS_COLUMN, TAG, rate_column, tag_columns

RANK_COLUMN = Column("rank", "rank", "rank", Kind.INTEGER, reason=lambda row: str(row["unranked"]))
ECE_COLUMN = Column("ece", "ECE", "result.calibration.ece", Kind.NUMBER, format=".4f")


def class_table(found: Found, measure: Measure, *, rates: bool) -> Table:
    """Return all models, best first by a measure, failed ones last.

    Parameters
    ----------
    found
        Classifications.
    measure
        The one that models are ranked by. Where it is not the accuracy, the table's name says it.
    rates
        Whether it says how many images a model takes in a second, which differs between equal runs.
    """
    rows = class_rows(found.results, found.group, measure)
    columns = [
        RANK_COLUMN,
        Column("model", "model", "model.name", Kind.TEXT),
        *tag_columns(tag_keys(found.results), TAG),
        *(measure_column(one, strong=one == measure) for one in measures_of(found.group)),
        ECE_COLUMN,
        *COST_COLUMNS,
    ]
    notes = class_notes(rows)
    if rates and (measured := image_rates(found.results)):
        columns.append(rate_column(measured, earlier_rates(found.results)))
        notes.append(RATE_NOTE)
    name = "leaderboard" if measure == ACCURACY else f"leaderboard-{measure.name}"
    return Table(name, f"Leaderboard by {measure.title}", [*columns, STATUS_COLUMN], rows, notes)


def measure_column(measure: Measure, *, strong: bool = False) -> Column:
    """Return the column of a measure with its interval; the best in bold where models are ranked by it."""
    ends = tuple(
        Column(f"{measure.name}_ci_{end}", f"{measure.title} {end}", partial(_end, measure, place), Kind.NUMBER)
        for place, end in enumerate(("lower", "upper"))
    )
    column = Column(
        measure.name,
        measure.title,
        partial(_value, measure),
        Kind.NUMBER,
        format=partial(measure_text, measure),
        beside=ends,
    )
    return replace(column, strong=_is_first) if strong else column


def measure_text(measure: Measure, row: Row) -> str:
    """Write a measure that a row has, with its interval."""
    value = value_of(row["result"], measure.name)
    return "-" if value is None else interval_text(value, interval_of(row["result"], measure.name))


def _value(measure: Measure, row: Row) -> float | None:
    return value_of(row["result"], measure.name)


def _end(measure: Measure, place: int, row: Row) -> float | None:
    ends = interval_of(row["result"], measure.name)
    return None if ends is None else ends[place]


def _is_first(row: Row) -> bool:
    return bool(row["rank"] == 1)


def class_notes(rows: Sequence[Row]) -> list[str]:
    """Say what the intervals of a leaderboard rest on, and what its columns are."""
    fine = [row["result"] for row in rows if row["status"] == OK]
    about = intervals_text(fine)
    notes = [about] if about else []
    if any(row["unranked"] for row in rows):
        notes.append("not ranked: models that were judged on other images than most, since they do not know all labels")
    if any(result["calibration"] for result in fine):
        notes.append("ECE: expected calibration error, how far confidence is from accuracy")
    return notes


def class_evidence(group: Group) -> str:
    """Say how many images stand behind the numbers of a group."""
    result = next((e["result"] for e in group.evaluations.values() if e["status"] == OK), None)
    if result is None:
        return "no model could be evaluated"
    return f"{result['n_samples']:,} images of {result['n_classes_with_samples']:,} classes"


def class_title(results: Document, group: Group) -> str:
    """Return what tells a group from all others, of whatever kind."""
    where = "" if len(all_groups(results)) == 1 else f": {group.job} on {group.set}"
    return f"Classification{where}"
