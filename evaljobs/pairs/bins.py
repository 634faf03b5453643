"""The filters: a float32 product, or a float16 product of a GPU; how far each can be from the score; and their bins.

The bounds are derived in docs/exact-verification.md.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SCALE = 2**14  # bins per unit of score; a power of two, so that scaling is exact; so few that those in use stay in L1
HALF_SCALE = 2**12  # likewise for the float16 product, whose error is wider; these bins fit a GPU's shared memory
GROUP_SCALE = 2**11  # of what is counted for each group: at the end of each piece, hence in few bins
HALF_ROWS = 2.0**7  # what rows are multiplied by for float16: out of its subnormal range, and products below 2^15
_UNIT32 = 2.0**-24
_UNIT64 = 2.0**-53
_TINY32 = 2.0**-126
_UNIT16 = 2.0**-11
_TINY16 = 2.0**-14
_TENSOR = 2.0**-21  # error of one addition in a tensor core, as a part of the greatest sum: see the documentation
_BINNING = 2.0**-23
_SAFETY = 1 + 2.0**-20  # for the roundings of the bound's own computation


def _gamma(n: int, unit: float) -> float:
    """Return Higham's gamma_n = n u / (1 - n u), the relative error of n roundings (2002, section 3.1)."""
    return n * unit / (1 - n * unit)


def filter_error(d: int) -> float:
    """Return how far the float32 product of two rounded rows can be from the score, for `d` dimensions.

    It holds for any order of summation, with or without fused steps, and where subnormal numbers are flushed to zero.
    """
    of_score, of_rows, rounded = _rounding_errors(d)
    of_product = _gamma(d, _UNIT32) * rounded**2 + 4 * d * _TINY32
    return (of_score + of_rows + of_product) * _SAFETY


def fine_error(d: int) -> float:
    """Return how far the float64 product of two rows rounded to float32 can be from the score, for `d` dimensions.

    It holds for any order of summation, with or without fused steps.
    """
    of_score, of_rows, rounded = _rounding_errors(d)
    return (of_score + of_rows + _gamma(d, _UNIT64) * rounded**2) * _SAFETY


def _rounding_errors(d: int) -> tuple[float, float, float]:
    """Return the errors of the score's own sum and of rounding rows to float32; and the length of a rounded row."""
    length = 1 + _gamma(d + 2, _UNIT64)  # of a normalised row
    rounding = _UNIT32 * length + math.sqrt(d) * _TINY32  # of its float32 form
    rounded = length + rounding
    return _gamma(d, _UNIT64) * length**2, rounding * (length + rounded), rounded


def half_filter_error(d: int) -> float:
    """Return how far the float16 product of tensor cores can be from the score, for `d` dimensions.

    Rows are scaled by `HALF_ROWS` and rounded to float16, by way of float32; products are summed in float32 by a
    tensor core, in any order, and the sum is rounded to float16. It holds where subnormal numbers are flushed to zero.
    """
    length = 1 + _gamma(d + 2, _UNIT64)
    unit = (1 + _UNIT16) * (1 + _UNIT32) - 1  # rounded twice
    rounding = unit * length + math.sqrt(d) * _TINY16 / HALF_ROWS
    rounded = length + rounding
    of_score = _gamma(d, _UNIT64) * length**2
    of_rows = rounding * (length + rounded)
    of_sum = _gamma(d, _TENSOR) * rounded**2
    of_result = _UNIT16 * (rounded**2 + of_sum) + _TINY16 / HALF_ROWS**2
    return (of_score + of_rows + of_sum + of_result) * _SAFETY


@dataclasses.dataclass(frozen=True)
class Bins:
    """Bins of filter values. Pairs in bin ``b`` have scores in ``[low(b), high(b)]``.

    Attributes
    ----------
    d
        Dimensions of the embeddings.
    scale
        Bins per unit of score, a power of two.
    half
        Whether the values are float16 products of tensor cores; else float32 products.
    """

    d: int
    scale: int = SCALE
    half: bool = False

    @functools.cached_property
    def error(self) -> float:
        """How far a score can lie outside its bin."""
        # Twice for float16: in a million dimensions the bound, and so the greatest bin, is twice as large.
        return half_filter_error(self.d) + 2 * _BINNING if self.half else filter_error(self.d) + _BINNING

    @functools.cached_property
    def zero(self) -> int:
        """The bin that begins at filter value 0."""
        return self.scale + math.ceil(self.error * self.scale) + 2

    def levels(self, thresholds: Sequence[float]) -> NDArray[np.int16]:
        """Return, ``[count]``, how many of ascending thresholds the scores of each bin reach; -1 where that is open."""
        numbers = np.arange(self.count)
        low, high = ((numbers + side - self.zero) / self.scale for side in (0, 1))
        surely = np.searchsorted(thresholds, low - self.error, side="right")
        perhaps = np.searchsorted(thresholds, high + self.error, side="right")
        return np.where(surely == perhaps, surely, -1).astype(np.int16)

    @property
    def affine(self) -> tuple[np.float32, np.float32]:
        """What a kernel multiplies a value with, and what it adds.

        It must be told: constants of another module would be compiled in, and a cached kernel would keep old ones.
        """
        return np.float32(self.scale), np.float32(self.zero)

    @property
    def count(self) -> int:
        """Number of bins."""
        return 2 * self.zero

    @property
    def fold(self) -> int:
        """How many bins are one for groups."""
        return self.scale // GROUP_SCALE

    @functools.cached_property
    def reach(self) -> int:
        """Pairs whose bins are further apart than this are certainly in the order of their bins."""
        return math.floor(2 * self.error * self.scale) + 1

    def low(self, b: int) -> float:
        """Return a lower bound of the scores in bin `b`."""
        return (b - self.zero) / self.scale - self.error

    def high(self, b: int) -> float:
        """Return an upper bound of the scores in bin `b`."""
        return (b + 1 - self.zero) / self.scale + self.error

    def overlapping(self, low: float, high: float) -> tuple[int, int]:
        """Return the first and the last bin that may hold scores in ``[low, high]``."""
        first = math.floor((low - self.error) * self.scale) + self.zero - 1
        last = math.ceil((high + self.error) * self.scale) + self.zero
        return max(0, first), min(self.count - 1, last)

    def of(self, values: NDArray[np.float32]) -> NDArray[np.int32]:
        """Return the bins of filter values, as the kernels compute them."""
        return (values * np.float32(self.scale) + np.float32(self.zero)).astype(np.int32)
