"""The pairs of positions, cut into tiles: the upper triangle of all pairs, or probes against a gallery."""

from __future__ import annotations

import bisect
import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

from evaljobs.errors import InputError

MAX_TILE = 2048  # a tile whose pairs are all near an operating point takes some 40 bytes a pair
# The counters of one part have 31 bits beside the flag.
_MAX_PAIRS_A_PART = 2**29


class Piece(NamedTuple):
    """The part of a tile whose rows are of one group and whose columns are of one group: positions."""

    i: slice
    j: slice


@dataclasses.dataclass(frozen=True)
class Tiles:
    """Tiles of at most `size` positions in height and width, numbered column by column.

    Attributes
    ----------
    n
        Number of positions.
    starts
        Ascending positions at which groups begin, the first one 0. Tiles begin there too, but where groups are small.
    gallery
        Where the gallery begins, for probes (rows, before it) against a gallery (columns, from it on). 0 for the pairs
        i < j of all positions.

    Raises
    ------
    InputError
        If the size is not usable.
    """

    n: int
    size: int
    starts: tuple[int, ...] = (0,)
    gallery: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.size <= MAX_TILE:
            raise InputError(f"found a tile of {self.size}; expected 1 to {MAX_TILE}")

    @functools.cached_property
    def _cuts(self) -> list[int]:
        """Return where tiles begin, and the end."""
        starts = [*self.starts, self.n]
        cuts = [0]
        for first, last in itertools.pairwise(starts):
            if last - cuts[-1] > self.size or first == self.gallery:
                cuts += [first] if first > cuts[-1] else []
                pieces = -(-(last - first) // self.size)
                cuts += [first + (last - first) * piece // pieces for piece in range(1, pieces)]
        return [*cuts, self.n]

    @functools.cached_property
    def _n_rows(self) -> int:
        """Return the number of rows of tiles: of all of them, or of those of the probes."""
        return bisect.bisect_left(self._cuts, self.gallery) if self.gallery else self._side

    @functools.cached_property
    def _side(self) -> int:
        """Return the number of intervals between cuts."""
        return len(self._cuts) - 1

    @functools.cached_property
    def count(self) -> int:
        """Number of tiles."""
        rows, side = self._n_rows, self._side
        return rows * (side - rows) if self.gallery else side * (side + 1) // 2

    @functools.cached_property
    def widest(self) -> int:
        """Most positions in height or width of a tile."""
        return max(b - a for a, b in itertools.pairwise(self._cuts))

    @property
    def area(self) -> int:
        """Most pairs of a tile."""
        return self.widest**2

    def place(self, tile: int) -> tuple[slice, slice]:
        """Return the positions i and j of a tile."""
        a, b = self._intervals(tile)
        return self._slice(a), self._slice(b)

    def _intervals(self, tile: int) -> tuple[int, int]:
        """Return the intervals between cuts in which the rows and the columns of a tile lie."""
        if self.gallery:
            b, a = divmod(tile, self._n_rows)
            return a, self._n_rows + b
        # Columns have 1, 2, ... tiles: what lies before one is a triangular number.
        b = (math.isqrt(8 * tile + 1) - 1) // 2
        return tile - b * (b + 1) // 2, b

    def pieces(self, i: slice, j: slice) -> Iterator[Piece]:
        """Cut a tile where groups begin; on the diagonal, only what holds pairs i < j."""
        for rows in self._by_group(i):
            for columns in self._by_group(j):
                if i != j or rows.start <= columns.start:
                    yield Piece(rows, columns)

    def parts(self, at_least: int) -> list[range]:
        """Cut the tiles into parts of about equal size: `at_least` so many, where there are enough tiles."""
        per_part = max(1, min(-(-self.count // at_least), _MAX_PAIRS_A_PART // self.size**2))
        return [range(first, min(first + per_part, self.count)) for first in range(0, self.count, per_part)]

    def pairs(self, part: range) -> int:
        """Return the number of pairs in a part."""
        total, tile = 0, part.start
        while tile < part.stop:  # column of tiles after column
            a, b = self._intervals(tile)
            last = self._n_rows if self.gallery else b + 1
            end = min(last, a + part.stop - tile)
            width = self._cuts[b + 1] - self._cuts[b]
            total += width * (self._cuts[end] - self._cuts[a])
            if end > b:
                total -= width * (width + 1) // 2
            tile += end - a
        return total

    def _slice(self, tile: int) -> slice:
        return slice(self._cuts[tile], self._cuts[tile + 1])

    def _by_group(self, place: slice) -> list[slice]:
        first, last = bisect.bisect_right(self.starts, place.start), bisect.bisect_left(self.starts, place.stop)
        bounds = [place.start, *self.starts[first:last], place.stop]
        return [slice(a, b) for a, b in itertools.pairwise(bounds)]
