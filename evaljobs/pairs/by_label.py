"""One pass over the genuine pairs: how many of each label are accepted at each threshold."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs.bins import Bins
from evaljobs.pairs.compiled import compiled, compiled_reordered
from evaljobs.pairs.samples import Samples

Int16 = NDArray[np.int16]
Int64 = NDArray[np.int64]

_SIZE = 256  # samples a block is wide and high: many small labels, or a part of a large one
# In blocks of more labels than this most products are of no use: to make those of genuine pairs alone costs less.
_DENSE_GAIN = 8


@dataclasses.dataclass(frozen=True)
class Accepted:
    """Genuine pairs of each label by the number of thresholds that they reach.

    Attributes
    ----------
    levels
        ``[labels, thresholds + 1]`` int64.
    """

    levels: Int64

    def __add__(self, other: Accepted) -> Accepted:
        return Accepted(self.levels + other.levels)

    def at(self, threshold: int) -> Int64:
        """Return, ``[labels]``, how many pairs reach a threshold, by its number."""
        return np.asarray(self.levels[:, threshold + 1 :].sum(axis=1), np.int64)


@dataclasses.dataclass(frozen=True)
class ByLabel:
    """Decide every genuine pair at every threshold.

    Attributes
    ----------
    thresholds
        Ascending.
    rows, columns
        int64 positions of the samples by label: of both sides of the pairs.
    blocks
        ``[m, 4]`` int64: begin and end of the rows and of the columns of each block, as places in these.
    """

    thresholds: tuple[float, ...]
    bins: Bins
    rows: Int64
    columns: Int64
    blocks: Int64

    @classmethod
    def of(cls, samples: Samples, thresholds: tuple[float, ...], bins: Bins) -> ByLabel:
        """Return the pass over the genuine pairs of some samples."""
        rows, columns = _sides(samples)
        blocks = np.array(list(blocks_of(samples, rows, columns)), np.int64).reshape(-1, 4)
        return cls(thresholds, bins, rows, columns, blocks)

    def parts(self, at_least: int) -> list[range]:
        """Cut the blocks into parts."""
        step = max(1, -(-len(self.blocks) // at_least))
        return [range(first, min(first + step, len(self.blocks))) for first in range(0, max(1, len(self.blocks)), step)]

    def pairs(self, part: range, /) -> int:
        """Return the number of pairs of a part, those of different labels in its blocks included."""
        height, width = np.diff(self.blocks[part.start : part.stop])[:, ::2].T
        return int((height * width).sum())

    def run(self, samples: Samples, part: range, onto: Accepted | None = None) -> Accepted:
        """Decide the genuine pairs of some blocks."""
        found = Accepted(np.zeros((samples.n_labels, len(self.thresholds) + 1), np.int64)) if onto is None else onto
        open_ = np.empty((_SIZE**2, 2), np.int64)
        for i0, i1, j0, j1 in self.blocks[part.start : part.stop]:
            i, j = self.rows[i0:i1], self.columns[j0:j1]
            first = i0 if not samples.gallery else -len(self.rows)
            self._decide(samples, i, j, (first, j0), found.levels, open_)
        return found

    @functools.cached_property
    def level_of_bin(self) -> Int16:
        """Return how many thresholds the pairs of each bin reach; -1 where that is open."""
        return self.bins.levels(self.thresholds)

    def _decide(  # noqa: PLR0913, PLR0917 - a block, its place, and where it is counted
        self, samples: Samples, i: Int64, j: Int64, place: tuple[int, int], levels: Int64, open_: Int64
    ) -> None:
        twins = np.full(len(i), -1, np.int64) if samples.twins is None else samples.twins[i]
        of_i, of_j = samples.labels[i], samples.labels[j]
        few = of_i[-1] - of_i[0] >= _DENSE_GAIN
        product = _of_equal(samples.unit, i, j, of_i, of_j) if few else samples.unit[i] @ samples.unit[j].T
        m = _decide(product, *place, of_i, of_j, twins, j, *self.bins.affine, self.level_of_bin, levels, open_)
        if m:
            r, c = open_[:m].T
            reached = np.searchsorted(self.thresholds, samples.score_pairs(i[r], j[c]), side="right")
            np.add.at(levels, (of_i[r], reached), 1)


def _sides(samples: Samples) -> tuple[Int64, Int64]:
    """Return the positions of the rows and of the columns, each by label."""
    if not samples.gallery:
        by_label = np.argsort(samples.labels, kind="stable")
        return by_label, by_label
    probes = np.argsort(samples.labels[: samples.gallery], kind="stable")
    return probes, np.argsort(samples.labels[samples.gallery :], kind="stable") + samples.gallery


def blocks_of(samples: Samples, rows: Int64, columns: Int64, size: int = _SIZE) -> Iterator[tuple[int, int, int, int]]:
    """Give blocks that hold all genuine pairs: several small labels each, or a part of a large label."""
    bounds = np.arange(samples.n_labels + 1)
    row_bounds = np.searchsorted(samples.labels[rows], bounds).tolist()
    column_bounds = np.searchsorted(samples.labels[columns], bounds).tolist()
    first = 0
    while first < samples.n_labels:
        last = first + 1
        while (
            last < samples.n_labels
            and max(row_bounds[last + 1] - row_bounds[first], column_bounds[last + 1] - column_bounds[first]) <= size
        ):
            last += 1
        for i in range(row_bounds[first], row_bounds[last], size):
            begin = column_bounds[first] if samples.gallery else i
            for j in range(begin, column_bounds[last], size):
                yield i, min(i + size, row_bounds[last]), j, min(j + size, column_bounds[last])
        first = last


@compiled_reordered
def _of_equal(unit: NDArray[np.float32], i: Int64, j: Int64, of_i: Int64, of_j: Int64) -> NDArray[np.float32]:
    """Return the products of the pairs with equal labels, ``[h, w]``; the others are not filled."""
    found = np.empty((i.shape[0], j.shape[0]), np.float32)
    for r in range(i.shape[0]):
        for c in range(j.shape[0]):
            if of_i[r] != of_j[c]:
                continue
            a, b = unit[i[r]], unit[j[c]]
            total = np.float32(0)
            for k in range(a.shape[0]):
                total += a[k] * b[k]
            found[r, c] = total
    return found


@compiled
def _decide(  # noqa: PLR0913, PLR0917 - a kernel takes arrays, not objects
    product: NDArray[np.float32],
    i0: int,
    j0: int,
    row_labels: Int64,
    column_labels: Int64,
    twins: Int64,
    columns: Int64,
    scale: np.float32,
    zero: np.float32,
    level: Int16,
    levels: Int64,
    open_: Int64,
) -> int:
    """Count the decided genuine pairs; list the others as row and column; return how many these are."""
    m = 0
    for r in range(product.shape[0]):
        for c in range(product.shape[1]):
            if row_labels[r] != column_labels[c] or i0 + r >= j0 + c or twins[r] == columns[c]:
                continue
            reached = level[np.int32(product[r, c] * scale + zero)]
            if reached >= 0:
                levels[row_labels[r], reached] += 1
            else:
                open_[m, 0], open_[m, 1] = r, c
                m += 1
    return m
