"""The ROC curve in some hundred points, for drawing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs.bins import Bins
from evaljobs.pairs.count import Counts
from evaljobs.pairs.points import Point

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

_FPR_LEVELS = 800
_TPR_LEVELS = 400


class Curve(NamedTuple):
    """Points of a ROC curve, each ``[m]`` float64, by falling threshold; both rates rise from 0 to 1.

    Empty where there are no genuine or no impostor pairs.
    """

    threshold: Float64
    fpr: Float64
    tpr: Float64


def _empty() -> Curve:
    return Curve(np.empty(0), np.empty(0), np.empty(0))


def _ranks(n: int, levels: int, *, logarithmic: bool) -> Int64:
    """Return ranks from 1 to `n`, dense at the top where logarithmic."""
    spread = np.geomspace(1, n, levels) if logarithmic else np.linspace(1, n, levels)
    return np.unique(np.rint(spread).astype(np.int64))


def from_sorted(impostor: Float64, genuine: Float64, points: Iterable[Point]) -> Curve:
    """Draw the curve from all scores, ascending."""
    if not len(impostor) or not len(genuine):
        return _empty()
    at_impostor = impostor[-_ranks(len(impostor), _FPR_LEVELS, logarithmic=True)]
    at_genuine = genuine[-_ranks(len(genuine), _TPR_LEVELS, logarithmic=False)]
    decided = [p.threshold for p in points if p.threshold is not None]
    start = np.nextafter(max(impostor[-1], genuine[-1]), np.inf)
    threshold = np.unique(np.concatenate((at_impostor, at_genuine, decided, [start])))[::-1]
    accepted_i = len(impostor) - np.searchsorted(impostor, threshold, side="left")
    accepted_g = len(genuine) - np.searchsorted(genuine, threshold, side="left")
    return Curve(threshold, accepted_i / len(impostor), accepted_g / len(genuine))


def from_counts(counts: Counts, bins: Bins, points: Iterable[Point]) -> Curve:
    """Draw the curve at bin edges, by the filter's values, and at the decided points, which are exact."""
    impostor, genuine = (np.cumsum(kind[::-1]) for kind in (counts.impostor, counts.genuine))  # from the top bin down
    if not impostor[-1] or not genuine[-1]:
        return _empty()
    at_impostor = np.searchsorted(impostor, _ranks(int(impostor[-1]), _FPR_LEVELS, logarithmic=True))
    at_genuine = np.searchsorted(genuine, _ranks(int(genuine[-1]), _TPR_LEVELS, logarithmic=False))
    down = np.unique(np.concatenate((at_impostor, at_genuine)))
    edges = (bins.count - 1 - down - bins.zero) / bins.scale
    decided = [(p.threshold, p.fpr, p.tpr) for p in points if p.threshold is not None]
    # An edge closer to a threshold than the filter can tell would contradict the exact rates there.
    clear = np.ones(len(edges), np.bool_)
    for threshold, _, _ in decided:
        clear &= np.abs(edges - threshold) > bins.error
    at_edges = np.stack((edges, impostor[down] / impostor[-1], genuine[down] / genuine[-1]), axis=1)[clear]
    occupied = np.flatnonzero(counts.all)
    start = (np.nextafter(bins.high(int(occupied[-1])), np.inf), 0.0, 0.0)
    end = (bins.low(int(occupied[0])), 1.0, 1.0)
    rows = np.concatenate((np.array([start, end, *decided], np.float64), at_edges))
    return Curve(*rows[np.unique(rows[:, 0], return_index=True)[1][::-1]].T)
