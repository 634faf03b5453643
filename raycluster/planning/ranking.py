"""Which of many is first, when their ranks change all the time: a heap that corrects itself."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Generic, TypeVar

Rank = TypeVar("Rank", bound=tuple[int, ...])


class Ranking(Generic[Rank]):
    """Numbers in order of their ranks, the smallest first.

    A rank that became smaller must be told (`refresh`); one that became larger is noticed when its number comes first.
    So what happens most, that a load has one block less to do, costs nothing at once. Each number has one entry that
    counts. Both methods take O(log n), amortised over the changes of ranks.

    Parameters
    ----------
    rank
        Gives the present rank of a number, or None where it is out of the question.
    """

    def __init__(self, rank: Callable[[int], Rank | None]) -> None:
        self._rank = rank
        self._heap: list[tuple[Rank, int]] = []
        self._entry: dict[int, Rank] = {}

    def refresh(self, number: int) -> None:
        """Take in that a number's rank may be smaller than it was."""
        rank = self._rank(number)
        if rank is not None and (number not in self._entry or rank < self._entry[number]):
            self._entry[number] = rank
            heapq.heappush(self._heap, (rank, number))

    def first(self) -> int | None:
        """Return the number of the smallest rank; it stays."""
        while self._heap:
            entry, number = self._heap[0]
            if self._entry.get(number) != entry:
                heapq.heappop(self._heap)  # a smaller one took its place
                continue
            rank = self._rank(number)
            if rank == entry:
                return number
            if rank is None:
                heapq.heappop(self._heap)
                del self._entry[number]
            else:
                self._entry[number] = rank
                heapq.heapreplace(self._heap, (rank, number))
        return None
