"""Differences between models as tables: for machines with all digits, for people with the verdict in words."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from evaljobs.report.comparing.differences import Metric, Verdict
from evaljobs.report.comparing.measures import measure_of
from evaljobs.report.tables.columns import Column, Kind, Row, end_columns
from evaljobs.report.tables.escape import markdown_text
from evaljobs.report.tables.numbers import interval_text, rate_text

# A verdict in words, for the foot of a table.
VERDICTS = {
    Verdict.REAL: "zero lies outside the 95% interval of the difference",
    Verdict.NOT_CERTAIN: "zero lies inside: these images do not tell the two models apart",
    Verdict.UNKNOWN: "there is no interval",
}


def _words(key: str, row: Row) -> str | None:
    return " ".join(row[key]) or None


def metric_text(row: Row) -> str:
    """Write what is compared, such as ``TPR@1e-4`` or ``balanced accuracy``."""
    if row["target"] is not None:
        return f"TPR@{rate_text(row['target'])}"
    return "AUROC" if row["metric"] == Metric.AUROC else measure_of(row["metric"]).title


def difference_text(row: Row) -> str:
    """Write a difference with its sign and its interval."""
    return interval_text(row["difference"], row["ci"], sign="+")


# Every number with all its digits: differences.csv, differences.parquet, and JSON.
DIFFERENCE_COLUMNS = [
    Column("job", "job", "job", Kind.TEXT),
    Column("set", "set", "set", Kind.TEXT),
    Column("reference", "reference (A)", "reference", Kind.TEXT),
    Column("model", "model (B)", "model", Kind.TEXT),
    Column("metric", "metric", "metric", Kind.TEXT),
    Column("target", "target FPR", "target", Kind.NUMBER),
    Column("value_reference", "A", "a", Kind.NUMBER),
    Column("value_model", "B", "b", Kind.NUMBER),
    Column("difference", "B - A", "difference", Kind.NUMBER),
    *end_columns("difference_ci", "ci"),
    Column("zero_inside", "zero inside", "zero_inside", Kind.BOOLEAN),
    Column("verdict", "verdict", "verdict", Kind.TEXT),
    Column("reason", "why there is no interval", lambda row: row["reason"] or None, Kind.TEXT),
    Column("flags_reference", "flags of A", partial(_words, "flags_a"), Kind.TEXT),
    Column("flags_model", "flags of B", partial(_words, "flags_b"), Kind.TEXT),
    Column("unit", "unit", "unit", Kind.TEXT),
    Column("groups", "groups", "groups", Kind.INTEGER),
]


def flags_of_both(row: Row) -> str | None:
    """Return the flags of either model: such a number rests on few pairs, and so does its interval."""
    return " ".join(dict.fromkeys([*row["flags_a"], *row["flags_b"]])) or None


# For people, beside names or under a heading that has them.
SHOWN_COLUMNS = [
    Column("metric", "metric", metric_text, Kind.TEXT),
    Column("a", "A", "a", Kind.NUMBER, format=".4f"),
    Column("b", "B", "b", Kind.NUMBER, format=".4f"),
    Column("difference", "B - A [95% interval]", "difference", Kind.NUMBER, format=difference_text),
    Column("verdict", "difference is", "verdict", Kind.TEXT),
    Column("flags", "flags", flags_of_both, Kind.TEXT),
]


def legend(rows: Sequence[Row]) -> list[str]:
    """Say what the verdicts of some rows mean, and what their intervals rest on."""
    found = {row["verdict"] for row in rows}
    reasons = ", ".join(sorted({row["reason"] for row in rows if row["reason"]}))
    why = {Verdict.UNKNOWN: f" ({reasons})"}
    lines = [f"{verdict}: {meaning}{why.get(verdict, '')}" for verdict, meaning in VERDICTS.items() if verdict in found]
    for unit, groups in sorted({(row["unit"], row["groups"]) for row in rows if row["ci"] is not None}):
        lines.append(f"intervals: paired, from {groups} groups of {unit}s, each left out in turn")
    return lines


def bullets(lines: Sequence[str]) -> str:
    """Return lines as a list in Markdown."""
    return "".join(f"- {markdown_text(line)}\n" for line in lines)
