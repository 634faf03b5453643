"""The results with one group of samples left out at a time, from the pairs that touch each group."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs.count import Counts, Groups
from evaljobs.pairs.points import allowed_at

Int64 = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Replicates:
    """Results without one group at a time, at the resolution of the bins.

    Attributes
    ----------
    auroc
        A value for each group; None where nothing is left to compare.
    tpr
        For each target, likewise.
    """

    auroc: tuple[float | None, ...]
    tpr: tuple[tuple[float | None, ...], ...]


def replicate(counts: Counts, groups: Groups, targets: tuple[float, ...]) -> Replicates:
    """Leave out each group in turn; each replicate finds its own thresholds."""
    occupied = np.flatnonzero(counts.all)
    some = slice(int(occupied[0]), int(occupied[-1]) + 1)
    found = [
        _one(counts.impostor[some] - impostor[some], counts.genuine[some] - genuine[some], targets)
        for impostor, genuine in zip(groups.impostor, groups.genuine, strict=True)
    ]
    return Replicates(tuple(auroc for auroc, _ in found), tuple(zip(*(tpr for _, tpr in found), strict=True)))


def _one(impostor: Int64, genuine: Int64, targets: tuple[float, ...]) -> tuple[float | None, list[float | None]]:
    impostors, genuines = (
        np.cumsum(impostor[::-1]),
        np.cumsum(genuine[::-1]),
    )  # in the top bin, in the two top bins, ...
    n_impostor, n_genuine = int(impostors[-1]), int(genuines[-1])
    if not n_impostor or not n_genuine:
        return None, [None] * len(targets)
    # Ties within a bin count one half. Above 2^53 the sum is rounded, by far less than the bins are wide.
    above = impostors.astype(np.float64) - impostor[::-1] / 2
    auroc = 1 - float(above @ genuine[::-1].astype(np.float64)) / (float(n_impostor) * n_genuine)
    tpr: list[float | None] = []
    for target in targets:
        bins = int(np.searchsorted(impostors, allowed_at(target, n_impostor), side="right"))  # accepted from the top
        tpr.append(int(genuines[bins - 1]) / n_genuine if bins else 0.0)
    return auroc, tpr
