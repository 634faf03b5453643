"""The pairs that a scan kept, scored when they are asked for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs import score
from evaljobs.pairs.bins import Bins, filter_error, fine_error
from evaljobs.pairs.points import Found, above, least
from evaljobs.pairs.samples import Samples
from evaljobs.pairs.scan import Kept, Scanned

Float64 = NDArray[np.float64]
Mask = NDArray[np.bool_]
Numbers = NDArray[np.int64]


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
        self._bin = bins.of(self._value)

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
        genuine = self._is_genuine(which)
        above_: list[_Above] = []
        for estimate in (self._filtered, self._estimate):  # the second is slower, and leaves far fewer open
            near, error = estimate(which)
            surely, open_ = _split(near, genuine, error, rank)
            above_.append(_Above(which[surely], genuine[surely], near[surely], error))
            rank -= int((~genuine[surely]).sum())
            which, genuine = which[open_], genuine[open_]
        scores = self._score(which)
        impostor = np.sort(scores[~genuine])
        blocker = float(impostor[len(impostor) - rank])
        accepted = above(impostor, blocker), above(np.sort(scores[genuine]), blocker)
        is_genuine = np.concatenate([sure.genuine for sure in above_])
        return Found(
            blocker,
            self._least_above(above_, least(*accepted)),
            int((~is_genuine).sum()) + len(accepted[0]),
            int(is_genuine.sum()) + len(accepted[1]),
        )

    def holds(self, flags: NDArray[np.uint8]) -> bool:
        """Return whether all pairs of flagged bins were kept, ``[2, bins]``: impostor, genuine; each side by side."""
        kinds = (self.among(kind, genuine=bool(number)) for number, kind in enumerate(flags) if kind.any())
        return all(kept is not None for kept in kinds)

    def among(self, flags: NDArray[np.uint8], *, genuine: bool) -> Kept | None:
        """Return the pairs of one kind in flagged bins, ``[bins]``, which lie side by side; None without any flag.

        None too where some of these pairs were not kept.
        """
        flagged = np.flatnonzero(flags)
        return self.listed(int(flagged[0]), int(flagged[-1]), genuine=genuine) if len(flagged) else None

    def listed(self, first: int, last: int, *, genuine: bool) -> Kept | None:
        """Return the pairs of one kind in the bins from `first` to `last`; None where some were not kept."""
        here = self._within(first, last)
        here = here[self._is_genuine(here) == genuine]
        counts = self._counts.genuine if genuine else self._counts.impostor
        if len(here) != int(counts[first : last + 1].sum()):
            return None
        return Kept(self._i[here], self._j[here], self._value[here])

    def _least_above(self, above_: list[_Above], found: float | None) -> float | None:
        """Return the least score of pairs that are surely accepted, or what was found, whichever is less."""
        for sure in reversed(above_):  # what the finer estimate left comes first: it is nearer
            if not len(sure.which):
                continue
            lowest = sure.near.min()
            if found is None or lowest - sure.error <= found:
                score_ = float(self._score(sure.which[sure.near <= lowest + 2 * sure.error]).min())
                found = score_ if found is None else min(found, score_)
        return found

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

    def _filtered(self, which: Numbers) -> tuple[Float64, float]:
        """Return the filter's values of some pairs, and how far they can be from their scores."""
        return self._value[which].astype(np.float64), filter_error(self._samples.rows.shape[1])

    def _estimate(self, which: Numbers) -> tuple[Float64, float]:
        """Return finer estimates of the scores of some pairs, and how far they can be from them."""
        near = score.estimate_pairs(self._samples.unit, self._i[which], self._j[which])
        return near, fine_error(self._samples.rows.shape[1])

    def _score(self, which: Numbers) -> Float64:
        return self._samples.score_pairs(self._i[which].astype(np.int64), self._j[which].astype(np.int64))


class _Above(NamedTuple):
    """Pairs that are surely above the blocker: their numbers and kinds, and estimates of their scores with an error."""

    which: Numbers
    genuine: Mask
    near: Float64
    error: float


def _split(near: Float64, genuine: Mask, error: float, rank: int) -> tuple[Mask, Mask]:
    """Return which pairs are surely above the impostor with a rank from the top, and which may be or not.

    Parameters
    ----------
    near
        ``[p]`` float64: estimates, each no further than `error` from its score.
    """
    impostor = near[~genuine]
    # The score of that rank is no further than `error` from the estimate of that rank.
    guess = np.partition(impostor, len(impostor) - rank)[len(impostor) - rank]
    surely = near > guess + 2 * error
    return surely, ~surely & (near >= guess - 2 * error)
