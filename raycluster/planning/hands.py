"""What each worker has in hand, and who else has the same."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Cell:
    """One load over one block."""

    load: int
    block: int


@dataclasses.dataclass(slots=True)
class Hand:
    """The calls that a worker has not answered yet, and the load of the last one."""

    cells: list[Cell] = dataclasses.field(default_factory=list)
    load: int | None = None


class Hands:
    """The hands of all workers; at most two workers have the same cell. Every method takes O(1), amortised."""

    def __init__(self) -> None:
        self._hands: dict[int, Hand] = {}
        # How many have a cell; and those that one worker has, by the time since when.
        self._holders: dict[Cell, int] = {}
        self._single: OrderedDict[Cell, None] = OrderedDict()

    def __getitem__(self, worker: int) -> Hand:
        return self._hands[worker]

    def join(self, worker: int) -> None:
        """Take in a worker, with empty hands."""
        self._hands[worker] = Hand()

    def leave(self, worker: int) -> Hand:
        """Take a worker out, and return what it had in hand."""
        hand = self._hands.pop(worker)
        for cell in hand.cells:
            self._count(cell, -1)
        return hand

    def give(self, hand: Hand, cell: Cell) -> None:
        """Put a cell into a hand."""
        hand.cells.append(cell)
        hand.load = cell.load
        self._count(cell, +1)

    def put_down(self, worker: int, cell: Cell) -> None:
        """Take a cell from a worker, if it is there and has it."""
        if worker in self._hands and cell in self._hands[worker].cells:
            self._hands[worker].cells.remove(cell)
            self._count(cell, -1)

    def hold(self, cell: Cell) -> bool:
        """Whether a worker has a cell in hand."""
        return cell in self._holders

    def longest_held(self, wanted: Callable[[Cell], bool]) -> Cell | None:
        """Return the wanted cell that one worker alone has had for longest; those not wanted are forgotten."""
        while self._single:
            cell = next(iter(self._single))
            if wanted(cell):
                return cell
            del self._single[cell]
        return None

    def _count(self, cell: Cell, change: int) -> None:
        count = self._holders.pop(cell, 0) + change
        if count:
            self._holders[cell] = count
        if count == 1:
            self._single[cell] = None
        else:
            self._single.pop(cell, None)
