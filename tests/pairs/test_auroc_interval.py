"""Ends of the interval of an AUROC."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from evaljobs.pairs.intervals import auroc_ends, difference, even_ends, interval


@given(st.floats(-30, 30), st.floats(1e-6, 30))
def test_ends_of_an_auroc_are_rates_that_are_just_compatible(centre: float, half: float) -> None:
    """|e - e0| = h sqrt(V(e) / V(e0)), where V(e) = (e (1 - e))^(5/3) and h is the half-width as a share."""
    low, high = auroc_ends(centre, half)
    assert low < centre < high

    def spread(x: float) -> float:
        return 1 / (1 + math.exp(-x)) / (1 + math.exp(x))

    for end in (low, high):
        # Of logits a and b, exactly: the difference of the shares, as a multiple of the spread at a.
        moved = abs(math.expm1(end - centre)) / (1 + math.exp(end)) * (1 + math.exp(centre))
        assert moved == pytest.approx(half * (spread(end) / spread(centre)) ** (5 / 6), rel=1e-6)


def test_the_interval_of_an_auroc_leaves_room_for_errors_not_seen() -> None:
    """It reaches further towards more errors; where the groups agree it is that of any share."""
    for half, least, most in ((0.001, 1, 1.001), (0.5, 1.1, 1.3), (2, 1.5, 3)):
        low, high = auroc_ends(9, half)
        assert least < (9 - low) / half < most
        assert high - 9 < half


def test_a_nearly_perfect_auroc_is_held_more_often() -> None:
    """200 identities, a few of which make nearly all errors: even ends miss twice as often as they say, or more."""
    rng, repetitions = np.random.default_rng(1), 600
    errors = scipy.stats.norm.cdf(rng.standard_normal((repetitions, 20, 10)) - 5).mean(axis=2)
    truth, estimates = scipy.stats.norm.cdf(5 / math.sqrt(2)), 1 - errors.mean(axis=1)
    without = 1 - (errors.sum(axis=1, keepdims=True) - errors) / 19
    held = []
    for ends in (even_ends, auroc_ends):
        found = [interval(a, r, ends) for a, r in zip(estimates.tolist(), without.tolist(), strict=True)]
        held.append(sum(ci is not None and ci[0] <= truth <= ci[1] for ci in found) / repetitions)
    assert held[0] < 0.89
    assert 0.905 < held[1] <= 0.98


def test_below_one_half_what_is_right_is_rare() -> None:
    """Errors and what is right change places: intervals and differences are those of the AUROC, mirrored."""
    a, b = 0.97, 0.96
    of_a, of_b = ([x + 0.02 * step * (1 - x) for step in (-9, -2, 0, 1, 3, 7)] for x in (a, b))
    less_a, less_b = ([1 - x for x in of_one] for of_one in (of_a, of_b))
    above, below = interval(a, of_a, auroc_ends), interval(1 - a, less_a, auroc_ends)
    assert above is not None
    assert below == pytest.approx((1 - above[1], 1 - above[0]), rel=1e-9)
    found, mirrored = difference(a, b, of_a, of_b, auroc_ends), difference(1 - a, 1 - b, less_a, less_b, auroc_ends)
    assert found is not None
    assert mirrored is not None
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low), rel=1e-6)
