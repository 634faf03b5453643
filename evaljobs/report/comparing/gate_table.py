"""What became of gates, as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from evaljobs.report.comparing.gate import Judgement
from evaljobs.report.tables.columns import Column, Kind, Row
from evaljobs.report.tables.numbers import interval_text

_MEANING = {
    Judgement.FAILED: "the whole 95% interval lies on the wrong side of the bound",
    Judgement.INCONCLUSIVE: "the interval reaches to both sides of the bound, or there is none that counts",
    Judgement.PASSED: "no part of the 95% interval lies on the wrong side of the bound",
}


def _judged_text(row: Row) -> str:
    return interval_text(row["judged"], row["ci"], sign="+" if row["relative"] else "-")


def _flags(row: Row) -> str | None:
    return " ".join(row["flags"]) or None


def _reason(row: Row) -> str | None:
    return row["reason"] or None


# For people, beside the names of the models.
GATE_COLUMNS = [
    Column("gate", "gate", "gate", Kind.TEXT),
    Column("judged", "B, or B - A [95% interval]", "judged", Kind.NUMBER, format=_judged_text),
    Column("judgement", "gate is", "judgement", Kind.TEXT),
    Column("reason", "why", _reason, Kind.TEXT),
    Column("flags", "flags", _flags, Kind.TEXT),
]


def gate_lines(rows: Sequence[Row]) -> list[str]:
    """Return a line for each gate, for logs that are read from their end: those that failed come last."""
    groups = {(row["job"], row["set"]) for row in rows}
    order = list(_MEANING).index
    lines = []
    for row in sorted(rows, key=lambda row: -order(row["judgement"])):
        where = f"{row['job']} on {row['set']}: " if len(groups) > 1 else ""
        names = row["model"] if row["model"] == row["reference"] else f"{row['reference']} (A), {row['model']} (B)"
        found = "-" if row["judged"] is None else f"{'B - A = ' if row['relative'] else ''}{_judged_text(row)}"
        remarks = [text for text in (row["reason"], _flags(row)) if text]
        why = f" ({', '.join(remarks)})" if remarks else ""
        lines.append(f"{row['judgement']}: {where}{names}: {row['gate']}: {found}{why}")
    return lines


def gate_legend(rows: Sequence[Row]) -> list[str]:
    """Say how many gates passed and failed, and what that means."""
    counts = Counter(row["judgement"] for row in rows)
    return [f"gates {each}: {counts[each]:,} ({meaning})" for each, meaning in _MEANING.items() if counts[each]]
