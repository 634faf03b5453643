"""How the pairs are cut into tiles on a device."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from evaljobs.pairs.gpu.rows import ALIGNED, Rows
from evaljobs.pairs.gpu.tally import Tally
from evaljobs.pairs.samples import Samples

if TYPE_CHECKING:
    import torch

Done = Callable[[int], None]
_SMOOTH = 256  # libraries cut large products into pieces of this size
_LARGE = 8 * _SMOOTH


class Block(NamedTuple):
    """Positions of one group, one past the last included."""

    first: int
    last: int
    group: int

    @property
    def size(self) -> int:
        """Number of positions."""
        return self.last - self.first


@dataclasses.dataclass(frozen=True)
class Sheet:
    """The pairs i < j in tiles: each of rows of one group and columns of one group.

    Attributes
    ----------
    rows
        The samples on the device.
    size
        Positions a tile is wide and high at most, a multiple of `ALIGNED`.
    """

    rows: Rows
    size: int

    def tiles(self, tally: Tally, samples: Samples, done: Done) -> Iterator[None]:
        """Count tile after tile."""
        import torch

        of_product = torch.float16 if tally.half else torch.float32
        room = torch.empty(self.size**2, dtype=of_product, device=self.rows.unit.device)
        blocks = blocks_of(samples, self.size)
        for number, rows in enumerate(blocks):
            for columns in blocks[number:]:
                self._count(tally, samples, rows, columns, room)
                done(rows.size * columns.size if rows != columns else rows.size * (rows.size - 1) // 2)
                yield
            if number + 1 == len(blocks) or blocks[number + 1].group != rows.group:
                tally.settle(rows.group)

    def _count(self, tally: Tally, samples: Samples, rows: Block, columns: Block, room: torch.Tensor) -> None:
        height, width = (-(-block.size // ALIGNED) * ALIGNED for block in (rows, columns))
        i, j = slice(rows.first, rows.first + height), slice(columns.first, columns.first + width)
        product = self.rows.product(i, j, room[: height * width].view(height, width))
        tally.count(
            product,
            (rows.first, columns.first),
            self.rows.labels[rows.first : rows.last],
            self.rows.labels[columns.first : columns.last],
            triangle=rows == columns,
            impostors=are_impostors(samples, rows, columns),
            group=columns.group,
        )


def blocks_of(samples: Samples, size: int) -> list[Block]:
    """Cut the positions into blocks of one group each, of at most a size, and about equally large in a group."""
    starts = [0, *(np.flatnonzero(np.diff(samples.groups)) + 1).tolist(), samples.n]
    return [
        Block(place, min(place + step, last), int(samples.groups[first]))
        for first, last in itertools.pairwise(starts)
        for step in [_step(last - first, size)]
        for place in range(first, last, step)
    ]


def _step(n: int, size: int) -> int:
    """Return how large the blocks are that so many positions are cut into."""
    even = -(-n // -(-n // size))
    multiple = _SMOOTH if even >= _LARGE else ALIGNED
    return min(size, -(-even // multiple) * multiple)


def are_impostors(samples: Samples, rows: Block, columns: Block) -> bool:
    """Say whether no pair of two blocks is genuine, as far as that is seen at once: samples of a group are by label."""
    if samples.unit_of_groups == "label" and rows.group != columns.group:  # labels are dealt to groups whole
        return True
    of_rows, of_columns = samples.labels[rows.first : rows.last], samples.labels[columns.first : columns.last]
    return bool(of_rows[-1] < of_columns[0] or of_columns[-1] < of_rows[0])
