"""Intervals: each replicate leaves out one group of images, and images are grouped by what they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import evaljobs
from evaljobs.classification.classification import Classification
from evaljobs.classification.groups import grouped, keys_of_digests, keys_of_ids
from evaljobs.pairs.intervals import difference, interval

Draw = Callable[..., Any]


def classified(drawn: Any, **options: Any) -> Classification:
    return evaljobs.classify(drawn.scores, drawn.labels, **options)


@pytest.mark.parametrize(("n", "k", "skewed"), [(200, 4, False), (60, 20, True)])
def test_replicates_leave_out_one_group_each(draw: Draw, n: int, k: int, skewed: bool) -> None:
    """By brute force: classify anew without the images of each group; intervals follow from these numbers alone."""
    drawn = draw(n, k, seed=3, skewed=skewed)
    found = classified(drawn, groups=10)
    assert found.intervals is not None
    groups = grouped(keys_of_ids(range(n)), 10).of
    left = [evaljobs.classify(drawn.scores[groups != g], drawn.labels[groups != g]) for g in range(10)]
    assert found.intervals.accuracy == tuple(one.accuracy for one in left)
    assert found.intervals.balanced_accuracy == tuple(one.balanced_accuracy for one in left)
    assert found.intervals.macro_f1 == tuple(one.macro.f1 for one in left)
    for place, top in enumerate(found.top_k):
        assert found.intervals.top_k[place] == tuple(one.top_k[place].accuracy for one in left)
        assert top.accuracy_ci == interval(top.accuracy, found.intervals.top_k[place])
    assert found.accuracy_ci == interval(found.accuracy, found.intervals.accuracy)
    assert found.macro_f1_ci == interval(found.macro.f1, found.intervals.macro_f1)
    assert found.balanced_accuracy_ci == interval(found.balanced_accuracy, found.intervals.balanced_accuracy)
    stated = found.to_json()["intervals"]
    assert (stated["unit"], stated["groups"]) == ("sample", 10)
    assert stated["replicates"]["top_k"][0] == stated["replicates"]["accuracy"]


def test_groups_are_of_images_and_not_of_rows() -> None:
    """Equal images are of one group; the order of the rows changes nothing; groups have equally many, or one more."""
    ids = [f"image {i // 2}" for i in range(101)]
    of = grouped(keys_of_ids(ids), 7).of
    assert all(of[i] == of[i + 1] for i in range(0, 100, 2))
    sizes = np.bincount(of[::2])
    assert sizes.max() - sizes.min() <= 1
    order = np.random.default_rng(0).permutation(101)
    assert grouped(keys_of_ids([ids[i] for i in order]), 7).of.tolist() == of[order].tolist()


def test_digests_are_their_own_keys() -> None:
    """A digest is a hash already, and read as it stands, byte by byte."""
    digests = [bytes([b]) * 31 + bytes([a]) for a, b in ((0, 9), (1, 9), (0, 1), (0, 200))]
    assert grouped(keys_of_digests(b"".join(digests * 2)), 2).of.tolist() == [1, 0, 0, 1] * 2


def test_too_few_images_have_no_interval(draw: Draw) -> None:
    """Copies of an image are one image."""
    drawn = draw(39, 3)
    assert classified(drawn).intervals is None
    assert classified(drawn).accuracy_ci is None
    copies = evaljobs.classify(np.repeat(drawn.scores, 2, 0), np.repeat(drawn.labels, 2), ids=np.repeat(range(39), 2))
    assert copies.intervals is None
    assert classified(draw(40, 3)).intervals is not None
    assert classified(draw(40, 3), groups=0).intervals is None


def test_all_right_has_no_interval(draw: Draw) -> None:
    """Where no replicate varies nothing is claimed."""
    found = classified(draw(100, 3, skill=100))
    assert found.accuracy == 1
    assert found.accuracy_ci is None
    assert found.to_json()["accuracy_ci"] is None


def test_models_leave_out_the_same_images(draw: Draw) -> None:
    """Two models that make the same mistakes but for one have an exact difference, however wide each interval is."""
    drawn = draw(400, 5, skill=1.0)
    right = np.flatnonzero(drawn.scores.argmax(1) == drawn.labels)
    worse = drawn.scores.copy()
    worse[right[0]] = 0
    worse[right[0], (drawn.labels[right[0]] + 1) % 5] = 1
    order = [3, 1, 0, 4, 2]  # the other model's classes stand in another order
    names = np.array([f"c{i}" for i in range(5)])
    ids = [f"{i}.png" for i in range(400)]
    one = evaljobs.classify(drawn.scores, names[drawn.labels], list(names), ids=ids)
    two = evaljobs.classify(worse[:, order], names[drawn.labels], [names[i] for i in order], ids=ids)
    assert one.intervals is not None
    assert two.intervals is not None
    found = difference(one.accuracy, two.accuracy, one.intervals.accuracy, two.intervals.accuracy)
    assert found is not None
    assert found.value == pytest.approx(1 / 400)
    assert found.low is not None
    assert found.high is not None
    assert one.accuracy_ci is not None
    assert found.high - found.low < 0.3 * (one.accuracy_ci[1] - one.accuracy_ci[0])


def test_intervals_cover() -> None:
    """Of 300 draws of 300 images of skewed classes, about 95% of the intervals hold the number of the whole world."""
    rng = np.random.default_rng(3)

    def drawn(n: int) -> Classification:
        labels = rng.choice(5, n, p=[0.5, 0.25, 0.15, 0.07, 0.03])
        scores = rng.normal(size=(n, 5))
        scores[np.arange(n), labels] += np.array([2.5, 2, 1.5, 1.5, 1.0])[labels]
        return evaljobs.classify(scores.astype(np.float32), labels, top_k=(2,), groups=0 if n > 1000 else 20)

    world = drawn(400_000)
    true: list[Any] = [world.accuracy, world.balanced_accuracy, world.macro.f1, world.top_k[0].accuracy]
    held = np.zeros(4)
    for _ in range(300):
        found = drawn(300)
        cis = [found.accuracy_ci, found.balanced_accuracy_ci, found.macro_f1_ci, found.top_k[0].accuracy_ci]
        held += [ci is not None and ci[0] <= value <= ci[1] for ci, value in zip(cis, true, strict=True)]
    assert (held / 300 >= 0.915).all()
    assert (held / 300 <= 0.985).all()
