"""What a run says at its end: the leaderboards of all jobs that have one."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from rich.console import Group as Renderables
from rich.console import RenderableType
from rich.text import Text

from evaljobs.report.comparing.against_first import standings
from evaljobs.report.comparing.measures import ACCURACY, Measure, class_rows, group_differences, measures_of, value_of
from evaljobs.report.results import CLASSIFICATION, OK, Document, Group, groups_of, verification_groups
from evaljobs.report.tables.class_boards import (
    ECE_COLUMN,
    class_evidence,
    class_notes,
    class_title,
    measure_column,
)
from evaljobs.report.tables.columns import Column, Kind, Row, used_columns
from evaljobs.report.tables.escape import visible
from evaljobs.report.tables.flags import error_kind
from evaljobs.report.tables.formats import to_terminal
from evaljobs.report.tables.leaderboard import TERMINAL_ROWS, render_terminal
from evaljobs.report.text.anomaly_words import anomaly_parts
from evaljobs.report.text.audit_words import audit_lines
from evaljobs.report.text.uncertainty_words import uncertainty_lines

_SHORT = {"rank": "#", "balanced_accuracy": "balanced", "macro_f1": "F1"}
# Measures that fit beside a name: three, and the first top-k.
_MEASURES = 4


def render_results(results: Document, max_rows: int = TERMINAL_ROWS) -> RenderableType:
    """Return the leaderboards for a terminal, verifications first: the best `max_rows` models of each.

    Names are escaped; nothing in them acts on the terminal or is taken for rich's markup.
    """
    groups = groups_of(results, CLASSIFICATION)
    classified = [part for group in groups for part in _classified(results, group, max_rows)]
    audited = [Text(visible(line)) for line in audit_lines(results)]
    unsure: list[RenderableType] = [Text(visible(line)) for line in uncertainty_lines(results)]
    unsure += anomaly_parts(results, max_rows)
    verified = (
        [render_terminal(results, max_rows)]
        if verification_groups(results) or not (classified or unsure or audited)
        else []
    )
    return Renderables(*verified, *classified, *unsure, *audited)


def _classified(results: Document, group: Group, max_rows: int) -> list[RenderableType]:
    """Return the leaderboard of one job on one set, and the names of the models that failed."""
    rows = class_rows(results, group)
    fine = [row for row in rows if row["status"] == OK]
    parts: list[RenderableType] = [
        Text(visible(f"{class_title(results, group)}: {class_evidence(group)}"), style="bold")
    ]
    if fine:
        shown = fine[:max_rows]
        parts.append(to_terminal(used_columns(_terminal_columns(group), shown), shown))
        if len(fine) > len(shown):
            parts.append(Text(f"  ... and {len(fine) - len(shown):,} more in results.md"))
        about = [*class_notes(rows), _summary(results, group)]
        parts += [Text(visible(f"  {line}")) for line in about if line]
    parts += [Text(visible(f"  failed: {r['model']['name']} ({error_kind(r)})")) for r in rows if r["status"] != OK]
    return parts


def _terminal_columns(group: Group) -> list[Column]:
    """Return columns for a terminal of 80 columns: one interval, short headings, no tags and no costs."""
    columns = [
        Column("rank", "rank", "rank", Kind.INTEGER),
        Column("model", "model", "model.name", Kind.TEXT),
        measure_column(ACCURACY),
        *(_without_interval(measure) for measure in measures_of(group)[1:_MEASURES]),
        ECE_COLUMN,
    ]
    return [replace(c, title=_SHORT.get(c.name, c.title.removesuffix(" accuracy"))) for c in columns]


def _without_interval(measure: Measure) -> Column:
    return replace(measure_column(measure), format=partial(_four_decimals, measure))


def _four_decimals(measure: Measure, row: Row) -> str:
    value = value_of(row["result"], measure.name)
    return "-" if value is None else f"{value:.4f}"


def _summary(results: Document, group: Group) -> str | None:
    """Say in a line how many models are better and worse than the first; None where there is no other."""
    rows = [row for row in group_differences(results, group) if row["metric"] == ACCURACY.name]
    return standings(rows, f"in {ACCURACY.title}")
