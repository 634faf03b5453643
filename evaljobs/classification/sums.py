"""Sums of floats without rounding, so that no order and no grouping of the rows changes a bit of them.

A sum is a Python integer, in units of which every float64 is a multiple: adding two sums is exact.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]

# Each finite float64 is a 53-bit integer times 2**(exponent - 53), and the lowest exponent is -1073.
_MANTISSA, _UNIT = 53, 1126
_HALF = 26


def exact_sums(values: Float64, places: Int64, n: int) -> tuple[int, ...]:
    """Return the sum of the values of each place, in units of ``2**-1126``.

    Parameters
    ----------
    values
        ``[m]`` finite float64, m below 2^26.
    places
        ``[m]`` int64 in [0, n).
    n
        How many places.
    """
    mantissa, exponent = np.frexp(values)
    whole = np.ldexp(mantissa, _MANTISSA).astype(np.int64)
    # As floats in halves of 27 bits, of which 2^26 add up without rounding.
    halves = ((whole >> _HALF, _HALF), (whole & (2**_HALF - 1), 0))
    totals = [0] * n
    for power in np.unique(exponent).tolist():
        chosen = exponent == power
        for half, bits in halves:
            sums = np.bincount(places[chosen], half[chosen], n)
            for place in np.flatnonzero(sums).tolist():
                totals[place] += int(sums[place]) << (power - _MANTISSA + _UNIT + bits)
    return tuple(totals)


def exact_sum(values: Float64) -> int:
    """Return the sum of values ``[m]`` in units of ``2**-1126``."""
    return exact_sums(values, np.zeros(len(values), np.int64), 1)[0]


def added(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """Add sums place by place."""
    return tuple(x + y for x, y in zip(a, b, strict=True))


def mean(total: int, n: int) -> float:
    """Return a sum divided by n, which is at least 1: rounded once."""
    return total / (n << _UNIT)
