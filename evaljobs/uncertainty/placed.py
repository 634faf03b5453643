"""What parts of a pass found, each for a run of images: it adds up to the whole in any order."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Placed(NamedTuple):
    """Arrays by the place of their first image; those of one place have a value for each image of a run."""

    runs: dict[int, tuple[NDArray[Any], ...]]

    def __add__(self, other: Placed) -> Placed:  # type: ignore[override]  # of evidence, not of tuples
        return Placed({**self.runs, **other.runs})

    def whole(self) -> tuple[NDArray[Any], ...]:
        """Return the arrays of all images, in their order."""
        columns = zip(*(self.runs[first] for first in sorted(self.runs)), strict=True)
        return tuple(np.concatenate(column) for column in columns)


_AT_ONCE = 2**14


@dataclasses.dataclass(frozen=True)
class EachImage:
    """A pass that looks at each of n images by itself; what it does with some of them, `run`, is for others to say."""

    n: int

    def parts(self, at_least: int) -> list[range]:
        """Cut the images."""
        return cut(self.n, _AT_ONCE, at_least)

    def pairs(self, part: range, /) -> int:
        """Return how many pairs a part compares: none."""
        del part
        return 0


def cut(n: int, most: int, at_least: int) -> list[range]:
    """Cut n images into runs of at most so many, and into at least so many runs where there are as many images."""
    size = max(1, min(most, n // max(1, at_least)))
    return [range(first, min(first + size, n)) for first in range(0, n, size)]
