"""The numbers of metadata checks beside slow ones that are obviously right."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from evaljobs.audit.classifier import classify_labels, classify_pairs
from evaljobs.audit.fields import MOST_VALUES, TOGETHER, fields_of
from evaljobs.audit.permuting import _Family, can_tell, permutation_test
from evaljobs.audit.telling import FOLDS, tell_labels, tell_pairs
from evaljobs.audit.units import units_of


def table(n, seed, **columns):
    rng = np.random.default_rng(seed)
    made = {
        "format": rng.choice(["JPEG", "PNG", None], n, p=[0.6, 0.3, 0.1]).tolist(),
        "jpeg_quality": [None if value < 60 else int(value) for value in rng.integers(50, 95, n)],
        "width": rng.integers(1, 5, n).tolist(),
    }
    return pa.table({**made, **columns})


def field(name, samples):
    (found,) = [one for one in fields_of(samples) if one.name == name]
    return found


def test_fields_that_never_differ_are_left_out():
    """A constant tells nothing; that some have a value and others none does."""
    samples = pa.table({"format": ["PNG"] * 4, "camera": ["A", None, "A", None], "icc": [None] * 4})
    samples = samples.append_column("mode", pa.array(["L", "RGB", "L", "L"]))
    assert [one.name for one in fields_of(samples)] == ["mode", "camera", TOGETHER]
    assert field("camera", samples).n_known == 2


def test_numbers_are_cut_into_classes_of_like_size():
    """Ascending, equal numbers together, without a value last."""
    values = [*np.random.default_rng(0).normal(100, 30, 990).round(1).tolist(), *[None] * 10]
    found = field("bytes_per_pixel", pa.table({"bytes_per_pixel": values}))
    assert found.n_codes == 17
    counts = np.bincount(found.codes)
    assert counts[-1] == 10
    assert counts[:-1].min() > 50
    known = np.array(values[:990])
    assert all(found.codes[:990][np.argsort(known, kind="stable")][1:] >= found.codes[:990][np.argsort(known)][:-1])
    assert len({found.codes[row] for row in np.flatnonzero(known == known[0])}) == 1


def test_the_rarest_of_many_names_are_one():
    """A name of its own for each image would tell every label, and nothing."""
    cameras = [f"rare {n}" for n in range(500)] + ["common"] * 100
    found = field("camera", pa.table({"camera": cameras}))
    assert (found.n_codes, found.n_values) == (MOST_VALUES, 501)
    assert len(set(found.codes[500:].tolist())) == 1


def test_bytes_inside_containers_are_known():
    """There the size of an image is not listed, and follows from bytes per pixel."""
    samples = pa.table({"width": [3, 3], "height": [7, 7], "bytes_per_pixel": [100 / 21, 113 / 21]})
    assert field("size", samples).n_values == 2
    assert [one.name for one in fields_of(samples)] == ["size", "bytes_per_pixel"]


@pytest.mark.parametrize("n_labels", [4, 60])
def test_statistics_are_those_of_scipy(n_labels):
    """Pearson's chi-squared and Kruskal and Wallis' H, up to a constant and a factor, in every order.

    Of few labels, and of so many that nearly every cell of a field against labels is empty.
    """
    samples = table(80, 1)
    fields = fields_of(samples)
    rng = np.random.default_rng(2)
    labels = np.unique(rng.integers(0, n_labels, 80), return_inverse=True)[1]
    n_labels = labels.max() + 1
    assert (len(labels) < min(one.n_codes for one in fields) * n_labels) == (n_labels > 4)
    family = _Family(fields, np.bincount(labels))
    orders = [rng.permutation(labels) for _ in range(5)]
    ours = np.array([family.statistics(order) for order in orders])
    assert family.owners.tolist() == [0, 1, 2, 3, 1, 2]
    for number, one in enumerate(fields):
        chi = [
            stats.chi2_contingency(stats.contingency.crosstab(one.codes, order).count, correction=False).statistic
            for order in orders
        ]
        assert np.allclose(np.diff(ours[:, number]), np.diff(chi))
    for number, one in enumerate([one for one in fields if one.ranks is not None], start=len(fields)):
        h = [stats.kruskal(*(one.ranks[order == label] for label in range(n_labels))).statistic for order in orders]
        factor = np.ptp(ours[:, number]) / np.ptp(h)
        assert np.allclose(np.diff(ours[:, number]), factor * np.diff(h))


def test_p_values_are_at_most_their_level_where_nothing_tells_anything():
    """Of 400 clean sets at level 10%, 40 are expected; the family's smallest p counts, over all fields."""
    samples = table(60, 3)
    fields = fields_of(samples)
    labels = np.repeat([0, 1, 2], 20)
    rng = np.random.default_rng(4)
    p = [permutation_test(fields, rng.permutation(labels), 3, permutations=39, seed=n).family for n in range(400)]
    assert 18 <= sum(value <= 0.1 for value in p) <= 62


def test_a_leak_has_the_smallest_p_there_is():
    """One in as many orders as there were."""
    samples = table(60, 5)
    labels = np.array([0 if value == "JPEG" else 1 for value in samples["format"].to_pylist()])
    found = permutation_test(fields_of(samples), labels, 2, permutations=199)
    assert found.p["format"] == found.family == 1 / 200
    assert permutation_test([], labels, 2).family == 1.0


@pytest.mark.parametrize(
    ("sizes", "enough"),
    [
        ([4, 4], False),
        ([5, 5], True),
        ([1] * 50, False),
        ([99, 1], True),
        ([98, 1], False),
        ([2, 2, 2], False),
        ([], False),
    ],
)
def test_as_many_orders_as_the_level_asks_for_must_exist(sizes, enough):
    """Counted by hand: 8! / 4! 4! 2 = 35 orders of two labels with four images each, 126 of five each."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    assert can_tell(labels) is enough


def test_pairs_are_told_as_by_looking_at_all_of_them():
    """AUROC over every pair, of names and of numbers, those without a value included."""
    samples = table(70, 6)
    labels = np.random.default_rng(7).integers(0, 5, 70)
    a, b = np.triu_indices(70, 1)
    genuine = labels[a] == labels[b]
    for one in fields_of(samples):
        if one.ranks is None:
            near = (one.codes[a] == one.codes[b]).astype(float)
        else:
            missing = (one.codes == one.n_codes - 1) & (one.n_known < 70)
            # Those without a value lie beyond the last one.
            places = np.where(missing, 2 * one.n_codes, one.codes)
            near = -np.abs(places[a] - places[b])
        assert tell_pairs(one, labels, 5) == pytest.approx(roc_auc_score(genuine, near), abs=1e-12)


def test_pairs_of_one_kind_have_no_auroc():
    """One label has no impostor, single images no genuine pair."""
    one = field("format", table(6, 8))
    assert tell_pairs(one, np.zeros(6, int), 1) is None
    assert tell_pairs(one, np.arange(6), 6) is None


def test_labels_are_told_as_by_scoring_each_fold():
    """Shares of a class among the other folds, AUROC within each fold, weighted by pairs."""
    samples = table(200, 9)
    rng = np.random.default_rng(10)
    labels, folds = rng.integers(0, 3, 200), rng.integers(0, FOLDS, 200)
    one = field("jpeg_quality", samples)
    expected = []
    for label in range(3):
        own, prior = labels == label, (labels == label).mean()
        wins = pairs = 0.0
        for fold in range(FOLDS):
            inside = folds == fold
            shares = [
                ((own & ~inside & (one.codes == code)).sum() + prior) / ((~inside & (one.codes == code)).sum() + 1)
                for code in one.codes[inside]
            ]
            n = own[inside].sum() * (~own[inside]).sum()
            wins, pairs = wins + n * roc_auc_score(own[inside], shares), pairs + n
        expected.append(wins / pairs)
    found = tell_labels(one, labels, 3, folds)
    assert found.auroc == pytest.approx(np.average(expected, weights=np.bincount(labels)))
    assert any(found.label_auroc == pytest.approx(value) for value in expected)


def test_a_name_for_each_image_tells_no_label():
    """Scored by other parts of the set, values that never come again say nothing."""
    rng = np.random.default_rng(11)
    samples = pa.table({"camera": [f"camera {n}" for n in range(200)]})
    labels, folds = rng.integers(0, 2, 200), rng.integers(0, FOLDS, 200)
    found = tell_labels(field("camera", samples), labels, 2, folds)
    assert found.auroc == pytest.approx(0.5, abs=0.1)
    assert not found.beyond_chance


def test_copies_are_in_one_fold_and_labels_in_all():
    """A copy under another label is never judged by its own image."""
    digests = pa.array([bytes([n % 40]) * 32 for n in range(80)], pa.binary(32))
    labels = ["a" if n < 40 else "b" for n in range(80)]
    units = units_of(labels, digests, 1000, 0)
    assert len(units.rows) == 80
    first, second = units.folds[:40], units.folds[40:]
    assert (first == second).all()
    assert np.bincount(first, minlength=FOLDS).tolist() == [8] * FOLDS


def test_of_many_images_labels_alike_are_taken():
    """A rare class keeps its images; thousands of classes keep genuine pairs."""
    digests = pa.array([n.to_bytes(32, "big") for n in range(5000)], pa.binary(32))
    rare = units_of(["a"] * 4900 + ["b"] * 100, digests, 1000, 0)
    assert np.bincount(rare.labels).tolist() == [500, 100]
    many = units_of([str(n // 5) for n in range(5000)], digests, 1000, 0)
    assert len(many.rows) == 1000
    assert np.bincount(many.labels).tolist() == [5] * 200
    assert units_of([], digests[:0], 1000, 0).rows.tolist() == []


def test_the_classifier_sees_what_fields_say_together():
    """Two balanced fields of which only the pair tells the label: it is found, and chance is not."""
    rng = np.random.default_rng(12)
    coin, labels = rng.integers(0, 2, 300), rng.integers(0, 2, 300)
    samples = pa.table({"mode": np.where(coin == 1, "L", "RGB"), "icc": (coin == labels).tolist()})
    folds = rng.integers(0, FOLDS, 300)
    fields = [one for one in fields_of(samples) if one.name != TOGETHER]
    assert classify_labels(fields, labels, folds) > 0.99
    assert classify_pairs(fields, labels, folds) > 0.99
    other = rng.integers(0, 2, 300)
    assert classify_labels(fields, other, folds) == pytest.approx(0.5, abs=0.1)


def test_the_classifier_is_the_same_each_time_and_knows_its_limits():
    """A seed decides; too many classes, too few images and no field have no AUROC."""
    samples = table(200, 13)
    fields, folds = fields_of(samples), np.arange(200) % FOLDS
    labels = np.random.default_rng(14).integers(0, 3, 200)
    assert classify_labels(fields, labels, folds) == classify_labels(fields, labels, folds)
    assert classify_pairs(fields, labels, folds) == classify_pairs(fields, labels, folds)
    assert classify_labels(fields, np.arange(200) // 8, folds) is None
    assert classify_labels([], labels, folds) is None
    assert classify_pairs(fields, np.arange(200), folds) is None
