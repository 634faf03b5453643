"""Classifications in ``results.md``: the leaderboard by accuracy, and who differs from the first."""

from __future__ import annotations

from functools import partial

from evaljobs.report.comparing.difference_tables import bullets, difference_text, legend
from evaljobs.report.comparing.measures import ACCURACY, Measure, class_rows, group_differences, measures_of
from evaljobs.report.results import CLASSIFICATION, Document, Group, groups_of, tag_keys
from evaljobs.report.tables.class_boards import (
    ECE_COLUMN,
    RANK_COLUMN,
    class_evidence,
    class_notes,
    class_title,
    measure_column,
)
from evaljobs.report.tables.columns import Column, Kind, Row, used_columns
from evaljobs.report.tables.escape import markdown_text
from evaljobs.report.tables.formats import to_markdown
from evaljobs.report.tables.verification import COST_COLUMNS, STATUS_COLUMN, TAG, tag_columns


def classification_markdown(results: Document) -> list[str]:
    """Return the leaderboards of classifications, and every model against the first, in Markdown."""
    return [part for group in groups_of(results, CLASSIFICATION) for part in _group_markdown(results, group)]


def _group_markdown(results: Document, group: Group) -> list[str]:
    title = markdown_text(class_title(results, group))
    rows = class_rows(results, group)
    notes = bullets(class_notes(rows))
    parts = [
        f"## {title}\n",
        f"On {markdown_text(group.set)}: {markdown_text(class_evidence(group))}.\n",
        to_markdown(used_columns(_columns(results, group), rows), rows),
        *([notes] if notes else []),
    ]
    against = _against_first(results, group)
    return [*parts, f"### Differences: {title}\n", against] if against else parts


def _columns(results: Document, group: Group) -> list[Column]:
    return [
        RANK_COLUMN,
        Column("model", "model", "model.name", Kind.TEXT),
        *tag_columns(tag_keys(results), TAG),
        *(measure_column(measure) for measure in measures_of(group)),
        ECE_COLUMN,
        *COST_COLUMNS,
        STATUS_COLUMN,
    ]


def _against_first(results: Document, group: Group) -> str | None:
    """Return every model against the first; None where there is no other."""
    rows = group_differences(results, group)
    if not rows:
        return None
    models: dict[str, dict[str, Row]] = {}
    for row in rows:
        models.setdefault(row["model"], {})[row["metric"]] = row
    columns = [Column("model", "model", f"{ACCURACY.name}.model", Kind.TEXT)]
    for measure in measures_of(group):
        text, verdict = partial(_text, measure), f"{measure.name}.verdict"
        columns.append(Column(measure.name, measure.title, f"{measure.name}.difference", Kind.NUMBER, format=text))
        columns.append(Column(f"{measure.name}_verdict", "difference is", verdict, Kind.TEXT))
    whole = list(models.values())
    said = f"Each model minus {markdown_text(rows[0]['reference'])}, on the same images, with a 95% interval.\n"
    return f"{said}\n{to_markdown(used_columns(columns, whole), whole)}\n{bullets(legend(rows))}"


def _text(measure: Measure, row: Row) -> str:
    return difference_text(row[measure.name])
