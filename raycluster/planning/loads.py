"""What each load has left to do, and which one is furthest behind."""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Mapping

from raycluster.planning.ranking import Ranking


@dataclasses.dataclass(slots=True)
class _Load:
    undone: int
    # Blocks that are there and in no worker's hands; `order` is a heap of them, which may name some that are taken.
    open: set[int] = dataclasses.field(default_factory=set)
    order: list[int] = dataclasses.field(default_factory=list)
    workers: int = 0


class Loads:
    """All loads that are neither done nor given up. Every method takes O(log n), amortised over the cells.

    Parameters
    ----------
    undone
        For each load, how many blocks it must process.

    Attributes
    ----------
    undone
        How many all of them must still process.
    """

    def __init__(self, undone: Mapping[int, int]) -> None:
        self._loads = {load: _Load(count) for load, count in undone.items()}
        self.undone = sum(undone.values())
        self._ranking = Ranking(self._rank)

    def __contains__(self, load: int) -> bool:
        return load in self._loads

    def __len__(self) -> int:
        return len(self._loads)

    def choose(self, held: int | None) -> int | None:
        """Return the load to go on with, of those with an open block: the one held, else the one furthest behind."""
        if held is not None and held in self._loads and self._loads[held].open:
            return held
        return self._ranking.first()

    def first_open(self, load: int) -> int:
        """Return the open block of a load that comes first."""
        state = self._loads[load]
        while state.order[0] not in state.open:
            heapq.heappop(state.order)
        return state.order[0]

    def open(self, load: int, block: int) -> None:
        """Take in that a block is there for a load, and that nobody has it in hand."""
        state = self._loads[load]
        state.open.add(block)
        heapq.heappush(state.order, block)
        self._ranking.refresh(load)

    def take(self, load: int, block: int) -> None:
        """Take in that a worker has a block in hand, of which it may be the second."""
        self._loads[load].open.discard(block)

    def done(self, load: int, block: int) -> bool:
        """Take in that a load has processed a block; return whether it was the last."""
        state = self._loads[load]
        state.open.discard(block)
        state.undone -= 1
        self.undone -= 1
        if state.undone:
            return False
        del self._loads[load]
        return True

    def remove(self, load: int) -> None:
        """Take a load out."""
        self.undone -= self._loads.pop(load).undone

    def change(self, old: int | None, new: int | None) -> None:
        """Take in that a worker goes from one load to another."""
        if new is not None:
            self._loads[new].workers += 1
        if old is not None and old in self._loads:
            self._loads[old].workers -= 1
            self._ranking.refresh(old)

    def _rank(self, load: int) -> tuple[int, int, int] | None:
        """Rank by the first open block; of several loads, the one with the fewest workers, then the longest."""
        state = self._loads.get(load)
        if state is None or not state.open:
            return None
        return (self.first_open(load), state.workers, -len(state.open))
