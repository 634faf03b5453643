"""Count the pairs of tiles in bins, and list those of flagged bins."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs.bins import Bins
from evaljobs.pairs.compiled import compiled
from evaljobs.pairs.samples import Samples
from evaljobs.pairs.spans import spans_of
from evaljobs.pairs.tiles import Piece, Tiles

Int16 = NDArray[np.int16]
UInt16 = NDArray[np.uint16]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]

# Counters are so narrow that those in use fit the first-level cache beside the products. A counter holds its bin's flag
# in its sign and says in the bit below that it is nearly full: who adds one to it has read both already.
_FLAG = np.int16(-(2**15))
_NUMBER = np.int16(2**15 - 1)
_NEARLY_FULL = 2**14
_FLAGGED = 2**15
# Moved from a counter that is nearly full. One stays: a bin with anything to count is never empty.
_CARRY = _NEARLY_FULL - 1
_FOLDS = 64  # folds of bins that are looked at together for whether they are all empty: most are
_BLOCK = 16
_ROOM = threading.local()


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
class Groups:
    """Pairs per bin that touch a group: of which at least one sample is of it.

    Attributes
    ----------
    impostor, genuine
        ``[groups, bins / fold]`` int64: each bin is `Bins.fold` bins of the filter.
    """

    impostor: Int64
    genuine: Int64

    def __add__(self, other: Groups) -> Groups:
        return Groups(self.impostor + other.impostor, self.genuine + other.genuine)


class Near(NamedTuple):
    """The flagged pairs of one piece, in row-major order.

    Attributes
    ----------
    piece
        Where they lie.
    i, j
        ``[m]`` int32 positions.
    value
        ``[m]`` float32 products.
    """

    piece: Piece
    i: Int32
    j: Int32
    value: NDArray[np.float32]


class _Counter(NamedTuple):
    """Counters of the pairs of one kind.

    Attributes
    ----------
    number
        ``[bins]`` int16: the flag, and the number less what was carried.
    carried
        ``[bins]`` uint16: how many times.
    """

    number: Int16
    carried: UInt16

    @classmethod
    def of(cls, flags: NDArray[np.uint8]) -> _Counter:
        return cls(flags.astype(np.int16) * _FLAG, np.zeros(len(flags), np.uint16))


class Counter:
    """Counts the pairs of tiles, in counters of 30 bits: for one part, whose pairs are fewer than that holds.

    Parameters
    ----------
    flags
        ``[2, bins]`` uint8: 1 where impostor, and where genuine pairs are listed.
    n_groups
        Of how many groups pairs are counted apart; 0 for none.
    onto
        What is added to, in place.
    """

    def __init__(
        self,
        bins: Bins,
        flags: NDArray[np.uint8],
        n_groups: int = 0,
        onto: tuple[Counts, Groups | None] | None = None,
    ) -> None:
        self._bins = bins
        self._impostor, self._genuine = (_Counter.of(kind) for kind in flags)
        self._counts, self._groups = _nothing(bins, n_groups) if onto is None else onto
        self._touched: tuple[int, int] | None = None

    def result(self) -> tuple[Counts, Groups | None]:
        """Return the counts; nothing more can be counted."""
        self._flush()
        return self._counts, self._groups

    def count(self, samples: Samples, tiles: Tiles, part: range) -> Iterator[Near]:
        """Count tile after tile, giving the flagged pairs of each piece."""
        products, listed = _buffers(tiles.area)
        for tile in part:
            i, j = tiles.place(tile)
            height, width = i.stop - i.start, j.stop - j.start
            product = products[: height * width].reshape(height, width)
            np.matmul(samples.unit[i], samples.unit[j].T, out=product)
            for piece in tiles.pieces(i, j):
                within = product[_moved(piece.i, i.start), _moved(piece.j, j.start)]
                yield self._count_piece(samples, piece, within, listed)

    def _count_piece(self, samples: Samples, piece: Piece, product: NDArray[np.float32], listed: Int32) -> Near:
        if self._groups is not None:
            self._touch(int(samples.groups[piece.i.start]), int(samples.groups[piece.j.start]))
        counters = *self._impostor, *self._genuine
        m = _count_piece(product, *spans_of(samples, piece), *self._bins.affine, *counters, listed)
        return Near(piece, *_take(product, piece.i.start, piece.j.start, listed[:m]))

    def _touch(self, a: int, b: int) -> None:
        """Count what follows as touching two groups, or one twice."""
        if self._touched != (a, b):
            self._flush()
            self._touched = (a, b)

    def _flush(self) -> None:
        for kind in ("impostor", "genuine"):
            counter: _Counter = getattr(self, f"_{kind}")
            total = getattr(self._counts, kind)
            if self._groups is None or self._touched is None:
                _move(*counter, total, np.empty((0, 0), np.int64), 0, 0, self._bins.fold)
            else:
                _move(*counter, total, getattr(self._groups, kind), *self._touched, self._bins.fold)


def _nothing(bins: Bins, n_groups: int) -> tuple[Counts, Groups | None]:
    shape = (n_groups, -(-bins.count // bins.fold))
    groups = Groups(np.zeros(shape, np.int64), np.zeros(shape, np.int64)) if n_groups else None
    return Counts(np.zeros(bins.count, np.int64), np.zeros(bins.count, np.int64)), groups


def _buffers(area: int) -> tuple[NDArray[np.float32], Int32]:
    """Return room for the products and the listed pairs of a tile; the thread's own.

    Memory that is asked for anew, for every few tiles, costs a tenth of the time.
    """
    if getattr(_ROOM, "area", -1) != area:
        _ROOM.area, _ROOM.products, _ROOM.listed = area, np.empty(area, np.float32), np.empty(area, np.int32)
    return _ROOM.products, _ROOM.listed


def _moved(place: slice, start: int) -> slice:
    return slice(place.start - start, place.stop - start)


@compiled
def _move(  # noqa: PLR0913, PLR0917 - a kernel takes arrays, not objects
    number: Int16, carried: UInt16, total: Int64, groups: Int64, a: int, b: int, fold: int
) -> None:
    """Add a counter to the total and to the groups it touches, and set it to zero; flags stay."""
    n = number.shape[0]
    for start in range(0, n, _FOLDS * fold):
        end = min(start + _FOLDS * fold, n)
        occupied = np.int16(0)
        for e in range(start, end):
            occupied |= number[e]
        if occupied & _NUMBER == 0:
            continue
        for first in range(start, end, fold):
            found = np.int64(0)
            for e in range(first, min(first + fold, end)):
                here = np.int64(number[e] & _NUMBER) + _CARRY * np.int64(carried[e])
                number[e] &= _FLAG
                carried[e] = 0
                total[e] += here
                found += here
            if groups.shape[1] > 0:
                groups[a, first // fold] += found
                if b != a:
                    groups[b, first // fold] += found


@compiled
def _count_piece(  # noqa: PLR0913, PLR0917 - a kernel takes arrays, not objects
    product: NDArray[np.float32],
    begin: Int32,
    low: Int32,
    high: Int32,
    skip: Int32,
    scale: np.float32,
    zero: np.float32,
    impostor: Int16,
    impostor_carried: UInt16,
    genuine: Int16,
    genuine_carried: UInt16,
    listed: Int32,
) -> int:
    """Count the pairs of a piece; list those of flagged bins as ``row * width + column``; return their number."""
    height, width = product.shape
    bins = np.empty(width, np.uint16)
    m = 0
    for r in range(height):
        row, base = product[r], r * width
        for c in range(width):  # a loop of its own, because it is vectorised
            bins[c] = np.uint16(np.int32(row[c] * scale + zero))
        if begin[r] < low[r]:
            m = _count_but(bins, begin[r], low[r], skip[r], base, impostor, impostor_carried, listed, m)
        if low[r] < high[r]:
            m = _count_but(bins, low[r], high[r], skip[r], base, genuine, genuine_carried, listed, m)
        if high[r] < width:
            m = _count_but(bins, high[r], width, skip[r], base, impostor, impostor_carried, listed, m)
    return m


@compiled
def _count_but(  # noqa: PLR0913, PLR0917 - a kernel takes arrays, not objects
    bins: UInt16,
    first: int,
    last: int,
    skip: int,
    base: int,
    counts: Int16,
    carried: UInt16,
    listed: Int32,
    m: int,
) -> int:
    """Count the columns from `first` up to `last`, but for the one to skip."""
    if first <= skip < last:
        m = _count_span(bins[first:skip], base + first, counts, carried, listed, m)
        first = skip + 1
    return _count_span(bins[first:last], base + first, counts, carried, listed, m)


@compiled
def _count_span(  # noqa: PLR0913, PLR0917 - a kernel takes arrays, not objects
    bins: UInt16, base: int, counts: Int16, carried: UInt16, listed: Int32, m: int
) -> int:
    n = bins.shape[0]
    for block in range(n // _BLOCK):  # one branch for a block of pairs, since there is something to note in few
        c = _BLOCK * block
        noted = 0
        for e in range(_BLOCK):
            b = bins[c + e]
            number = counts[b]
            counts[b] = number + 1
            noted |= number
        if noted & _FLAGGED:
            m = _list(bins, c, c + _BLOCK, base, counts, listed, m)
        if noted & _NEARLY_FULL:
            _carry(bins, c, c + _BLOCK, counts, carried)
    rest = n - n % _BLOCK
    for c in range(rest, n):
        counts[bins[c]] += 1
    _carry(bins, rest, n, counts, carried)
    return _list(bins, rest, n, base, counts, listed, m)


@compiled
def _list(  # noqa: PLR0913, PLR0917 - a kernel takes arrays, not objects
    bins: UInt16, first: int, last: int, base: int, counts: Int16, listed: Int32, m: int
) -> int:
    """List the pairs of flagged bins; without a branch, for which they are cannot be foretold."""
    for c in range(first, last):
        listed[m] = base + c
        m += counts[bins[c]] < 0
    return m


@compiled
def _carry(bins: UInt16, first: int, last: int, counts: Int16, carried: UInt16) -> None:
    """Carry from counters that are nearly full."""
    for c in range(first, last):
        b = bins[c]
        if counts[b] & _NEARLY_FULL:
            counts[b] -= _CARRY
            carried[b] += 1


@compiled
def _take(product: NDArray[np.float32], i0: int, j0: int, listed: Int32) -> tuple[Int32, Int32, NDArray[np.float32]]:
    """Return the positions and the products of listed pairs."""
    m, width = listed.shape[0], product.shape[1]
    i, j, value = np.empty(m, np.int32), np.empty(m, np.int32), np.empty(m, np.float32)
    for e in range(m):
        r = listed[e] // width
        c = listed[e] - r * width
        i[e], j[e], value[e] = i0 + r, j0 + c, product[r, c]
    return i, j, value
