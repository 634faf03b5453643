"""The results with one group of samples left out at a time, from the pairs that touch each group; and intervals."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs.count import Counts, Groups
from evaljobs.pairs.points import Flag, Point, allowed_at
from evaljobs.pairs.tpr_interval import Rates, tpr_interval

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
    tpr_cis
        For each target, the 95% interval of the TPR; None where there is none.
    """

    auroc: tuple[float | None, ...]
    tpr: tuple[tuple[float | None, ...], ...]
    tpr_cis: tuple[tuple[float, float] | None, ...]


def replicate(counts: Counts, groups: Groups, points: tuple[Point, ...], fold: int) -> Replicates:
    """Leave out each group in turn; each replicate finds its own thresholds, at the resolution of the groups' bins.

    Parameters
    ----------
    fold
        How many bins of the counts are one of the groups'.
    """
    impostor, genuine = _edges(counts.impostor, groups.impostor, fold), _edges(counts.genuine, groups.genuine, fold)
    found = [_one(*edges, points) for edges in zip(impostor[:-1], genuine[:-1], strict=True)]
    tpr = tuple(zip(*(tpr for _, tpr in found), strict=True))
    return Replicates(tuple(auroc for auroc, _ in found), tpr, _intervals(impostor, genuine, points, tpr))


def _edges(counts: Int64, groups: Int64, fold: int) -> Int64:
    """Return the pairs above each edge of a bin, from the top down, ``[G + 1, edges]``: without each group, and all."""
    of_all = folded(counts, fold)
    left = np.vstack((of_all - groups, of_all))
    return np.cumsum(np.pad(left[:, ::-1], ((0, 0), (1, 0))), axis=1)


def _one(impostors: Int64, genuines: Int64, points: tuple[Point, ...]) -> tuple[float | None, list[float | None]]:
    n_impostor, n_genuine = int(impostors[-1]), int(genuines[-1])
    if not n_impostor or not n_genuine:
        return None, [None] * len(points)
    # Ties within a bin count one half. Above 2^53 the sum is rounded, by far less than the bins are wide.
    above = (impostors[:-1].astype(np.float64) + impostors[1:]) / 2
    auroc = 1 - float(above @ np.diff(genuines).astype(np.float64)) / (float(n_impostor) * n_genuine)
    return auroc, [_accepted(genuines, _place(impostors, point)) / n_genuine for point in points]


def _place(impostors: Int64, point: Point) -> float:
    """Return where the threshold of a point is: at the edge of that number, or between two.

    Within the bin of the blocker, pairs are taken for evenly spread: of m impostors, the one with rank r from the top
    is expected at r / (m + 1) of the bin. Where it is in a block of ties, the whole bin is taken for rejected.
    """
    allowed = allowed_at(point.target, int(impostors[-1]))
    b = int(np.searchsorted(impostors, allowed, side="right")) - 1  # so many bins are accepted whole
    if b == len(impostors) - 1 or Flag.TIED in point.flags:
        return float(b)
    return b + (allowed + 1 - int(impostors[b])) / (int(impostors[b + 1] - impostors[b]) + 1)


def _accepted(genuines: Int64, place: float) -> float:
    """Return the number of genuine pairs above a place."""
    b = math.floor(place)
    if b == place:
        return float(genuines[b])
    return int(genuines[b]) + (place - b) * int(genuines[b + 1] - genuines[b])


def _intervals(
    impostors: Int64, genuines: Int64, points: tuple[Point, ...], replicates: tuple[tuple[float | None, ...], ...]
) -> tuple[tuple[float, float] | None, ...]:
    if not (impostors[:, -1].all() and genuines[:, -1].all()):
        return (None,) * len(points)
    rates = Rates(impostors / impostors[:, -1:], genuines / genuines[:, -1:])
    return tuple(
        tpr_interval(rates, _place(impostors[-1], point), point.target, point.tpr, tpr)
        for point, tpr in zip(points, replicates, strict=True)
    )


def folded(counts: Int64, fold: int) -> Int64:
    """Return the counts of bins ``[bins]`` in the bins of groups."""
    return np.add.reduceat(counts, np.arange(0, len(counts), fold))
