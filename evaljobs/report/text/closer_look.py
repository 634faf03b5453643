"""What a rate hides: errors that come from one pair of labels, and labels that count more than others."""

from __future__ import annotations

from collections.abc import Sequence

from evaljobs.report.results import Document
from evaljobs.report.tables.numbers import rate_text

# Of fewer false positives, a share says little; a smaller share is no surprise.
LEAST_FALSE_POSITIVES = 10
LEAST_SHARE = 0.2
LEAST_DIFFERENCE = 0.05


def concentration(result: Document) -> str | None:
    """Say at which target, the lowest, one pair of labels makes a fifth or more of the false positives; not escaped."""
    for point in sorted(result["points"], key=lambda point: float(point["target"])):
        spread, total = point.get("spread"), point["false_positives"]
        if not spread or total < LEAST_FALSE_POSITIVES:
            continue
        number, (a, b) = spread["largest"]["false_positives"], spread["largest"]["labels"]
        if number >= LEAST_SHARE * total:
            where = f"within {a!r}: are they impostors?" if a == b else f"between {a!r} and {b!r}: is it one identity?"
            rate = rate_text(float(point["target"]))
            return f"FPR {rate}: {number / total:.0%} of the {total:,} false positives are {where}"
    return None


def balance_matters(points: Sequence[Document]) -> bool:
    """Return whether the TPR in which each label counts alike is far from that in which each pair does."""
    both = [(point["tpr"], point.get("tpr_balanced")) for point in points]
    return any(
        abs(tpr - balanced) > LEAST_DIFFERENCE for tpr, balanced in both if tpr is not None and balanced is not None
    )
