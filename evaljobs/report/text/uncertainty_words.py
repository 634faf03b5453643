"""Uncertainty in words: what it tells of foreign images and of mistakes; ``results.md`` and the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaljobs.report.comparing.uncertainties import (
    KNOWN,
    foreign_of,
    measures_of,
    set_names,
    title_of,
    uncertainty_groups,
    uncertainty_rows,
)
from evaljobs.report.results import OK, Document, Group
from evaljobs.report.tables.columns import Row, used_columns
from evaljobs.report.tables.escape import markdown_text
from evaljobs.report.tables.formats import to_markdown
from evaljobs.report.tables.uncertainty import BOARD_NOTES, SPLIT_COLUMNS, board_columns, split_notes, split_rows

_MOST_LINES = 5


def threshold_text(found: Document) -> str:
    """Say from which uncertainty on an image is unsure, and how that was chosen."""
    threshold = found["threshold"]
    if threshold["value"] is None:
        return f"nobody is unsure: the least certain images are more than the share of {threshold['share']:g}"
    if threshold["share"] is None:
        return f"unsure from {threshold['value']:.6g} on (given)"
    return f"unsure from {threshold['value']:.6g} on (at most {threshold['share']:.3g} of the in-distribution images)"


def sentence(row: Row, measure: str, names: Mapping[str, str]) -> str:
    """Say in a sentence what a model's uncertainty tells."""
    found = row["found"]
    split = found["sets"][KNOWN]["split"]
    n = split["n_unsure"] + split["n_sure"]
    text = f"By {title_of(measure)}, {split['n_unsure']:,} of {n:,} images are unsure"
    if split["right_sure"] is not None:
        text += f" ({_share(split['accuracy_unsure'])} of them right), the other {split['n_sure']:,} sure"
        text += f" ({_share(split['accuracy_sure'])} right)"
    for role, one in foreign_of(found).items():
        unsure, area = one["split"]["share_unsure"], one["detection"]["auroc"]
        text += f"; of {names.get(role, role)} {unsure:.1%} are unsure, AUROC {area:.4f}"
    return text


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def uncertainty_lines(results: Document) -> list[str]:
    """Return what uncertainty tells, a line for each of the first models of each job; not escaped."""
    lines = []
    for group in uncertainty_groups(results):
        rows = _fine(results, group)
        names = set_names(group)
        said = ((row["model"]["name"], sentence(row, measures_of(group)[0], names)) for row in rows[:_MOST_LINES])
        lines += [f"{group.job}: {name}: {text}" for name, text in said]
        lines += [f"  ... and {len(rows) - _MOST_LINES:,} more models in results.md"] if rows[_MOST_LINES:] else []
    return lines


def _fine(results: Document, group: Group) -> list[dict[str, Any]]:
    measures = measures_of(group)
    return [row for row in uncertainty_rows(results, group, measures[0]) if row["status"] == OK] if measures else []


def uncertainty_markdown(results: Document) -> list[str]:
    """Return the uncertainty jobs of a run in Markdown: the board and the splits of each."""
    return [part for group in uncertainty_groups(results) for part in _group_markdown(results, group)]


def _group_markdown(results: Document, group: Group) -> list[str]:
    measures = measures_of(group)
    if not measures:
        return []
    rows = uncertainty_rows(results, group, measures[0])
    splits = split_rows(group, [row["model"]["name"] for row in rows if row["status"] == OK], measures[:1])
    columns = used_columns(board_columns(results, group), rows)
    notes = "".join(f"- {markdown_text(note)}\n" for note in [*BOARD_NOTES, *split_notes(group)])
    figures = dict.fromkeys(
        file for row in rows if row["status"] == OK for file in group.evaluations[row["model"]["name"]]["figures"]
    )
    return [
        f"## Uncertainty: {markdown_text(group.job)} on {markdown_text(group.set)}\n",
        f"By {title_of(measures[0])}.\n",
        to_markdown(columns, rows),
        to_markdown(used_columns(SPLIT_COLUMNS, splits), splits),
        notes,
        *(f"![{markdown_text(group.job)}]({file})\n" for file in figures if file.endswith(".png")),
    ]
