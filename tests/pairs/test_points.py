"""Operating points: the integers, the flags, and agreement with scikit-learn."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from evaljobs.pairs import auroc
from evaljobs.pairs.count import Counts
from evaljobs.pairs.points import Flag, Found, allowed_at, find_sorted, to_point

SCORES = st.lists(st.integers(-3, 12).map(lambda v: v / 4), max_size=25)


@pytest.mark.parametrize(
    ("target", "n", "allowed"), [(0.29, 100, 29), (0.57, 100, 57), (1e-5, 99_999, 0), (1e-5, 100_000, 1), (1.0, 7, 7)]
)
def test_allowed_is_computed_in_decimals(target: float, n: int, allowed: int) -> None:
    """0.29 x 100 is 29, though in floats it is 28.999999999999996."""
    assert allowed_at(target, n) == allowed


def test_floats_would_allow_less() -> None:
    """The trap above is a real one."""
    assert int(0.29 * 100) == 28


@given(SCORES, SCORES, st.integers(0, 30))
def test_a_point_is_where_scikit_learn_ends(impostor: list[float], genuine: list[float], allowed: int) -> None:
    """The last point of roc_curve, all points kept, with no more false positives than allowed."""
    if not impostor or not genuine:
        return
    found = find_sorted(np.sort(impostor), np.sort(genuine), allowed)
    truth = np.repeat([False, True], [len(impostor), len(genuine)])
    fpr, tpr, thresholds = roc_curve(truth, impostor + genuine, drop_intermediate=False)
    last = np.flatnonzero(np.rint(fpr * len(impostor)) <= allowed)[-1]
    assert found.false_positives == round(fpr[last] * len(impostor))
    assert found.true_positives == round(tpr[last] * len(genuine))
    assert found.threshold == (None if last == 0 else thresholds[last])
    rejected = [s for s in impostor if found.threshold is None or s < found.threshold]
    assert found.blocker == max(rejected, default=None)


@pytest.mark.parametrize(
    ("impostor", "genuine", "allowed", "flags"),
    [
        ([1, 2, 3], [4], 0, {Flag.UNRESOLVED, Flag.FEW_ERRORS}),
        ([1, 2, 3], [3], 0, {Flag.UNRESOLVED, Flag.FEW_ERRORS, Flag.NOTHING_ACCEPTED}),
        ([1, 2, 3], [3], 1, {Flag.FEW_ERRORS}),
        ([1, 2, 2], [3], 1, {Flag.FEW_ERRORS, Flag.TIED}),
        ([2, 2, 2], [1], 1, {Flag.FEW_ERRORS, Flag.TIED, Flag.NOTHING_ACCEPTED}),
        ([1, 2, 3], [], 1, {Flag.FEW_ERRORS, Flag.NO_GENUINE}),
        (list(range(31)), [40], 30, set()),
        (list(range(31)), [40], 29, {Flag.FEW_ERRORS}),
        (list(range(31)), [0], 31, set()),
        ([], [1], 0, {Flag.NO_IMPOSTORS}),
    ],
)
def test_flags_say_what_must_be_known(
    impostor: list[float], genuine: list[float], allowed: int, flags: set[Flag]
) -> None:
    """Each flag where it belongs, and nowhere else."""
    found = find_sorted(np.array(impostor, float), np.array(genuine, float), allowed)
    point = to_point(0.5, allowed, found, len(genuine), len(impostor))
    assert set(point.flags) == flags
    assert (point.tpr is None) == (not genuine or not impostor)
    assert (point.threshold is None) == bool(flags & {Flag.NOTHING_ACCEPTED, Flag.NO_IMPOSTORS})


def test_a_point_in_json_has_the_fields_of_the_contract() -> None:
    """Names as in results.json; undefined is null."""
    point = to_point(1e-5, 0, Found(0.5, None, 0, 0), 0, 10).to_json()
    assert point == {
        "target": 1e-5,
        "allowed": 0,
        "fpr": 0.0,
        "tpr": None,
        "tpr_ci": None,
        "tpr_balanced": None,
        "threshold": None,
        "next_impostor_score": 0.5,
        "false_positives": 0,
        "true_positives": 0,
        "flags": ["unresolved", "few_errors", "nothing_accepted", "no_genuine"],
    }


@given(SCORES, SCORES)
def test_auroc_counts_ties_one_half(impostor: list[float], genuine: list[float]) -> None:
    """Exactly the count over all couples, rounded once; scikit-learn agrees up to its own rounding."""
    found = auroc.from_sorted(np.sort(impostor), np.sort(genuine))
    if not impostor or not genuine:
        assert found is None
        return
    twice = sum((g > i) + (g >= i) for g in genuine for i in impostor)
    assert found is not None
    assert found.value == twice / (2 * len(impostor) * len(genuine))
    assert found.bounds == (found.value, found.value)
    assert found.exact
    truth = np.repeat([False, True], [len(impostor), len(genuine)])
    assert found.value == pytest.approx(roc_auc_score(truth, impostor + genuine), abs=1e-12)


BINNED = st.lists(st.integers(0, 9), max_size=25)


@given(BINNED, BINNED, st.integers(1, 3))
def test_bounds_are_all_that_bins_can_tell(impostor: list[int], genuine: list[int], reach: int) -> None:
    """Couples out of reach are counted, those within may go either way; floats are rounded outwards."""
    counts = Counts(np.bincount(impostor, minlength=10), np.bincount(genuine, minlength=10))
    found = auroc.from_counts(Counts(counts.impostor.astype(np.int64), counts.genuine.astype(np.int64)), reach)
    if not impostor or not genuine:
        assert found is None
        return
    couples = len(impostor) * len(genuine)
    low = Fraction(sum(g - i > reach for g in genuine for i in impostor), couples)
    high = Fraction(sum(g - i >= -reach for g in genuine for i in impostor), couples)
    assert found is not None
    if low == high:
        assert found == auroc.Auroc(float(low), (float(low), float(low)), exact=True)
        return
    assert found.value == float((low + high) / 2)
    assert not found.exact
    assert Fraction(found.bounds[0]) <= low
    assert Fraction(found.bounds[1]) >= high
    assert found.bounds == pytest.approx((float(low), float(high)), abs=1e-15)


def test_couples_may_be_more_than_64_bits_count() -> None:
    """A million images have 5e11 impostor pairs: the product with the genuine ones must not wrap round."""
    counts = Counts(np.array([5 * 10**11, 0, 0, 0, 0, 10**11]), np.array([10**10, 0, 0, 0, 0, 10**11]))
    found = auroc.from_counts(counts, reach=1)
    assert found is not None
    couples = 11 * 6
    assert found.bounds == pytest.approx(((10 * 5) / couples, 1 - 1 / couples))
