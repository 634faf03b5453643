"""The pairs that a scan kept, scored when they are asked for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs.bins import Bins, filter_error, fine_error
from evaljobs.pairs.by_bin import by_bin
from evaljobs.pairs.points import Found, above, least
from evaljobs.pairs.samples import Samples
from evaljobs.pairs.scan import Kept, Scanned

Float64 = NDArray[np.float64]
Values = NDArray[np.floating]
Mask = NDArray[np.bool_]

# The finer estimate of a rank is as a rule nearer to the filter's than this part of the filter's proven error.
_SLACK = 16


class Pool:
    """Kept pairs by their kinds and bins.

    Whether all pairs of a bin were kept is not assumed but counted.
    """

    def __init__(self, samples: Samples, scanned: Scanned, bins: Bins) -> None:
        self._samples, self._counts = samples, scanned.counts
        self._kept, self._begins = by_bin(scanned.kept or (), samples.labels, bins)
        self._error, self._fine = (error(samples.rows.shape[1]) for error in (filter_error, fine_error))

    def scores(self, first: int, last: int) -> tuple[Float64, Float64] | None:
        """Return the impostor and genuine scores of the bins from `first` to `last`, each ascending.

        None where pairs of these bins were not kept.
        """
        kinds = self._between(first, last)
        if kinds is None:
            return None
        impostor, genuine = (np.sort(self._score(pairs)) for pairs in kinds)
        return impostor, genuine

    def divide(self, first: int, last: int, rank: int) -> Found | None:
        """Divide the scores of the bins from `first` to `last` by the impostor with a rank from their top.

        None where pairs of these bins were not kept.
        """
        kinds = self._between(first, last)
        if kinds is None:
            return None
        limit, sides = self._look(*kinds, rank)
        # The score of that rank is no further from the limit than the finer error.
        surely = [side.near > limit + 2 * self._fine for side in sides]
        open_ = [~sure & (side.near >= limit - 2 * self._fine) for side, sure in zip(sides, surely, strict=True)]
        scores = [np.sort(self._score(_some(side.looked, o))) for side, o in zip(sides, open_, strict=True)]
        false, true = (_number(side.above) + _number(sure) for side, sure in zip(sides, surely, strict=True))
        blocker = float(scores[0][len(scores[0]) - rank + false])
        accepted = [above(kind, blocker) for kind in scores]
        threshold = least(*accepted)
        # What the finer estimate tells comes first: it is nearer to the blocker.
        for side, sure in zip(sides, surely, strict=True):
            threshold = self._least(side.looked, side.near, sure, self._fine, threshold)
        for side in sides:
            threshold = self._least(side.pairs, side.pairs.value, side.above, self._error, threshold)
        return Found(blocker, threshold, false + len(accepted[0]), true + len(accepted[1]))

    def _look(self, impostor: Kept, genuine: Kept, rank: int) -> tuple[float, tuple[_Side, _Side]]:
        """Estimate finer the pairs that may decide which impostor has a rank from the top, and what the rank's is."""
        guess = _from_top(impostor.value, rank)
        low, high = guess - self._error / _SLACK, guess + self._error / _SLACK
        while True:
            side = self._side(impostor, low, high)
            found = _from_top(side.near, rank - _number(side.above))
            if low <= found <= high:
                return found, (side, self._side(genuine, low, high))
            low, high = min(low, found), max(high, found)

    def _side(self, pairs: Kept, low: float, high: float) -> _Side:
        """Estimate finer what may be on either side of a limit that is between two."""
        reach = self._error + 3 * self._fine
        # Float64 bounds: the values are compared as they are, though they are float32.
        above_ = pairs.value > np.float64(high + reach)
        looked = _some(pairs, np.flatnonzero(~above_ & (pairs.value >= np.float64(low - reach))))
        return _Side(pairs, above_, looked, self._estimate(looked))

    def among(self, flags: NDArray[np.uint8]) -> tuple[Kept | None, Kept | None]:
        """Return the impostor, and the genuine pairs in flagged bins, ``[2, bins]``; each kind's lie side by side.

        None where some of these pairs were not kept; and without any flag.
        """
        impostor, genuine = (np.flatnonzero(kind) for kind in flags)
        return self._among(impostor, genuine=False), self._among(genuine, genuine=True)

    def listed(self, first: int, last: int, *, genuine: bool) -> Kept | None:
        """Return the pairs of one kind in the bins from `first` to `last`; None where some were not kept."""
        begins = self._begins[int(genuine)]
        here = slice(int(begins[first]), int(begins[last + 1]))
        counts = self._counts.genuine if genuine else self._counts.impostor
        if here.stop - here.start != int(counts[first : last + 1].sum()):
            return None
        return _some(self._kept, here)

    def _among(self, flagged: NDArray[np.int64], *, genuine: bool) -> Kept | None:
        return self.listed(int(flagged[0]), int(flagged[-1]), genuine=genuine) if len(flagged) else None

    def _between(self, first: int, last: int) -> tuple[Kept, Kept] | None:
        """Return the impostor and the genuine pairs of some bins; None where others of these bins were not kept."""
        impostor, genuine = (self.listed(first, last, genuine=kind) for kind in (False, True))
        return None if impostor is None or genuine is None else (impostor, genuine)

    def _least(self, pairs: Kept, near: Values, which: Mask, error: float, found: float | None) -> float | None:
        """Return the least score of some of the pairs, estimated with an error, or what was found, if that is less."""
        lowest = float(near.min(where=which, initial=np.inf))
        if lowest == np.inf or (found is not None and lowest - error > found):
            return found
        score_ = float(self._score(_some(pairs, which & (near <= np.float64(lowest + 2 * error)))).min())
        return score_ if found is None else min(found, score_)

    def _estimate(self, pairs: Kept) -> Float64:
        """Return finer estimates of the scores of some pairs."""
        return self._samples.estimate_pairs(pairs.i, pairs.j)

    def _score(self, pairs: Kept) -> Float64:
        return self._samples.score_pairs(pairs.i.astype(np.int64), pairs.j.astype(np.int64))


class _Side(NamedTuple):
    """Pairs of a kind around a limit: what is neither above nor looked at is below, as docs/exact-verification.md says.

    Attributes
    ----------
    pairs
        ``[p]``: all of them.
    above
        ``[p]`` bool: which are surely above it.
    looked, near
        ``[m]``: those that were looked at, and finer estimates of their scores.
    """

    pairs: Kept
    above: Mask
    looked: Kept
    near: Float64


def _some(pairs: Kept, which: slice | NDArray[np.generic]) -> Kept:
    return Kept(pairs.i[which], pairs.j[which], pairs.value[which])


def _from_top(values: Values, rank: int) -> float:
    """Return the value with a rank from the top."""
    return float(np.partition(values, len(values) - rank)[len(values) - rank])


def _number(which: Mask) -> int:
    """Return how many are true."""
    return int(np.count_nonzero(which))
