"""How far the best model leads, and whether that is certain: the second sentence of every headline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from evaljobs.report.comparing.difference_tables import difference_text
from evaljobs.report.comparing.differences import Verdict
from evaljobs.report.tables.columns import Row

_NAMED = 3


def verdict_of(against: Sequence[Mapping[str, Any]]) -> Verdict:
    """Return whether the best differs for certain from each of the others."""
    found = {row["verdict"] for row in against}
    for verdict in (Verdict.NOT_CERTAIN, Verdict.UNKNOWN):
        if verdict in found:
            return verdict
    return Verdict.REAL if found else Verdict.UNKNOWN


def lead_sentence(others: Sequence[Row], against: Sequence[Mapping[str, Any]], what: str, hangs_on: str = "") -> str:
    """Say by how much the best model leads the second, and whether it differs from the others for certain.

    Parameters
    ----------
    others
        All but the best, best first.
    against
        The difference to each of them, the best less the other.
    what
        The number by which they are ranked.
    hangs_on
        The one thing that decides it, where the data do not resolve the target; empty where they do.
    """
    if not against:
        return "There is no other model to compare it with."
    second = others[0]["model"]["name"]
    if against[0]["difference"] == 0:
        by = f"{second} has the same {what}."
    else:
        interval = ", the 95% interval in brackets" if against[0]["ci"] else ""
        by = f"Against {second}, the second, that is {difference_text(against[0])}{interval}."
    if hangs_on and verdict_of(against) == Verdict.REAL:
        return f"{by} Whether that is certain is unknown: it hangs on {hangs_on}."
    return f"{by} {certainty(others, against)}"


def certainty(others: Sequence[Row], against: Sequence[Mapping[str, Any]]) -> str:
    """Say which models cannot be told from the best."""
    alike = [
        o["model"]["name"] for o, row in zip(others, against, strict=True) if row["verdict"] == Verdict.NOT_CERTAIN
    ]
    unknown = Counter(row["reason"] for row in against if row["verdict"] == Verdict.UNKNOWN)
    said = []
    if alike:
        named = ", ".join(alike[:_NAMED]) + (f" and {len(alike) - _NAMED:,} more" if len(alike) > _NAMED else "")
        said.append(f"{len(alike):,} of {len(others):,} others cannot be told from it on these images: {named}.")
    if unknown:
        why = ", ".join(reason for reason, _ in unknown.most_common(_NAMED))
        said.append(f"Whether {unknown.total():,} of {len(others):,} differ is unknown: {why}.")
    if not said:
        said.append("It is better than every other model for certain: each difference has zero outside its interval.")
    return " ".join(said)
