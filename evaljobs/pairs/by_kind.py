"""One pass over all pairs: how many of each two kinds of samples are accepted at each threshold.

A kind is anything that divides samples, such as the format of an image's file. The thresholds are given, so the same
ones count for all kinds.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs.bins import Bins
from evaljobs.pairs.compiled import compiled
from evaljobs.pairs.samples import Samples
from evaljobs.pairs.tiles import Tiles
from evaljobs.pairs.work import Rounds, total_of

Int16 = NDArray[np.int16]
Int64 = NDArray[np.int64]

_TILE = 256  # all its pairs may be open


@dataclasses.dataclass(frozen=True)
class Counted:
    """Pairs by their kinds, by the number of thresholds that they reach.

    Attributes
    ----------
    levels
        ``[kinds, kinds, 2, thresholds + 1]`` int64: the kinds of both samples, the lower one first; impostor and
        genuine pairs.
    """

    levels: Int64

    def __add__(self, other: Counted) -> Counted:
        return Counted(self.levels + other.levels)

    def accepted(self, threshold: int) -> Int64:
        """Return, ``[kinds, kinds, 2]``, how many pairs reach a threshold, by its number."""
        return np.asarray(self.levels[..., threshold + 1 :].sum(axis=-1), np.int64)

    def all(self) -> Int64:
        """Return, ``[kinds, kinds, 2]``, how many pairs there are."""
        return np.asarray(self.levels.sum(axis=-1), np.int64)


@dataclasses.dataclass(frozen=True)
class ByKind:
    """Decide every pair i < j at every threshold.

    Attributes
    ----------
    thresholds
        Ascending.
    kinds
        ``[n]`` int64: the kind of each row of the samples, from 0.
    n_kinds
        How many kinds there are.
    """

    thresholds: tuple[float, ...]
    bins: Bins
    tiles: Tiles
    kinds: Int64
    n_kinds: int

    def parts(self, at_least: int) -> list[range]:
        """Cut the tiles into parts."""
        return self.tiles.parts(at_least)

    def pairs(self, part: range, /) -> int:
        """Return the number of pairs of a part."""
        return self.tiles.pairs(part)

    def run(self, samples: Samples, part: range, onto: Counted | None = None) -> Counted:
        """Decide the pairs of some tiles."""
        shape = (self.n_kinds, self.n_kinds, 2, len(self.thresholds) + 1)
        found = Counted(np.zeros(shape, np.int64)) if onto is None else onto
        open_ = np.empty((self.tiles.area, 2), np.int64)
        kinds = self.kinds[samples.order]
        for tile in part:
            i, j = self.tiles.place(tile)
            self._tile(samples, kinds, (i, j), found.levels, open_)
        return found

    def _tile(self, samples: Samples, kinds: Int64, place: tuple[slice, slice], levels: Int64, open_: Int64) -> None:
        i, j = place
        product = samples.unit[i] @ samples.unit[j].T
        of_i, of_j = (samples.labels[i], kinds[i]), (samples.labels[j], kinds[j])
        m = _count(product, i.start, j.start, *of_i, *of_j, *self.bins.affine, self._levels, levels, open_)
        if m:
            r, c = open_[:m].T
            reached = np.searchsorted(self.thresholds, samples.score_pairs(r + i.start, c + j.start), side="right")
            genuine = (of_i[0][r] == of_j[0][c]).astype(np.int64)
            low, high = np.minimum(of_i[1][r], of_j[1][c]), np.maximum(of_i[1][r], of_j[1][c])
            np.add.at(levels, (low, high, genuine, reached), 1)

    @functools.cached_property
    def _levels(self) -> Int16:
        """Return how many thresholds the pairs of each bin reach; -1 where that is open."""
        return self.bins.levels(self.thresholds)


def count_by_kind(samples: Samples, kinds: Int64, n_kinds: int, thresholds: tuple[float, ...]) -> Rounds[Counted]:
    """Count all pairs of samples by their kinds.

    Parameters
    ----------
    samples
        All of whose pairs are compared; not probes with a gallery.
    kinds
        ``[n]`` int64: the kind of each row, from 0 to `n_kinds` - 1.
    thresholds
        Ascending: a pair reaches a threshold where its score is at least as high.
    """
    work = ByKind(thresholds, Bins(samples.rows.shape[1]), samples.tiles(_TILE), kinds, n_kinds)
    return (yield from total_of(work))


@compiled
def _count(  # noqa: PLR0913, PLR0917 - a kernel takes arrays, not objects
    product: NDArray[np.float32],
    i0: int,
    j0: int,
    row_labels: Int64,
    row_kinds: Int64,
    column_labels: Int64,
    column_kinds: Int64,
    scale: np.float32,
    zero: np.float32,
    level: Int16,
    levels: Int64,
    open_: Int64,
) -> int:
    """Count the decided pairs; list the others as row and column; return how many these are."""
    m = 0
    for r in range(product.shape[0]):
        for c in range(product.shape[1]):
            if i0 + r >= j0 + c:
                continue
            reached = level[np.int32(product[r, c] * scale + zero)]
            if reached >= 0:
                low, high = min(row_kinds[r], column_kinds[c]), max(row_kinds[r], column_kinds[c])
                levels[low, high, np.int64(row_labels[r] == column_labels[c]), reached] += 1
            else:
                open_[m, 0], open_[m, 1] = r, c
                m += 1
    return m
