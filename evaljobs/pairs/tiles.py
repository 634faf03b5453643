"""The upper triangle of all pairs, cut into square tiles."""

from __future__ import annotations

import dataclasses
import math

from evaljobs.errors import InputError

MAX_TILE = 2048  # a tile whose pairs are all near an operating point takes some 30 bytes a pair
# The counters of one part are 32 bits wide.
_MAX_PAIRS_A_PART = 2**30


@dataclasses.dataclass(frozen=True)
class Tiles:
    """Tiles of the pairs i < j of `n` positions, numbered row by row; `size` positions wide and high.

    Raises
    ------
    InputError
        If the size is not usable.
    """

    n: int
    size: int

    def __post_init__(self) -> None:
        if not 1 <= self.size <= MAX_TILE:
            raise InputError(f"found a tile of {self.size}; expected 1 to {MAX_TILE}")

    @property
    def side(self) -> int:
        """Tiles along the diagonal."""
        return -(-self.n // self.size)

    @property
    def count(self) -> int:
        """Number of tiles."""
        return self.side * (self.side + 1) // 2

    def place(self, tile: int) -> tuple[slice, slice]:
        """Return the positions i and j of a tile."""
        # Rows have side, side - 1, ... tiles; counted from the end they are triangular numbers.
        left = self.count - 1 - tile
        from_end = (math.isqrt(8 * left + 1) - 1) // 2
        a = self.side - 1 - from_end
        b = self.side - 1 - (left - from_end * (from_end + 1) // 2)
        return self._slice(a), self._slice(b)

    def parts(self, at_least: int) -> list[range]:
        """Cut the tiles into parts of about equal size: `at_least` so many, where there are enough tiles."""
        per_part = max(1, min(-(-self.count // at_least), _MAX_PAIRS_A_PART // self.size**2))
        return [range(first, min(first + per_part, self.count)) for first in range(0, self.count, per_part)]

    def pairs(self, part: range) -> int:
        """Return the number of pairs i < j in a part."""
        total = 0
        for tile in part:
            rows, columns = self.place(tile)
            height = rows.stop - rows.start
            total += height * (height - 1) // 2 if rows == columns else height * (columns.stop - columns.start)
        return total

    def _slice(self, block: int) -> slice:
        return slice(block * self.size, min((block + 1) * self.size, self.n))
