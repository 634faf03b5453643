"""In a run: every model against the first one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from evaljobs.report.comparing.difference_tables import VERDICTS, bullets, difference_text, flags_of_both, legend
from evaljobs.report.comparing.differences import Metric, Verdict, group_differences
from evaljobs.report.results import Document, Group
from evaljobs.report.tables.columns import Column, Kind, Row, used_columns
from evaljobs.report.tables.escape import markdown_text
from evaljobs.report.tables.formats import to_markdown
from evaljobs.report.tables.numbers import rate_text


def _against_columns(fpr: float) -> list[Column]:
    """Return the columns of a table with a row per model, which holds the rows of its TPR and of its AUROC."""
    columns = [Column("model", "model", "tpr.model", Kind.TEXT)]
    for key, title in (("tpr", f"TPR at FPR {rate_text(fpr)}"), ("auroc", "AUROC")):
        columns += [
            Column(key, title, f"{key}.difference", Kind.NUMBER, format=partial(_of, key, difference_text)),
            Column(f"{key}_verdict", "difference is", f"{key}.verdict", Kind.TEXT),
        ]
    return [*columns, Column("flags", "flags", partial(_of, "tpr", flags_of_both), Kind.TEXT)]


def _of(key: str, text: Callable[[Row], Any], row: Row) -> Any:
    return text(row[key])


def against_first(results: Document, group: Group, fpr: float) -> str | None:
    """Return every model against the first, in Markdown; None where there is no other."""
    rows = group_differences(results, group)
    models: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row["target"] in {None, fpr}:
            models.setdefault(row["model"], {})[row["metric"]] = row
    whole = [both for both in models.values() if len(both) == len(Metric)]
    if not whole:
        return None
    said = f"Each model minus {markdown_text(rows[0]['reference'])}, on the same images, with a 95% interval. "
    files = "`differences.csv` has every target.\n"
    return f"{said}{files}\n{to_markdown(used_columns(_against_columns(fpr), whole), whole)}\n{bullets(legend(rows))}"


def summary(results: Document, group: Group, fpr: float) -> str | None:
    """Say in a line how many models are better and worse than the first; None where there is no other."""
    rows = [row for row in group_differences(results, group) if row["target"] == fpr]
    return standings(rows, f"at FPR {rate_text(fpr)}")


def standings(rows: Sequence[Row], where: str) -> str | None:
    """Say in a line how many models are better and worse than the first in one number; None for no rows."""
    if not rows:
        return None
    counts = Counter(_standing(row) for row in rows)
    said = ", ".join(f"{counts[name]:,} {name}" for name in ("better", "worse", *VERDICTS) if counts[name])
    return f"against {rows[0]['reference']} {where}: {said} (differences.csv)"


def _standing(row: Row) -> str:
    if row["verdict"] != Verdict.REAL:
        return str(row["verdict"])
    return "better" if row["difference"] > 0 else "worse"
