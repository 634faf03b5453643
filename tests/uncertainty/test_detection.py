"""AUROC, AUPR and false positives at a share of true ones, against scikit-learn and against counting every pair."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from evaljobs.uncertainty.blocks import order, tally
from evaljobs.uncertainty.detection import TARGET_TPR, Sides, detect, roc_points

# Few different values, so that there are ties.
_values = st.lists(st.integers(0, 6), min_size=1, max_size=40)


@settings(max_examples=100, deadline=None)
@given(positive=_values, negative=_values)
def test_numbers_are_those_of_scikit_learn(positive: list[int], negative: list[int]) -> None:
    """Whoever knows AUROC and AUPR gets what the usual library gives, ties included."""
    found = detect(Sides(np.array(positive, float), np.array(negative, float)))
    truth, values = [1] * len(positive) + [0] * len(negative), positive + negative
    assert found.auroc == pytest.approx(roc_auc_score(truth, values), abs=1e-12)
    assert found.aupr == pytest.approx(average_precision_score(truth, values), abs=1e-12)
    turned = average_precision_score([1 - t for t in truth], [-v for v in values])
    assert found.aupr_negative == pytest.approx(turned, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(positive=_values, negative=_values)
def test_auroc_is_the_count_of_pairs(positive: list[int], negative: list[int]) -> None:
    """Each tie is half a pair, exactly: no trapezoid is rounded on the way."""
    twice = sum(2 * (p > n) + (p == n) for p in positive for n in negative)
    found = detect(Sides(np.array(positive, float), np.array(negative, float))).auroc
    assert found == float(Fraction(twice, 2 * len(positive) * len(negative)))


@settings(max_examples=100, deadline=None)
@given(positive=_values, negative=_values)
def test_false_positives_where_enough_is_found(positive: list[int], negative: list[int]) -> None:
    """The threshold is the highest one that finds 95% of the positives; not one is interpolated."""
    found = detect(Sides(np.array(positive, float), np.array(negative, float))).at_tpr
    enough = [t for t in {*positive} if Fraction(sum(p >= t for p in positive), len(positive)) >= TARGET_TPR]
    assert found.threshold == max(enough)
    assert found.true_positives == sum(p >= found.threshold for p in positive)
    assert found.false_positives == sum(n >= found.threshold for n in negative)


def test_intervals_leave_groups_out() -> None:
    """A replicate is the AUROC of the images that are not of its group, of both kinds."""
    rng = np.random.default_rng(1)
    positive, negative = rng.normal(1, 1, 60), rng.normal(0, 1, 80)
    groups = rng.integers(0, 4, 60), rng.integers(0, 4, 80)
    found = detect(Sides(positive, negative, *groups, 4))
    assert len(found.replicates) == 4
    for number, replicate in enumerate(found.replicates):
        assert replicate == detect(Sides(positive[groups[0] != number], negative[groups[1] != number])).auroc
    assert found.auroc_ci is not None
    assert found.auroc_ci[0] < found.auroc < found.auroc_ci[1]


def test_no_interval_without_groups() -> None:
    """Nothing is claimed that nothing supports."""
    assert detect(Sides(np.array([1.0]), np.array([0.0]))).auroc_ci is None


def test_curve_has_the_corners_of_the_roc() -> None:
    """What is drawn lies on the exact curve, from nothing flagged to everything, and few points draw it."""
    rng = np.random.default_rng(2)
    positive, negative = rng.normal(1, 1, 3000), rng.normal(0, 1, 3000)
    values = np.concatenate([positive, negative])
    blocks = tally(order(values), np.arange(6000) < 3000)
    thresholds, false, true = roc_points(blocks, 200)
    assert 100 < len(thresholds) <= 200
    fpr, tpr, at = roc_curve(np.arange(6000) < 3000, values, drop_intermediate=False)
    known = {t: (round(f * 3000), round(p * 3000)) for t, f, p in zip(at, fpr, tpr, strict=True)}
    assert [known[t] for t in thresholds] == list(zip(false, true, strict=True))
    assert (false[-1], true[-1]) == (3000, 3000)


@settings(max_examples=200, deadline=None)
@given(positive=_values, negative=_values)
def test_lines_between_the_kept_points_are_the_roc(positive: list[int], negative: list[int]) -> None:
    """Where values tie, too: a straight line from each kept point to the next goes through every point of the curve."""
    values = np.array([*positive, *negative], float)
    blocks = tally(order(values), np.arange(len(values)) < len(positive))
    _, false, true = roc_points(blocks, 1000)
    ends = (np.append(0, false), np.append(0, true))
    for block in range(len(blocks.value)):
        fp, tp = (int(side[: block + 1].sum()) for side in (blocks.negative, blocks.positive))
        after = int(np.argmax((ends[0] >= fp) & (ends[1] >= tp)))
        (a, c), (b, d) = ((int(side[max(after - 1, 0)]), int(side[after])) for side in ends)
        assert (d - b) * (fp - a) == (tp - b) * (c - a), "the three points lie on a line"
