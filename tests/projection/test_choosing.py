"""Which images of a large set are shown: an honest choice, the same for everybody, that hardly moves."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pytest

from evaljobs.projection.choosing import LEAST_OF_A_LABEL, Sampling, choose


def digests_of(names: range) -> list[bytes]:
    return [hashlib.sha256(str(name).encode()).digest() for name in names]


def test_few_images_are_all_shown_in_an_order_of_their_own() -> None:
    """Where all fit, nothing is chosen; the order follows from the images and not from the set."""
    digests, labels = digests_of(range(50)), [str(n % 3) for n in range(50)]
    chosen = choose(digests, labels, 50, Sampling.LABELS)
    assert chosen.sampling is Sampling.ALL
    assert sorted(chosen.rows.tolist()) == list(range(50))
    backwards = choose(digests[::-1], labels[::-1], 50, Sampling.LABELS)
    assert [digests[n] for n in chosen.rows] == [digests[::-1][n] for n in backwards.rows]


@pytest.mark.parametrize("sampling", [Sampling.LABELS, Sampling.RANDOM])
def test_the_choice_does_not_depend_on_the_order(sampling: Sampling) -> None:
    """A set that is listed otherwise shows the same images in the same order."""
    digests, labels = digests_of(range(2000)), [str(n % 17) for n in range(2000)]
    order = np.random.default_rng(0).permutation(2000)
    chosen = choose(digests, labels, 300, sampling)
    shuffled = choose([digests[n] for n in order], [labels[n] for n in order], 300, sampling)
    assert chosen.sampling is sampling
    assert chosen.rows.tolist() == order[shuffled.rows].tolist()
    assert len(set(chosen.rows.tolist())) == 300


def test_few_labels_are_shown_alike() -> None:
    """Of ten labels, one of them with nine tenths of the images, each has as many points."""
    labels = ["large"] * 9000 + [f"small{n % 9}" for n in range(1000)]
    chosen = choose(digests_of(range(10_000)), labels, 1000, Sampling.LABELS)
    assert set(Counter(labels[n] for n in chosen.rows).values()) == {100}


def test_many_labels_are_shown_with_enough_images_each() -> None:
    """Of a thousand labels of twenty images, those that are shown are groups and not single points."""
    labels = [str(n % 1000) for n in range(20_000)]
    chosen = choose(digests_of(range(20_000)), labels, 1000, Sampling.LABELS)
    assert set(Counter(labels[n] for n in chosen.rows).values()) == {LEAST_OF_A_LABEL}


def test_small_labels_are_shown_whole() -> None:
    """Identities with five images each are not torn apart."""
    labels = [str(n % 4000) for n in range(20_000)]
    counts = Counter(labels[n] for n in choose(digests_of(range(20_000)), labels, 1000, Sampling.LABELS).rows)
    assert set(counts.values()) == {5}
    assert len(counts) == 200


def test_at_random_labels_have_their_shares() -> None:
    """Each image has the same chance: three standard deviations of the binomial distribution."""
    labels = ["large"] * 9000 + ["small"] * 1000
    chosen = choose(digests_of(range(10_000)), labels, 1000, Sampling.RANDOM)
    small = sum(labels[n] == "small" for n in chosen.rows)
    assert abs(small - 100) < 3 * np.sqrt(1000 * 0.1 * 0.9)


@pytest.mark.parametrize("sampling", [Sampling.LABELS, Sampling.RANDOM])
def test_more_images_move_few(sampling: Sampling) -> None:
    """A set that grew by a hundredth shows nearly the same images: pictures of two nights can be compared."""
    digests, labels = digests_of(range(10_100)), [str(n % 10) for n in range(10_100)]
    before = set(choose(digests[:10_000], labels[:10_000], 1000, sampling).rows.tolist())
    after = set(choose(digests, labels, 1000, sampling).rows.tolist())
    assert 0 < len(before - after) < 30


def test_another_seed_is_another_choice() -> None:
    """Whoever doubts a picture draws another one."""
    digests, labels = digests_of(range(5000)), ["a"] * 5000
    one, other = (set(choose(digests, labels, 500, Sampling.RANDOM, seed).rows.tolist()) for seed in (0, 1))
    assert len(one & other) < 100


def test_copies_are_chosen_like_others() -> None:
    """Images that are there twice have one hash: no error, and no place twice."""
    digests, labels = digests_of(range(100)) * 2, ["a"] * 100 + ["b"] * 100
    chosen = choose(digests, labels, 60, Sampling.LABELS)
    assert len(set(chosen.rows.tolist())) == 60
