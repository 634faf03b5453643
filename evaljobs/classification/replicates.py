"""The results with one group of images left out at a time."""

from __future__ import annotations

import dataclasses
from typing import Any

from evaljobs.classification.count import Counts
from evaljobs.classification.metrics import PerClass, balanced_accuracy, macro, share

Replicated = tuple[float | None, ...]


@dataclasses.dataclass(frozen=True)
class Intervals:
    """What the confidence intervals follow from: the results without each group.

    Attributes
    ----------
    unit
        What was dealt to the groups: `sample`. Equal images are of one group.
    groups
        How many.
    accuracy, balanced_accuracy, macro_f1
        A value for each group; None where it is undefined.
    top_k
        For each k, likewise.
    """

    groups: int
    accuracy: Replicated
    balanced_accuracy: Replicated
    macro_f1: Replicated
    top_k: tuple[Replicated, ...]
    unit: str = "sample"

    def to_json(self) -> dict[str, Any]:
        """Return them as they stand in results.json."""
        names = ("accuracy", "balanced_accuracy", "macro_f1")
        replicates = {name: list(getattr(self, name)) for name in names}
        top = [list(values) for values in self.top_k]
        return {"unit": self.unit, "groups": self.groups, "replicates": {**replicates, "top_k": top}}


def replicate(counts: Counts) -> Intervals:
    """Leave out each group in turn: the counts of all less its own."""
    total, top = counts.by_class.sum(axis=0), counts.top.sum(axis=0)
    left = [PerClass(*(total - group)) for group in counts.by_class]
    sizes = [int(found.n_samples.sum()) for found in left]
    return Intervals(
        groups=len(left),
        accuracy=tuple(share(int(found.n_correct.sum()), n) for found, n in zip(left, sizes, strict=True)),
        balanced_accuracy=tuple(balanced_accuracy(found) for found in left),
        macro_f1=tuple(macro(found).f1 for found in left),
        top_k=tuple(
            tuple(share(int(among - out), n) for out, n in zip(counts.top[:, place], sizes, strict=True))
            for place, among in enumerate(top)
        ),
    )
