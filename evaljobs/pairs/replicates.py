"""The results with one group of samples left out at a time, from the pairs that touch each group."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs.count import Counts, Groups
from evaljobs.pairs.points import Flag, Point, allowed_at

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


def replicate(counts: Counts, groups: Groups, points: tuple[Point, ...], fold: int) -> Replicates:
    """Leave out each group in turn; each replicate finds its own thresholds, at the resolution of the groups' bins.

    Parameters
    ----------
    fold
        How many bins of the counts are one of the groups'.
    """
    all_impostor, all_genuine = folded(counts.impostor, fold), folded(counts.genuine, fold)
    found = [
        _one(all_impostor - impostor, all_genuine - genuine, points)
        for impostor, genuine in zip(groups.impostor, groups.genuine, strict=True)
    ]
    return Replicates(tuple(auroc for auroc, _ in found), tuple(zip(*(tpr for _, tpr in found), strict=True)))


def _one(impostor: Int64, genuine: Int64, points: tuple[Point, ...]) -> tuple[float | None, list[float | None]]:
    impostors, genuines = (
        np.cumsum(impostor[::-1]),
        np.cumsum(genuine[::-1]),
    )  # in the top bin, in the two top bins, ...
    n_impostor, n_genuine = int(impostors[-1]), int(genuines[-1])
    if not n_impostor or not n_genuine:
        return None, [None] * len(points)
    # Ties within a bin count one half. Above 2^53 the sum is rounded, by far less than the bins are wide.
    above = impostors.astype(np.float64) - impostor[::-1] / 2
    auroc = 1 - float(above @ genuine[::-1].astype(np.float64)) / (float(n_impostor) * n_genuine)
    accepted = (
        _accepted(impostors, genuines, allowed_at(point.target, n_impostor), tied=Flag.TIED in point.flags)
        for point in points
    )
    return auroc, [number / n_genuine for number in accepted]


def _accepted(impostors: Int64, genuines: Int64, allowed: int, *, tied: bool) -> float:
    """Return the number of accepted genuine pairs, given the pairs in the top bin, in the two top bins, ...

    Within the bin of the blocker, pairs are taken for evenly spread: of m impostors, the one with rank r from the top
    is expected at r / (m + 1) of the bin. Where it is in a block of ties, the whole bin is taken for rejected.
    """
    b = int(np.searchsorted(impostors, allowed, side="right"))  # so many bins are accepted whole
    if b == len(impostors):
        return float(genuines[-1])
    if tied:
        return float(genuines[b - 1]) if b else 0.0
    before = (int(impostors[b - 1]), int(genuines[b - 1])) if b else (0, 0)
    share = (allowed + 1 - before[0]) / (int(impostors[b]) - before[0] + 1)
    return before[1] + share * (int(genuines[b]) - before[1])


def folded(counts: Int64, fold: int) -> Int64:
    """Return the counts of bins ``[bins]`` in the bins of groups."""
    return np.add.reduceat(counts, np.arange(0, len(counts), fold))
