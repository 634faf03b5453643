"""Anomaly jobs in words: ``results.md`` and the terminal."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from evaljobs.report.comparing.against_first import standings
from evaljobs.report.comparing.anomalies import anomaly_groups, anomaly_rows, shown_fpr
from evaljobs.report.comparing.differences import Metric, group_differences
from evaljobs.report.results import OK, Document, Group
from evaljobs.report.tables.anomaly import (
    AUROC_COLUMN,
    FLAGGED,
    POINT_COLUMNS,
    board_columns,
    intervals_note,
    meanings,
    tpr_column,
)
from evaljobs.report.tables.columns import Column, Kind, used_columns
from evaljobs.report.tables.escape import markdown_text, visible
from evaljobs.report.tables.flags import error_kind, flags
from evaljobs.report.tables.formats import to_markdown, to_terminal
from evaljobs.report.tables.numbers import rate_text


def _images(group: Group) -> str:
    """Say how many images stand behind the numbers."""
    result = next((e["result"] for e in group.evaluations.values() if e["status"] == OK), None)
    if result is None:
        return "no model could be evaluated"
    return f"{result['n_anomalous']:,} anomalous and {result['n_normal']:,} normal images"


def anomaly_parts(results: Document, max_rows: int) -> list[RenderableType]:
    """Return the leaderboards for a terminal: the best models of each job, and the names of those that failed."""
    return [part for group in anomaly_groups(results) for part in _on_terminal(results, group, max_rows)]


def _on_terminal(results: Document, group: Group, max_rows: int) -> list[RenderableType]:
    rows = anomaly_rows(results, group)
    fine = [row for row in rows if row["status"] == OK]
    parts: list[RenderableType] = [
        Text(visible(f"Anomalies: {group.job} on {group.set}: {_images(group)}"), style="bold")
    ]
    if fine:
        shown, fpr = fine[:max_rows], shown_fpr(group)
        columns = [
            Column("rank", "#", "rank", Kind.INTEGER),
            Column("model", "model", "model.name", Kind.TEXT),
            AUROC_COLUMN,
            *([] if fpr is None else [tpr_column(f"TPR@{rate_text(fpr)}")]),
        ]
        parts.append(to_terminal(used_columns(columns, shown), shown))
        if len(fine) > len(shown):
            parts.append(Text(f"  ... and {len(fine) - len(shown):,} more in results.md"))
        parts += [Text(visible(f"  {line}")) for line in [*intervals_note(fine), *_standing(results, group)]]
        parts += [Text(visible(f"  {line}")) for line in meanings(flag for row in fine for flag in flags(row["point"]))]
    parts += [Text(visible(f"  failed: {r['model']['name']} ({error_kind(r)})")) for r in rows if r["status"] != OK]
    return parts


def _standing(results: Document, group: Group) -> list[str]:
    """Say how many models are better and worse than the first."""
    rows = [row for row in group_differences(results, group) if row["metric"] == Metric.AUROC]
    said = standings(rows, "in AUROC")
    return [said] if said else []


def anomaly_markdown(results: Document) -> list[str]:
    """Return the anomaly jobs of a run in Markdown: the board and the operating points of each."""
    return [part for group in anomaly_groups(results) for part in _in_markdown(results, group)]


def _in_markdown(results: Document, group: Group) -> list[str]:
    fpr, rows = shown_fpr(group), anomaly_rows(results, group)
    points = [{**row, "point": point} for row in rows if row["status"] == OK for point in row["result"]["points"]]
    notes = [FLAGGED, *intervals_note(rows), *meanings(flag for row in points for flag in flags(row["point"]))]
    figures = dict.fromkeys(
        file for row in rows if row["status"] == OK for file in group.evaluations[row["model"]["name"]]["figures"]
    )
    return [
        f"## Anomalies: {markdown_text(group.job)} on {markdown_text(group.set)}\n",
        f"{_images(group).capitalize()}.\n",
        to_markdown(used_columns(board_columns(results, None, fpr), rows), rows),
        *([to_markdown(used_columns(POINT_COLUMNS, points), points)] if points else []),
        "".join(f"- {markdown_text(note)}\n" for note in notes),
        *(f"![{markdown_text(group.job)}]({file})\n" for file in figures if file.endswith(".png")),
    ]
