"""How much probability class scores leave to other classes: the same bits on any machine.

A library's `exp` may round otherwise on another processor, and a threshold between two scores that differ in the last
bit would move. Here every number follows from single additions and multiplications, which IEEE 754 defines, in a fixed
order.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evaljobs.classification.measure import Scale

Float64 = NDArray[np.float64]

# ln 2 in two parts, of which the first has so few digits that its multiples are exact (fdlibm, e_exp.c).
_LN2_HIGH: Final = float.fromhex("0x1.62e42feep-1")
_LN2_LOW: Final = float.fromhex("0x1.a39ef35793c76p-33")
# Of the series, whose rest is below 2^-57 for |r| <= ln 2 / 2.
_TERMS: Final = tuple(1 / math.factorial(n) for n in range(13, -1, -1))
# Below, exp is 0 in float64.
_LOWEST: Final = -746.0


def exponential(x: Float64) -> Float64:
    """Return ``exp(x)`` of numbers up to 0, within two units in the last place.

    ``x = n ln 2 + r`` with ``|r| <= ln 2 / 2`` (Cody and Waite, Software Manual for the Elementary Functions, 1980),
    and the series of ``exp(r)``.
    """
    bounded = np.maximum(x, _LOWEST)
    n = np.rint(bounded * (1 / math.log(2)))
    r = (bounded - n * _LN2_HIGH) - n * _LN2_LOW
    total = np.full_like(r, _TERMS[0])
    for term in _TERMS[1:]:
        total = total * r + term
    return np.ldexp(total, n.astype(np.int32))


def wrong_share(scores: NDArray[np.float32], right: int, scale: Scale) -> Float64:
    """Return the probability of all classes but the right one, ``[n]`` float64 in [0, 1].

    ``sum_{j != right} e_j / sum_j e_j`` with ``e_j = exp(s_j - max s)`` of logits and ``e_j = s_j`` of probabilities,
    both sums in the order of the classes. So what is next to 0 has all its digits, where 1 - p would have few.

    Parameters
    ----------
    scores
        ``[n, k]``, finite.
    right
        The right class of all of them.
    scale
        What the scores are.
    """
    columns = scores.T.astype(np.float64)
    if scale is Scale.LOGITS:
        columns = exponential(columns - columns.max(axis=0))
    wrong, total = np.zeros(len(scores)), np.zeros(len(scores))
    for number, column in enumerate(columns):
        total += column
        if number != right:
            wrong += column
    return wrong / total
