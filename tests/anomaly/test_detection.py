"""Telling anomalous from normal images: scikit-learn's points, AUROC by counting, intervals by leaving out."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

import evaljobs
from evaljobs.anomaly.concluding import Asked, conclude
from evaljobs.anomaly.groups import both_kinds
from evaljobs.anomaly.tables import Images
from evaljobs.classification.groups import keys_of_ids
from evaljobs.errors import InputError, UsageError
from evaljobs.pairs.intervals import auroc_ends, difference, interval

TARGETS = ("1e-3", "0.01", "0.05", "0.2", "1")


def drawn(seed: int, n: int = 400, *, ties: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Return scores, and which images are anomalous: about a fifth, with higher scores."""
    rng = np.random.default_rng(seed)
    anomalous = rng.random(n) < 0.2
    scores = rng.normal(size=n) + 1.5 * anomalous
    return (np.round(scores * 2) / 2 if ties else scores), anomalous


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_points_are_the_last_of_the_curve_within_the_target(seed: int, ties: bool) -> None:
    """As scikit-learn has it without dropping points; and counts are integers."""
    scores, anomalous = drawn(seed, ties=ties)
    found = evaljobs.detect_anomalies(scores, anomalous, TARGETS, groups=0)
    fpr, tpr, thresholds = roc_curve(anomalous, scores, drop_intermediate=False)
    n_normal, n_anomalous = int((~anomalous).sum()), int(anomalous.sum())
    assert (found.n_normal, found.n_anomalous) == (n_normal, n_anomalous)
    for text, point in zip(TARGETS, found.points, strict=True):
        counts = np.rint(fpr * n_normal).astype(int)
        last = np.flatnonzero(counts <= int(Fraction(text) * n_normal))[-1]
        assert (point.false_positives, point.true_positives) == (counts[last], round(tpr[last] * n_anomalous))
        assert point.threshold == (None if last == 0 else thresholds[last])
    assert found.auroc == pytest.approx(roc_auc_score(anomalous, scores), abs=1e-14)


def test_auroc_counts_every_couple() -> None:
    """Ties one half, rounded once."""
    scores, anomalous = drawn(1, ties=True)
    couples = [2 * (a > b) + (a == b) for a in scores[anomalous].tolist() for b in scores[~anomalous].tolist()]
    assert evaljobs.detect_anomalies(scores, anomalous, groups=0).auroc == sum(couples) / (2 * len(couples))


def test_flags_say_what_numbers_rest_on() -> None:
    """As those of verification: of 300 normal images, 1e-3 allows none of them, and 0.05 fewer than 30."""
    anomalous = np.arange(400) >= 300
    found = evaljobs.detect_anomalies(np.arange(400.0), anomalous, ("1e-3", "0.05", "0.2"), groups=0)
    assert [[str(flag) for flag in point.flags] for point in found.points] == [
        ["unresolved", "few_errors"],
        ["few_errors"],
        [],
    ]
    alike = evaljobs.detect_anomalies(np.zeros(400), anomalous, ("0.2",), groups=0)
    assert "nothing_accepted" in {str(flag) for flag in alike.points[0].flags}
    assert (alike.points[0].threshold, alike.points[0].tpr, alike.auroc) == (None, 0.0, 0.5)


def test_intervals_follow_from_leaving_groups_out() -> None:
    """Each replicate is the result without a group, computed from scratch."""
    scores, anomalous = drawn(2)
    ids = [f"image {place}" for place in range(len(scores))]
    found = evaljobs.detect_anomalies(scores, anomalous, TARGETS, ids=ids)
    groups = both_kinds(keys_of_ids(ids), anomalous, 20)
    assert found.intervals is not None
    for number in range(20):
        kept = groups.of != number
        alone = evaljobs.detect_anomalies(scores[kept], anomalous[kept], TARGETS, groups=0)
        assert found.intervals.replicates_auroc[number] == alone.auroc
        assert [tpr[number] for tpr in found.intervals.replicates_tpr] == [point.tpr for point in alone.points]
    assert found.auroc_ci == interval(found.auroc, found.intervals.replicates_auroc, auroc_ends)
    assert found.points[2].tpr_ci == interval(found.points[2].tpr, found.intervals.replicates_tpr[2])
    assert found.auroc_ci is not None
    assert found.auroc_ci[0] < found.auroc < found.auroc_ci[1]


def test_one_target_and_ids_as_an_array_will_do() -> None:
    """As for verifications: a target need not stand in a list."""
    scores, anomalous = drawn(3)
    listed = evaljobs.detect_anomalies(scores, anomalous, ("0.05",), ids=list(range(len(scores))))
    for fpr in ("0.05", 0.05):
        assert evaljobs.detect_anomalies(scores, anomalous, fpr, ids=np.arange(len(scores))) == listed


def test_groups_have_their_share_of_both_kinds() -> None:
    """Few anomalous images are spread over all groups; equal images are of one; their order does not matter."""
    anomalous = np.arange(500) >= 460
    keys = keys_of_ids([place % 490 for place in range(500)])
    groups = both_kinds(keys, anomalous, 20)
    assert np.bincount(groups.of[anomalous], minlength=20).min() >= 1
    assert (groups.of[:10] == groups.of[490:]).all()
    order = np.random.default_rng(0).permutation(500)
    assert (both_kinds(keys[order], anomalous[order], 20).of == groups.of[order]).all()
    assert both_kinds(keys[:39], anomalous[:39], 20).n == 0


def test_paired_differences_see_what_intervals_apart_cannot() -> None:
    """Two models on the same images: what is hard for both cancels out, and a small difference is real."""
    rng = np.random.default_rng(0)
    anomalous = np.arange(600) < 150
    common = rng.normal(size=600) + 1.2 * anomalous
    better = common + 0.25 * anomalous
    a, b = (evaljobs.detect_anomalies(scores, anomalous, ("0.1",)) for scores in (common, better))
    assert a.auroc_ci is not None
    assert b.auroc_ci is not None
    assert a.intervals is not None
    assert b.intervals is not None
    assert a.auroc_ci[1] > b.auroc_ci[0]
    between = difference(b.auroc, a.auroc, b.intervals.replicates_auroc, a.intervals.replicates_auroc)
    assert between is not None
    assert between.zero_inside is False


def test_bad_input_is_refused() -> None:
    """Each says what was found and what was expected."""
    scores, anomalous = drawn(0, 50)
    with pytest.raises(InputError, match="found 50 normal and 0 anomalous images"):
        evaljobs.detect_anomalies(scores, np.zeros(50, bool))
    with pytest.raises(InputError, match="found 0 normal and 50 anomalous images"):
        evaljobs.detect_anomalies(scores, np.ones(50, bool))
    with pytest.raises(InputError, match="found `anomalous` of int64"):
        evaljobs.detect_anomalies(scores, anomalous.astype(np.int64))
    with pytest.raises(InputError, match="NaN or infinite"):
        evaljobs.detect_anomalies(np.full(50, np.nan), anomalous)
    with pytest.raises(InputError, match="found 3 ids for 50 scores"):
        evaljobs.detect_anomalies(scores, anomalous, ids=[1, 2, 3])
    for groups in (1, -2, 2.5, "20"):
        with pytest.raises(InputError, match="found groups="):
            evaljobs.detect_anomalies(scores, anomalous, groups=groups)  # type: ignore[arg-type]  # what people give
    with pytest.raises(UsageError, match="fpr: 2 is not a false-positive rate"):
        evaljobs.detect_anomalies(scores, anomalous, ("2",))


def test_missing_intervals_are_explained() -> None:
    """With a single anomalous image one replicate has none."""
    one = Images(["a"] * 49 + ["b"], np.arange(50) == 49, keys_of_ids(range(50)), np.arange(50))
    result, _ = conclude(np.arange(50) % 37.0, one, Asked((0.1,), 20))
    assert (result["auroc_ci"], result["points"][0]["tpr_ci"]) == (None, None)
    assert result["notes"] == ["no intervals: all images of one kind are of one group, which is left out in turn"]


@pytest.mark.parametrize("scores", [[0.0, 1e-300, 3e-7, 0.5, 1.0], [0.0] * 5, [1.7] * 5, [0.2, 0.3, 0.4, 0.5, 0.6]])
def test_histograms_hold_every_score(scores: list[float]) -> None:
    """On the scale of the logarithm, 0 included: nothing falls out, and bins are whole decades cut evenly."""
    anomalous = np.array([False, True, False, True, True])
    keys = keys_of_ids(range(5))
    _, tables = conclude(np.array(scores), Images(list("abacc"), anomalous, keys, np.arange(5)), Asked((0.1,), 0))
    table = tables["scores"].to_pydict()
    assert (sum(table["normal"]), sum(table["anomalous"])) == (2, 3)
    assert len(table["normal"]) >= 100
    edges = [*table["score_low"], table["score_high"][-1]]
    assert table["score_low"][1:] == table["score_high"][:-1]
    assert edges[-1] >= max(scores)
    np.testing.assert_allclose(np.diff(np.log10(edges)), np.log10(edges[1] / edges[0]), rtol=1e-6)
