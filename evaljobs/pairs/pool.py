"""The pairs that a scan kept, scored when they are asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs.points import Found, above, least
from evaljobs.pairs.samples import Samples
from evaljobs.pairs.scan import Scanned

Float64 = NDArray[np.float64]


class Pool:
    """Kept pairs by their bins.

    Whether all pairs of a bin were kept is not assumed but counted.
    """

    def __init__(self, samples: Samples, scanned: Scanned) -> None:
        kept = scanned.kept or ()
        none = np.empty(0, np.int32)
        self._samples = samples
        self._bin = np.concatenate([none, *(k.bin for k in kept)])
        self._i = np.concatenate([none, *(k.i for k in kept)])
        self._j = np.concatenate([none, *(k.j for k in kept)])
        self._complete = np.bincount(self._bin, minlength=len(scanned.counts.impostor)) == scanned.counts.all

    def scores(self, first: int, last: int) -> tuple[Float64, Float64] | None:
        """Return the impostor and genuine scores of the bins from `first` to `last`, each ascending.

        None where pairs of these bins were not kept.
        """
        if not self._complete[first : last + 1].all():
            return None
        here = np.flatnonzero((self._bin >= first) & (self._bin <= last))
        i, j = self._i[here].astype(np.int64), self._j[here].astype(np.int64)
        scores = self._samples.score_pairs(i, j)
        genuine = j < self._samples.ends[i]
        return np.sort(scores[~genuine]), np.sort(scores[genuine])

    def divide(self, first: int, last: int, rank: int) -> Found | None:
        """Divide the scores of the bins from `first` to `last` by the impostor with a rank from their top.

        None where pairs of these bins were not kept.
        """
        scores = self.scores(first, last)
        if scores is None:
            return None
        impostor, genuine = scores
        blocker = float(impostor[len(impostor) - rank])
        accepted = above(impostor, blocker), above(genuine, blocker)
        return Found(blocker, least(*accepted), len(accepted[0]), len(accepted[1]))
