"""The filter: a float32 product, how far it can be from the score, and the bins it is counted in.

The bound is derived in docs/exact-verification.md.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
from numpy.typing import NDArray

SCALE = 2**15  # bins per unit of score; a power of two, so that scaling is exact
_UNIT32 = 2.0**-24
_UNIT64 = 2.0**-53
_TINY32 = 2.0**-126
_BINNING = 2.0**-23
_SAFETY = 1 + 2.0**-20  # for the roundings of the bound's own computation


def _gamma(n: int, unit: float) -> float:
    """Return Higham's gamma_n = n u / (1 - n u), the relative error of n roundings (2002, section 3.1)."""
    return n * unit / (1 - n * unit)


def filter_error(d: int) -> float:
    """Return how far the float32 product of two rounded rows can be from the score, for `d` dimensions.

    It holds for any order of summation, with or without fused steps, and where subnormal numbers are flushed to zero.
    """
    length = 1 + _gamma(d + 2, _UNIT64)  # of a normalised row
    rounding = _UNIT32 * length + math.sqrt(d) * _TINY32  # of its float32 form
    rounded = length + rounding
    of_score = _gamma(d, _UNIT64) * length**2
    of_rows = rounding * (length + rounded)
    of_product = _gamma(d, _UNIT32) * rounded**2 + 4 * d * _TINY32
    return (of_score + of_rows + of_product) * _SAFETY


@dataclasses.dataclass(frozen=True)
class Bins:
    """Bins of filter values. Pairs in bin ``b`` have scores in ``[low(b), high(b)]``.

    Attributes
    ----------
    d
        Dimensions of the embeddings.
    """

    d: int

    @functools.cached_property
    def error(self) -> float:
        """How far a score can lie outside its bin."""
        return filter_error(self.d) + _BINNING

    @functools.cached_property
    def zero(self) -> int:
        """The bin that begins at filter value 0."""
        return SCALE + math.ceil(self.error * SCALE) + 2

    @property
    def count(self) -> int:
        """Number of bins."""
        return 2 * self.zero

    @functools.cached_property
    def reach(self) -> int:
        """Pairs whose bins are further apart than this are certainly in the order of their bins."""
        return math.floor(2 * self.error * SCALE) + 1

    def low(self, b: int) -> float:
        """Return a lower bound of the scores in bin `b`."""
        return (b - self.zero) / SCALE - self.error

    def high(self, b: int) -> float:
        """Return an upper bound of the scores in bin `b`."""
        return (b + 1 - self.zero) / SCALE + self.error

    def overlapping(self, low: float, high: float) -> tuple[int, int]:
        """Return the first and the last bin that may hold scores in ``[low, high]``."""
        first = math.floor((low - self.error) * SCALE) + self.zero - 1
        last = math.ceil((high + self.error) * SCALE) + self.zero
        return max(0, first), min(self.count - 1, last)

    def of(self, values: NDArray[np.float32]) -> NDArray[np.int32]:
        """Return the bins of filter values, as the kernels compute them."""
        return (values * np.float32(SCALE) + np.float32(self.zero)).astype(np.int32)
