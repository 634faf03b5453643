"""The pairs that a scan kept, scored when they are asked for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs.bins import Bins, filter_error, fine_error
from evaljobs.pairs.points import Found, above, least
from evaljobs.pairs.samples import Samples
from evaljobs.pairs.scan import Kept, Scanned

Float64 = NDArray[np.float64]
Mask = NDArray[np.bool_]
Numbers = NDArray[np.int64]

# The finer estimate of a rank is as a rule nearer to the filter's than this part of the filter's proven error.
_SLACK = 16


class Pool:
    """Kept pairs by their bins.

    Whether all pairs of a bin were kept is not assumed but counted.
    """

    def __init__(self, samples: Samples, scanned: Scanned, bins: Bins) -> None:
        none = np.empty(0, np.int32)
        kept = scanned.kept or ()
        self._samples, self._counts = samples, scanned.counts
        self._i = np.concatenate([none, *(k.i for k in kept)])
        self._j = np.concatenate([none, *(k.j for k in kept)])
        self._value = np.concatenate([none.astype(np.float32), *(k.value for k in kept)])
        self._bin = bins.of(self._value).astype(np.uint16)  # narrow: looked through for every point
        self._error, self._fine = (error(samples.rows.shape[1]) for error in (filter_error, fine_error))

    def scores(self, first: int, last: int) -> tuple[Float64, Float64] | None:
        """Return the impostor and genuine scores of the bins from `first` to `last`, each ascending.

        None where pairs of these bins were not kept.
        """
        here = self._between(first, last)
        if here is None:
            return None
        scores, genuine = self._score(here), self._is_genuine(here)
        return np.sort(scores[~genuine]), np.sort(scores[genuine])

    def divide(self, first: int, last: int, rank: int) -> Found | None:
        """Divide the scores of the bins from `first` to `last` by the impostor with a rank from their top.

        None where pairs of these bins were not kept.
        """
        which = self._between(first, last)
        if which is None:
            return None
        value, genuine = self._filtered(which), self._is_genuine(which)
        higher, looked, near, limit = self._look(which, value, ~genuine, rank)
        # The score of that rank is no further from the limit than the finer error.
        above_ = near > limit + 2 * self._fine
        surely, open_ = looked[above_], looked[~above_ & (near >= limit - 2 * self._fine)]
        scores, is_genuine = self._score(which[open_]), genuine[open_]
        impostor = np.sort(scores[~is_genuine])
        false, true = (_number(higher & kind) + _number(kind[surely]) for kind in (~genuine, genuine))
        blocker = float(impostor[len(impostor) - rank + false])
        accepted = above(impostor, blocker), above(np.sort(scores[is_genuine]), blocker)
        # What the finer estimate tells comes first: it is nearer to the blocker.
        threshold = self._least(which[surely], near[above_], self._fine, least(*accepted))
        threshold = self._least(which[higher], value[higher], self._error, threshold)
        return Found(blocker, threshold, false + len(accepted[0]), true + len(accepted[1]))

    def _look(self, which: Numbers, value: Float64, impostor: Mask, rank: int) -> _Looked:
        """Estimate finer the pairs that may decide which impostor has a rank from the top."""
        guess = _from_top(value[impostor], rank)
        low, high = guess - self._error / _SLACK, guess + self._error / _SLACK
        reach = self._error + 3 * self._fine
        while True:
            higher = value > high + reach
            looked = np.flatnonzero(~higher & (value >= low - reach))
            near = self._estimate(which[looked])
            found = _from_top(near[impostor[looked]], rank - _number(higher & impostor))
            if low <= found <= high:
                return _Looked(higher, looked, near, found)
            low, high = min(low, found), max(high, found)

    def among(self, flags: NDArray[np.uint8]) -> tuple[Kept | None, Kept | None]:
        """Return the impostor, and the genuine pairs in flagged bins, ``[2, bins]``; each kind's lie side by side.

        None where some of these pairs were not kept; and without any flag.
        """
        impostor, genuine = (np.flatnonzero(kind) for kind in flags)
        return self._among(impostor, genuine=False), self._among(genuine, genuine=True)

    def listed(self, first: int, last: int, *, genuine: bool) -> Kept | None:
        """Return the pairs of one kind in the bins from `first` to `last`; None where some were not kept."""
        here = self._within(first, last)
        here = here[self._is_genuine(here) == genuine]
        counts = self._counts.genuine if genuine else self._counts.impostor
        if len(here) != int(counts[first : last + 1].sum()):
            return None
        return Kept(self._i[here], self._j[here], self._value[here])

    def _among(self, flagged: Numbers, *, genuine: bool) -> Kept | None:
        return self.listed(int(flagged[0]), int(flagged[-1]), genuine=genuine) if len(flagged) else None

    def _least(self, which: Numbers, near: Float64, error: float, found: float | None) -> float | None:
        """Return the least score of some pairs, estimated with an error, or what was found, whichever is less."""
        if not len(which):
            return found
        lowest = near.min()
        if found is not None and lowest - error > found:
            return found
        score_ = float(self._score(which[near <= lowest + 2 * error]).min())
        return score_ if found is None else min(found, score_)

    def _within(self, first: int, last: int) -> Numbers:
        return np.flatnonzero((self._bin >= first) & (self._bin <= last))

    def _between(self, first: int, last: int) -> Numbers | None:
        """Return the kept pairs of some bins; None where others of these bins were not kept."""
        here = self._within(first, last)
        all_ = self._counts.impostor[first : last + 1].sum() + self._counts.genuine[first : last + 1].sum()
        return here if len(here) == int(all_) else None

    def _is_genuine(self, which: Numbers) -> Mask:
        labels = self._samples.labels
        found: Mask = labels[self._i[which]] == labels[self._j[which]]
        return found

    def _filtered(self, which: Numbers) -> Float64:
        """Return the filter's values of some pairs."""
        return self._value[which].astype(np.float64)

    def _estimate(self, which: Numbers) -> Float64:
        """Return finer estimates of the scores of some pairs."""
        return self._samples.estimate_pairs(self._i[which], self._j[which])

    def _score(self, which: Numbers) -> Float64:
        return self._samples.score_pairs(self._i[which].astype(np.int64), self._j[which].astype(np.int64))


class _Looked(NamedTuple):
    """Pairs around a rank: what is neither above nor looked at is below. docs/exact-verification.md says why.

    Attributes
    ----------
    above
        ``[p]`` bool: which are surely above it.
    which, near
        ``[m]``: those that were looked at, and finer estimates of their scores.
    limit
        The estimate of that rank.
    """

    above: Mask
    which: Numbers
    near: Float64
    limit: float


def _from_top(values: Float64, rank: int) -> float:
    """Return the value with a rank from the top."""
    return float(np.partition(values, len(values) - rank)[len(values) - rank])


def _number(which: Mask) -> int:
    """Return how many are true."""
    return int(np.count_nonzero(which))
