"""Risk-coverage curves and thresholds, against trying every order and every threshold."""

from __future__ import annotations

import itertools
import statistics
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from evaljobs.uncertainty.coverage import risk_coverage, thinned
from evaljobs.uncertainty.threshold import ChosenBy, at_share, split

_images = st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=7)
_NOBODY = np.zeros(0, np.int64)


def area(right: tuple[bool, ...]) -> float:
    """Return the area under the risk-coverage curve of images, surest first: its definition."""
    return statistics.fmean(sum(not r for r in right[:i]) / i for i in range(1, len(right) + 1))


@settings(max_examples=60, deadline=None)
@given(_images)
def test_area_is_the_mean_over_all_orders_of_ties(images: list[tuple[int, bool]]) -> None:
    """Equally sure images have no order: no result depends on where they stand in a file."""
    orders = [p for p in itertools.permutations(images) if all(a[0] <= b[0] for a, b in itertools.pairwise(p))]
    values, right = zip(*images, strict=True)
    found = risk_coverage(np.array(values, float), np.array(right), _NOBODY, 0)
    assert found.aurc == pytest.approx(statistics.fmean(area(tuple(r for _, r in p)) for p in orders), abs=1e-12)
    assert found.aurc_best == pytest.approx(area(tuple(sorted(right, reverse=True))), abs=1e-12)
    assert found.aurc_random == sum(not r for r in right) / len(right)


def test_curve_counts_what_is_kept() -> None:
    """A point of the curve is what everybody can count: images at most as uncertain, and wrong ones among them."""
    rng = np.random.default_rng(3)
    values, right = rng.integers(0, 50, 400) / 50, rng.random(400) > 0.2
    found = risk_coverage(values, right, _NOBODY, 0)
    assert len(found.curve.value) == len(set(values.tolist()))
    for value, kept, wrong in zip(*found.curve, strict=True):
        assert (kept, wrong) == ((values <= value).sum(), (~right[values <= value]).sum())
    assert found.auroc_errors == pytest.approx(roc_auc_score(~right, values), abs=1e-12)


def test_thinned_curve_ends_where_the_curve_ends() -> None:
    """A picture of a million images shows the whole range."""
    rng = np.random.default_rng(4)
    found = risk_coverage(rng.random(5000), rng.random(5000) > 0.1, _NOBODY, 0)
    few = thinned(found.curve, 100)
    assert 90 <= len(few.kept) <= 100
    assert few.kept[-1] == 5000
    assert set(zip(*few, strict=True)) <= set(zip(*found.curve, strict=True))


def test_replicates_leave_groups_out() -> None:
    """The interval rests on the same number without each group."""
    rng = np.random.default_rng(5)
    values, right, groups = rng.random(200), rng.random(200) > 0.3, rng.integers(0, 5, 200)
    found = risk_coverage(values, right, groups, 5)
    assert len(found.replicates) == 5
    for number, replicate in enumerate(found.replicates):
        kept = groups != number
        assert replicate == risk_coverage(values[kept], right[kept], _NOBODY, 0).aurc
    assert found.aurc_ci is not None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.sampled_from(["0.05", "0.1", "0.25", "0.5", "0.9"]))
def test_share_is_never_exceeded(values: list[int], share: str) -> None:
    """A tie block is unsure as a whole or not at all: the lowest threshold that keeps the promise."""
    allowed = int(Fraction(share) * len(values))
    found = at_share(np.array(values, float), Fraction(share))
    fits = [t for t in {*values} if sum(v >= t for v in values) <= allowed]
    assert found.value == (min(fits) if fits else None)
    assert found.chosen_by is ChosenBy.SHARE


def test_split_counts_both_sides() -> None:
    """An image at the threshold is unsure."""
    values, right = np.array([0.1, 0.2, 0.2, 0.3]), np.array([True, True, False, False])
    found = split(values, 0.2, right)
    assert found == (3, 1, 1, 1)
    assert found.to_json()["accuracy_unsure"] == 1 / 3
    assert split(values, None, right).to_json()["accuracy_unsure"] is None
    assert split(values, 0.2, None).to_json()["accuracy_sure"] is None
