"""The pairs that a scan kept, scored when they are asked for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs import score
from evaljobs.pairs.bins import fine_error
from evaljobs.pairs.points import Found, above, least
from evaljobs.pairs.samples import Samples
from evaljobs.pairs.scan import Kept, Scanned

Float64 = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Pool:
    """Kept pairs by their bins.

    Whether all pairs of a bin were kept is not assumed but counted.
    """

    def __init__(self, samples: Samples, scanned: Scanned) -> None:
        none = np.empty(0, np.int32)
        kept = scanned.kept or ()
        self._samples = samples
        self._i = np.concatenate([none, *(k.i for k in kept)])
        self._j = np.concatenate([none, *(k.j for k in kept)])
        self._bin = np.concatenate([none, *(k.bin for k in kept)])
        self._is_genuine = samples.labels[self._i] == samples.labels[self._j]
        counts = (scanned.counts.impostor, scanned.counts.genuine)
        kinds = (self._bin[~self._is_genuine], self._bin[self._is_genuine])
        self._complete = [
            np.bincount(held, minlength=len(all_)) == all_ for held, all_ in zip(kinds, counts, strict=True)
        ]

    def scores(self, first: int, last: int) -> tuple[Float64, Float64] | None:
        """Return the impostor and genuine scores of the bins from `first` to `last`, each ascending.

        None where pairs of these bins were not kept.
        """
        here = self._between(first, last)
        if here is None:
            return None
        scores, genuine = self._score(here), self._is_genuine[here]
        return np.sort(scores[~genuine]), np.sort(scores[genuine])

    def divide(self, first: int, last: int, rank: int) -> Found | None:
        """Divide the scores of the bins from `first` to `last` by the impostor with a rank from their top.

        None where pairs of these bins were not kept.
        """
        here = self._between(first, last)
        if here is None:
            return None
        near, error = self._estimate(here)
        return _divide(near, self._is_genuine[here], error, rank, lambda some: self._score(here[some]))

    def holds(self, flags: NDArray[np.uint8]) -> bool:
        """Return whether all pairs of flagged bins were kept: ``[2, bins]``, impostor and genuine."""
        return all(bool(complete[kind == 1].all()) for complete, kind in zip(self._complete, flags, strict=True))

    def among(self, flags: NDArray[np.uint8], *, genuine: bool) -> Kept | None:
        """Return the pairs of one kind in flagged bins, ``[bins]``, which lie side by side; None without any flag."""
        flagged = np.flatnonzero(flags)
        return self.listed(int(flagged[0]), int(flagged[-1]), genuine=genuine) if len(flagged) else None

    def listed(self, first: int, last: int, *, genuine: bool) -> Kept | None:
        """Return the pairs of one kind in the bins from `first` to `last`; None where some were not kept."""
        if not self._complete[genuine][first : last + 1].all():
            return None
        here = self._within(first, last) & (self._is_genuine == genuine)
        return Kept(self._i[here], self._j[here], self._bin[here])

    def _within(self, first: int, last: int) -> Mask:
        return (self._bin >= first) & (self._bin <= last)

    def _between(self, first: int, last: int) -> NDArray[np.int64] | None:
        if not all(complete[first : last + 1].all() for complete in self._complete):
            return None
        return np.flatnonzero(self._within(first, last))

    def _estimate(self, which: NDArray[np.int64]) -> tuple[Float64, float]:
        """Return estimates of the scores of some pairs, and how far they can be from them."""
        near = score.estimate_pairs(self._samples.unit, self._i[which], self._j[which])
        return near, fine_error(self._samples.rows.shape[1])

    def _score(self, which: NDArray[np.int64]) -> Float64:
        return self._samples.score_pairs(self._i[which].astype(np.int64), self._j[which].astype(np.int64))


def _divide(
    near: Float64, genuine: Mask, error: float, rank: int, scores_of: Callable[[NDArray[np.int64]], Float64]
) -> Found:
    """Divide pairs by the impostor with a rank from the top.

    Parameters
    ----------
    near
        ``[p]`` float64: estimates, each no further than `error` from its score.
    scores_of
        Gives the scores of some of the pairs, by their numbers.
    """
    impostor = near[~genuine]
    # No further than `error` from the score of that rank: so far away can only be what has another rank.
    guess = np.partition(impostor, len(impostor) - rank)[len(impostor) - rank]
    surely = near > guess + 2 * error
    open_ = np.flatnonzero(np.abs(near - guess) <= 2 * error)
    scores, is_genuine = scores_of(open_), genuine[open_]
    ascending = np.sort(scores[~is_genuine]), np.sort(scores[is_genuine])
    sure = int((surely & ~genuine).sum()), int((surely & genuine).sum())
    blocker = float(ascending[0][len(ascending[0]) - (rank - sure[0])])
    accepted = above(ascending[0], blocker), above(ascending[1], blocker)
    thresholds = [least(*accepted), _least_score(near, np.flatnonzero(surely), error, scores_of)]
    threshold = min((t for t in thresholds if t is not None), default=None)
    return Found(blocker, threshold, sure[0] + len(accepted[0]), sure[1] + len(accepted[1]))


def _least_score(
    near: Float64, which: NDArray[np.int64], error: float, scores_of: Callable[[NDArray[np.int64]], Float64]
) -> float | None:
    if not len(which):
        return None
    return float(scores_of(which[near[which] <= near[which].min() + 2 * error]).min())
