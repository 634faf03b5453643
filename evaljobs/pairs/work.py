"""How the comparing is cut into pieces that threads or machines can do in any order.

A round is one pass over the tiles. Its work turns a part of the tiles into evidence; evidence adds up, in any order and
grouping, to the same total. What the next round is, or the result, is decided from the total alone.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Protocol, Self, TypeVar, cast


class Evidence(Protocol):
    """What a pass over some tiles found; its size does not grow with them."""

    def __add__(self, other: Self) -> Self:
        """Return the evidence of both."""


E = TypeVar("E", bound=Evidence)


class Work(Protocol[E]):
    """One pass over the tiles: a small picklable value."""

    def parts(self, at_least: int) -> list[range]:
        """Cut the tiles into parts, `at_least` so many where there are enough tiles."""

    def pairs(self, part: range, /) -> int:
        """Return how many pairs a part looks at."""

    def run(self, samples: Any, part: range, onto: E | None = None) -> E:
        """Look at the pairs of a part. Safe to run in several threads and more than once.

        What is found is added to `onto`, which may be changed by that and is not to be used any more.
        """


R = TypeVar("R")
# A computation in rounds: yields work, is sent the sum of its evidence, returns its result.
Rounds = Generator[Work[Any], Any, R]


def total_of(work: Work[E]) -> Rounds[E]:
    """Ask for the total evidence of one pass: ``evidence = yield from total_of(work)``."""
    return cast("E", (yield work))
