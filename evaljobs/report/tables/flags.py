"""The flags of an operating point, in words."""

from __future__ import annotations

from collections.abc import Iterable

from evaljobs.report.results import OK, Document
from evaljobs.report.tables.columns import Row

MEANING = {
    "unresolved": "the target allows not one false positive with this data: the TPR is that at zero false positives",
    "few_errors": "the target allows fewer than 30 false positives: the numbers rest on a handful of pairs",
    "tied": "the next scores are equal and would exceed the target together, so fewer false positives than allowed",
    "nothing_accepted": "the highest scores are equal and exceed the target together: nothing can be accepted",
    "no_impostors": "there is no impostor pair (one label in all): no rate of false positives, hence no threshold",
    "no_genuine": "there is no genuine pair (every label has one sample): the TPR is undefined",
}


def flags(point: Document | None) -> list[str]:
    """Return the flags of a point; none where there is no point."""
    return list((point or {}).get("flags") or ())


def meanings(found: Iterable[str]) -> list[str]:
    """Say what some flags mean, for the foot of a table: numbers that bear them rest on less than others."""
    known = set(found)
    return [f"{flag}: {meaning}" for flag, meaning in MEANING.items() if flag in known]


def flags_text(row: Row) -> str | None:
    """Return the flags of a row's point in one cell; None where there is no point."""
    point = row.get("point")
    return None if point is None else " ".join(flags(point))


def why_no_rate(row: Row) -> str:
    """Say why a row has no TPR, FPR or threshold."""
    if row["status"] != OK:
        return error_kind(row).replace("_", " ")
    found = flags(row.get("point"))
    for flag in ("no_impostors", "no_genuine", "nothing_accepted"):
        if flag in found:
            return flag.replace("_", " ")
    return ""


def why_no_auroc(row: Row) -> str:
    """Say why a row has no AUROC."""
    result = row.get("result")
    if result is None:
        return ""
    missing = [name for name in ("impostor", "genuine") if result[f"n_{name}"] == 0]
    return " and ".join(f"no {name} pairs" for name in missing)


def error_kind(row: Row) -> str:
    """Return the kind of a failed row's error, or its status where no kind was recorded."""
    error = row.get("error") or {}
    return str(error.get("kind") or row["status"])
