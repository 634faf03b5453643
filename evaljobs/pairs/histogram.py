"""How the scores of genuine and impostor pairs are distributed: counts in equal bins, for drawing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs.bins import Bins
from evaljobs.pairs.count import Counts

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

N_BINS = 256  # over [-1, 1]: their edges are multiples of 2^-7, hence edges of the filter's bins too
_EDGES = np.arange(N_BINS + 1) / (N_BINS // 2) - 1


class Histogram(NamedTuple):
    """Pairs by score, in equal bins over [-1, 1], ascending.

    Attributes
    ----------
    score_low, score_high
        ``[256]`` float64: a bin holds its lower edge and not its upper one. The last holds 1 too; the first and the
        last hold what exceeds -1 and 1 by rounding.
    genuine, impostor
        ``[256]`` int64: their sums are the numbers of pairs.
    """

    score_low: Float64
    score_high: Float64
    genuine: Int64
    impostor: Int64


EMPTY = Histogram(_EDGES[:-1], _EDGES[1:], np.zeros(N_BINS, np.int64), np.zeros(N_BINS, np.int64))


def from_sorted(impostor: Float64, genuine: Float64) -> Histogram:
    """Count ascending scores: every pair in its bin."""
    return Histogram(_EDGES[:-1], _EDGES[1:], _counted(genuine), _counted(impostor))


def from_counts(counts: Counts, bins: Bins) -> Histogram:
    """Add up the filter's bins: a pair closer to an edge than `bins.error` may be counted in the bin beyond it."""
    wide = 2 * bins.scale // N_BINS  # of the filter's bins in one of these
    place = (np.arange(bins.count) - bins.zero) // wide + N_BINS // 2
    place = np.clip(place, 0, N_BINS - 1)
    starts = np.searchsorted(place, np.arange(N_BINS))  # every bin has some: the filter's reach beyond [-1, 1]
    genuine, impostor = (np.add.reduceat(kind, starts) for kind in (counts.genuine, counts.impostor))
    return Histogram(_EDGES[:-1], _EDGES[1:], genuine, impostor)


def _counted(scores: Float64) -> Int64:
    below = np.searchsorted(scores, _EDGES[1:-1], side="left")
    return np.diff(np.concatenate(([0], below, [len(scores)]))).astype(np.int64)
