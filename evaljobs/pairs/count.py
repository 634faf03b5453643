"""Count the pairs of tiles in bins, and list those of flagged bins."""

from __future__ import annotations

import dataclasses
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs.bins import Bins
from evaljobs.pairs.kernel import FLAG, MOST_ROWS, WIDTH, count_piece, move, pack
from evaljobs.pairs.samples import Samples
from evaljobs.pairs.spans import spans_of
from evaljobs.pairs.tiles import Piece, Tiles

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]

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
    """The flagged pairs of one piece, in no order.

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


class _Room:
    """What a thread counts in: memory that is asked for anew, for every few tiles, costs a tenth of the time.

    Parameters
    ----------
    widest
        Most rows and columns of a piece.
    d
        Dimensions.

    Attributes
    ----------
    i, j
        ``[widest**2 + 1]`` int32: positions of the flagged pairs of the last piece.
    value
        ``[widest**2 + 1]`` float32: their products.
    """

    def __init__(self, widest: int, d: int) -> None:
        area, some = widest**2 + 1, MOST_ROWS * WIDTH
        self._panels = np.empty((widest + WIDTH) * d, np.float32)
        self._sums, self._bins = np.empty(some, np.float32), np.empty(some, np.uint16)
        self._listed = np.empty(some + 1, np.int32)
        self.i, self.j, self.value = np.empty(area, np.int32), np.empty(area, np.int32), np.empty(area, np.float32)
        self._packed: tuple[Callable[[], NDArray[np.float32] | None], slice] | None = None

    def arrays(self, unit: NDArray[np.float32], columns: slice) -> tuple[NDArray[Any], ...]:
        """Return what `count_piece` works in, with these columns packed into panels; not again where they are.

        The normalised rows never change; others are another array.
        """
        if self._packed is None or self._packed[0]() is not unit or self._packed[1] != columns:
            self._packed = None  # until it is done
            pack(unit, columns.start, columns.stop, self._panels)
            self._packed = weakref.ref(unit), columns
        return self._panels, self._sums, self._bins, self._listed, self.i, self.j, self.value


class Counter:
    """Counts the pairs of tiles, in counters of 31 bits: for one part, whose pairs are fewer than that holds.

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
        self._counters = np.zeros((2, bins.count + WIDTH), np.int32)  # WIDTH for what is left out
        self._counters[:, : bins.count] = flags * FLAG
        self._counts, self._groups = _nothing(bins, n_groups) if onto is None else onto
        self._touched: tuple[int, int] | None = None

    def result(self) -> tuple[Counts, Groups | None]:
        """Return the counts; nothing more can be counted."""
        self._flush()
        return self._counts, self._groups

    def count(self, samples: Samples, tiles: Tiles, part: range) -> Iterator[Near]:
        """Count tile after tile, giving the flagged pairs of each piece."""
        room = _room(tiles.widest, samples.unit.shape[1])
        for tile in part:
            i, j = tiles.place(tile)
            for piece in tiles.pieces(i, j):
                yield self._count_piece(samples, piece, j, room)

    def _count_piece(self, samples: Samples, piece: Piece, packed: slice, room: _Room) -> Near:
        i, j = piece
        if self._groups is not None:
            self._touch(int(samples.groups[i.start]), int(samples.groups[j.start]))
        m = count_piece(
            samples.unit, i.start, i.stop, j.start, j.stop, *spans_of(samples, piece), *self._bins.affine,
            self._counters[0], self._counters[1], packed.start, *room.arrays(samples.unit, packed),
        )  # fmt: skip
        return Near(piece, room.i[:m].copy(), room.j[:m].copy(), room.value[:m].copy())

    def _touch(self, a: int, b: int) -> None:
        """Count what follows as touching two groups, or one twice."""
        if self._touched != (a, b):
            self._flush()
            self._touched = (a, b)

    def _flush(self) -> None:
        for kind, counters in zip(("impostor", "genuine"), self._counters, strict=True):
            counter = counters[: self._bins.count]
            total = getattr(self._counts, kind)
            if self._groups is None or self._touched is None:
                move(counter, total, np.empty((0, 0), np.int64), 0, 0, self._bins.fold)
            else:
                move(counter, total, getattr(self._groups, kind), *self._touched, self._bins.fold)


def _nothing(bins: Bins, n_groups: int) -> tuple[Counts, Groups | None]:
    shape = (n_groups, -(-bins.count // bins.fold))
    groups = Groups(np.zeros(shape, np.int64), np.zeros(shape, np.int64)) if n_groups else None
    return Counts(np.zeros(bins.count, np.int64), np.zeros(bins.count, np.int64)), groups


def _room(widest: int, d: int) -> _Room:
    """Return the thread's own room."""
    if getattr(_ROOM, "size", None) != (widest, d):
        _ROOM.size, _ROOM.room = (widest, d), _Room(widest, d)
    room: _Room = _ROOM.room
    return room
