"""How the comparing is cut into pieces that threads or machines can do in any order.

A round is one pass over the tiles. Its work turns a part of the tiles into evidence; evidence adds up, in any order and
grouping, to the same total. What the next round is, or the result, is decided from the total alone.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol, Self, TypeVar, cast

from evaljobs.pairs.samples import Samples


class Evidence(Protocol):
    """What a pass over some tiles found; its size does not grow with them."""

    def __add__(self, other: Self) -> Self:
        """Return the evidence of both."""


E_co = TypeVar("E_co", bound=Evidence, covariant=True)


class Work(Protocol[E_co]):
    """One pass over the tiles: a small picklable value."""

    def parts(self, at_least: int) -> list[range]:
        """Cut the tiles into parts, `at_least` so many where there are enough tiles."""

    def pairs(self, part: range, /) -> int:
        """Return how many pairs a part looks at."""

    def run(self, samples: Samples, part: range) -> E_co:
        """Look at the pairs of a part. A pure function, safe to run in several threads and more than once."""


R = TypeVar("R")
# A computation in rounds: yields work, is sent the sum of its evidence, returns its result.
Rounds = Generator[Work[Evidence], Evidence, R]
E = TypeVar("E", bound=Evidence)


def total_of(work: Work[E]) -> Rounds[E]:
    """Ask for the total evidence of one pass: ``evidence = yield from total_of(work)``."""
    return cast("E", (yield work))
