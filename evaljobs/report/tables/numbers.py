"""How numbers are written for people. Files for machines keep every digit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import ROUND_FLOOR, Decimal


def rate_text(rate: float) -> str:
    """Write a target rate as people do: 1e-5, 3e-4, 0.29, 0.0125, 1."""
    sign, digits, exponent = Decimal(repr(float(rate))).normalize().as_tuple()
    if sign or not isinstance(exponent, int):
        raise ValueError(f"{rate!r} is not a rate")
    if rate >= 1 or rate == 0:
        return f"{rate:g}"
    power = exponent + len(digits) - 1
    if len(digits) == 1:
        return f"{digits[0]}e{power}"
    mantissa = f"{digits[0]}.{''.join(map(str, digits[1:]))}"
    return repr(float(rate)) if power >= -3 else f"{mantissa}e{power}"


def share_text(share: float) -> str:
    """Write an observed rate with four decimals, a small one as 9.97e-5."""
    if share == 0 or share >= 0.01:
        return f"{share:.4f}"
    mantissa, exponent = f"{share:.2e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def digits_text(value: float) -> str:
    """Write a measured number with three digits, and all of them before the point: 0.053, 5.54, 1,230."""
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:.3g}"


def count_text(count: int) -> str:
    """Write a large count in short: 512, 1.23M."""
    for power, letter in ((9, "G"), (6, "M"), (3, "k")):
        if count >= 0.9995 * 10**power:  # what would round to four digits takes the next letter
            return f"{count / 10**power:.3g}{letter}"
    return str(count)


def next_text(below: float, threshold: float | None) -> str:
    """Round the highest rejected score down, to the decimals of its threshold: below it on paper too."""
    decimals = 6 if threshold is None else len(threshold_text(threshold, below).partition(".")[2])
    return f"{Decimal(below).quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_FLOOR):f}"


def threshold_text(threshold: float, below: float | None, decimals: int = 4) -> str:
    """Round a threshold down as far as no observed pair changes sides.

    No score lies between the threshold, an observed score, and the highest rejected one; so each number of that gap
    makes the same decisions. This writes the one with the fewest decimals, and at least ``decimals`` of them.

    Parameters
    ----------
    threshold
        An observed score; pairs at or above it are accepted.
    below
        The highest rejected score; None where nothing is rejected.
    """
    exact = Decimal(threshold)
    for places in range(decimals, 17):
        text = f"{exact.quantize(Decimal(1).scaleb(-places), rounding=ROUND_FLOOR):f}"
        if float(text) <= threshold and (below is None or float(text) > below):
            return text
    return repr(threshold)


def interval_text(value: float, ends: Sequence[float] | None, sign: str = "-") -> str:
    """Write a share and its 95% interval, such as ``0.912 [0.897, 0.925]``; four decimals where there is no interval.

    Two digits of the interval's width, and three to six decimals: more would claim what the data do not say.

    Parameters
    ----------
    value
        In [-1, 1].
    ends
        The lower and the upper end, or None.
    sign
        ``+`` writes the sign of positive numbers too, as differences have it.
    """
    if ends is None:
        return f"{value:{sign}.4f}"
    width = ends[1] - ends[0]
    decimals = min(max(1 + math.ceil(-math.log10(width)), 3), 6) if width > 0 else 6
    low, high = (f"{end:{sign}.{decimals}f}" for end in ends)
    return f"{value:{sign}.{decimals}f} [{low}, {high}]"
