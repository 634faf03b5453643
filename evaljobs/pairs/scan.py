"""One pass of the filter over the tiles: count every pair in its bin, and keep the pairs of some bins.

For each tile: one float32 matrix product, and one compiled pass that counts genuine and impostor pairs and lists those
whose bin is flagged.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs.bins import SCALE, Bins
from evaljobs.pairs.compiled import compiled
from evaljobs.pairs.samples import Samples
from evaljobs.pairs.tiles import Tiles

if TYPE_CHECKING:
    from evaljobs.pairs.pool import Pool

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Flags = NDArray[np.uint8]

_SCALE = np.float32(SCALE)
_ONE = np.int32(1)


@dataclasses.dataclass(frozen=True)
class Counts:
    """Pairs per bin.

    Attributes
    ----------
    impostor, genuine
        ``[bins]`` int64.
    """

    impostor: Int64
    genuine: Int64

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.impostor + other.impostor, self.genuine + other.genuine)

    @property
    def all(self) -> Int64:
        """Pairs of both kinds per bin."""
        return self.impostor + self.genuine


@dataclasses.dataclass(frozen=True)
class Kept:
    """Pairs that were kept: positions and bin, ``[m]`` int32 each."""

    i: Int32
    j: Int32
    bin: Int32


@dataclasses.dataclass(frozen=True)
class Scanned:
    """What a scan found.

    Attributes
    ----------
    kept
        The pairs of all flagged bins; None where they were more than the budget.
    """

    counts: Counts
    kept: tuple[Kept, ...] | None
    budget: int

    def __add__(self, other: Scanned) -> Scanned:
        kept = None if self.kept is None or other.kept is None else self.kept + other.kept
        return Scanned(self.counts + other.counts, within(kept, self.budget), self.budget)

    def pool(self, samples: Samples) -> Pool:
        """Return the kept pairs, to be scored."""
        from evaljobs.pairs.pool import Pool  # it is made of what is scanned

        return Pool(samples, self)


def within(kept: tuple[Kept, ...] | None, budget: int) -> tuple[Kept, ...] | None:
    """Return what was kept, or None where it is over the budget."""
    return kept if kept is not None and sum(len(k.i) for k in kept) <= budget else None


@dataclasses.dataclass(frozen=True)
class Scan:
    """Count all pairs, and keep those of flagged bins.

    Attributes
    ----------
    flags
        ``[bins]`` uint8, 1 where pairs are kept.
    budget
        Most pairs that are kept, 12 bytes each; with more, none is.
    """

    tiles: Tiles
    bins: Bins
    flags: Flags
    budget: int

    def parts(self, at_least: int) -> list[range]:
        """Cut the tiles into parts."""
        return self.tiles.parts(at_least)

    def pairs(self, part: range) -> int:
        """Return the number of pairs of a part."""
        return self.tiles.pairs(part)

    def run(self, samples: Samples, part: range) -> Scanned:
        """Scan the tiles of a part."""
        counter = Counter(self.bins)
        found: list[Kept] = []
        n_kept = 0
        for near in counter.count(samples, self.tiles, part, self.flags):
            n_kept += len(near.r)
            if n_kept > self.budget:
                found.clear()
            elif len(near.r):
                i, j = near.r + np.int32(near.i.start), near.c + np.int32(near.j.start)
                found.append(Kept(i, j, near.bin))
        # One for the whole part: small tiles are many, and each array costs more than the pairs in it.
        kept = joined(found) if n_kept <= self.budget else None
        return Scanned(counter.counts(), kept, self.budget)


def joined(found: list[Kept]) -> tuple[Kept, ...]:
    """Return what several tiles kept as one, or nothing."""
    if not found:
        return ()
    columns = zip(*((kept.i, kept.j, kept.bin) for kept in found), strict=True)
    return (Kept(*(np.concatenate(column) for column in columns)),)


class Near(NamedTuple):
    """The flagged pairs of one tile: row, column and bin, ``[m]`` int32 each, in row-major order."""

    i: slice
    j: slice
    r: Int32
    c: Int32
    bin: Int32


class Counter:
    """Counts the pairs of tiles, in counters of 32 bits: for one part, whose pairs are no more than that."""

    def __init__(self, bins: Bins) -> None:
        self._bins = bins
        self._impostor = np.zeros(bins.count, np.int32)
        self._genuine = np.zeros(bins.count, np.int32)

    def counts(self) -> Counts:
        """Return the counts so far."""
        return Counts(self._impostor.astype(np.int64), self._genuine.astype(np.int64))

    def count(self, samples: Samples, tiles: Tiles, part: range, flags: Flags) -> Iterator[Near]:
        """Count tile after tile, giving the flagged pairs of each."""
        area = min(tiles.size, tiles.n) ** 2
        products = np.empty(area, np.float32)
        listed = np.empty(area, np.int32)
        for tile in part:
            i, j = tiles.place(tile)
            height, width = i.stop - i.start, j.stop - j.start
            product = products[: height * width].reshape(height, width)
            np.matmul(samples.unit[i], samples.unit[j].T, out=product)
            m = _count_tile(
                product, i.start, j.start, samples.ends, np.float32(self._bins.zero),
                self._impostor, self._genuine, flags, listed,
            )  # fmt: skip
            place = listed[:m]
            yield Near(i, j, place // width, place % width, self._bins.of(product.ravel()[place]))


@compiled
def _count_tile(  # noqa: PLR0913, PLR0917 - a kernel takes arrays, not objects
    product: NDArray[np.float32],
    i0: int,
    j0: int,
    ends: Int64,
    zero: np.float32,
    impostor: Int32,
    genuine: Int32,
    flags: Flags,
    listed: Int32,
) -> int:
    """Count the pairs i < j of a tile; list those of flagged bins as ``row * width + column``; return their number."""
    height, width = product.shape
    bins = np.empty(width, np.uint32)
    m = 0
    for r in range(height):
        i, row = i0 + r, product[r]
        begin = min(max(i + 1 - j0, 0), width)
        middle = min(max(ends[i] - j0, begin), width)
        for c in range(width):  # a loop of its own, because it is vectorised
            bins[c] = np.uint32(np.int32(row[c] * _SCALE + zero))
        m = _count_span(bins[begin:middle], r * width + begin, genuine, flags, listed, m)
        m = _count_span(bins[middle:], r * width + middle, impostor, flags, listed, m)
    return m


@compiled
def _count_span(  # noqa: PLR0913, PLR0917 - a kernel takes arrays, not objects
    bins: NDArray[np.uint32], base: int, counts: Int32, flags: Flags, listed: Int32, m: int
) -> int:
    n = bins.shape[0]
    for block in range(n // 8):  # one branch for eight pairs, since few are flagged
        c = 8 * block
        b0, b1, b2, b3 = bins[c], bins[c + 1], bins[c + 2], bins[c + 3]
        b4, b5, b6, b7 = bins[c + 4], bins[c + 5], bins[c + 6], bins[c + 7]
        counts[b0] += _ONE
        counts[b1] += _ONE
        counts[b2] += _ONE
        counts[b3] += _ONE
        counts[b4] += _ONE
        counts[b5] += _ONE
        counts[b6] += _ONE
        counts[b7] += _ONE
        if flags[b0] | flags[b1] | flags[b2] | flags[b3] | flags[b4] | flags[b5] | flags[b6] | flags[b7]:
            for e in range(c, c + 8):
                if flags[bins[e]]:
                    listed[m] = base + e
                    m += 1
    for c in range(n - n % 8, n):
        counts[bins[c]] += _ONE
        if flags[bins[c]]:
            listed[m] = base + c
            m += 1
    return m
