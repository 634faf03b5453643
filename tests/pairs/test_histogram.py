"""The distribution of scores: every pair in its bin, whichever way they were compared."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import evaljobs
from evaljobs.pairs.bins import HALF_SCALE, SCALE, Bins
from evaljobs.pairs.count import Counts
from evaljobs.pairs.histogram import from_counts

EDGES = np.linspace(-1, 1, 257)


def by_hand(scores: NDArray[np.float64]) -> list[int]:
    """Count, bin by bin, the scores from its lower edge up to its upper one; the last holds 1, and what exceeds it."""
    return [
        int(((scores >= (low if b else -2)) & (scores < (high if b < 255 else 2))).sum())
        for b, (low, high) in enumerate(itertools.pairwise(EDGES))
    ]


def data(seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Vectors of small integers: many equal ones, many opposite ones, many scores on edges of bins."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(-1, 2, (90, 4)).astype(np.float32)
    rows[:, 3] += 2
    return rows, rng.integers(0, 9, 90)


@pytest.mark.parametrize("seed", range(3))
def test_every_pair_is_in_its_bin(oracle: Any, verify_with: Any, seed: int) -> None:
    """Where all scores are held, the counts are those of the definition."""
    rows, labels = data(seed)
    truth = oracle(rows, labels)
    found = verify_with(rows, labels, (0.1,))
    table = found.scores_table()
    assert table["genuine"].to_pylist() == by_hand(truth.genuine)
    assert table["impostor"].to_pylist() == by_hand(truth.impostor)
    assert table["score_low"].to_pylist() == EDGES[:-1].tolist()
    assert table["score_high"].to_pylist() == EDGES[1:].tolist()
    assert found.curve_error == 0
    assert {str(field.type) for field in table.schema} == {"double", "int64"}


@pytest.mark.parametrize("seed", range(3))
def test_counts_of_the_filter_are_off_by_pairs_at_edges_alone(oracle: Any, verify_with: Any, seed: int) -> None:
    """What lies below an edge lies below it by the counts too, but for pairs within the error that the result tells."""
    rows, labels = np.random.default_rng(seed).standard_normal((90, 5)).astype(np.float32), data(seed)[1]
    truth = oracle(rows, labels)
    found = verify_with(rows, labels, (0.1,), collected=0)
    assert 0 < found.curve_error < 1e-5
    for kind in ("genuine", "impostor"):
        counted = getattr(found.histogram, kind)
        scores = getattr(truth, kind)
        assert counted.sum() == len(scores) > 0
        below = np.cumsum(counted)[:-1]
        assert all((scores < edge - found.curve_error).sum() <= n for edge, n in zip(EDGES[1:-1], below, strict=True))
        assert all(n <= (scores < edge + found.curve_error).sum() for edge, n in zip(EDGES[1:-1], below, strict=True))


def test_listed_pairs_are_counted_too(oracle: Any) -> None:
    """Each as often as it is listed."""
    rows, labels = data(5)
    pairs = np.array([[i, j] for i in range(40) for j in range(40, 60)] + [[0, 1], [0, 1]])
    found = evaljobs.verify_pairs(rows, pairs, labels, fpr=0.1)
    scores = oracle(rows, labels).matrix[pairs[:, 0], pairs[:, 1]]
    same = labels[pairs[:, 0]] == labels[pairs[:, 1]]
    assert found.histogram.genuine.tolist() == by_hand(scores[same])
    assert found.histogram.impostor.tolist() == by_hand(scores[~same])


@pytest.mark.parametrize("collected", [10**7, 0])
def test_equal_and_opposite_vectors_are_in_the_outer_bins(verify_with: Any, collected: int) -> None:
    """A score of 1, or a little more by rounding, is no pair that is lost."""
    rows = np.array([[1, 1, 1], [3, 3, 3], [-1, -1, -1], [-7, -7, -7]], np.float32)
    found = verify_with(rows, [0, 0, 1, 1], (0.1,), collected=collected)
    assert (found.histogram.genuine[255], found.histogram.genuine.sum()) == (2, 2)
    assert (found.histogram.impostor[0], found.histogram.impostor.sum()) == (4, 4)


@pytest.mark.parametrize("collected", [10**7, 0])
@pytest.mark.parametrize("labels", [[0] * 30, range(30)])
def test_a_kind_without_pairs_is_counted_as_none(verify_with: Any, collected: int, labels: Any) -> None:
    """All bins are there, with zeros."""
    rows = np.random.default_rng(1).standard_normal((30, 5)).astype(np.float32)
    found = verify_with(rows, labels, (0.1,), collected=collected)
    sums = found.histogram.genuine.sum(), found.histogram.impostor.sum()
    assert sorted(sums) == [0, 435]
    assert len(found.histogram.genuine) == 256


@pytest.mark.parametrize(("scale", "half"), [(SCALE, False), (HALF_SCALE, True), (SCALE, True)])
@pytest.mark.parametrize("d", [1, 512, 10**6])
def test_bins_of_every_filter_fall_into_these(scale: int, half: bool, d: int) -> None:
    """Each of the filter's bins is added to that in which it lies; those beyond 1 and -1 to the outermost."""
    bins = Bins(d, scale, half=half)
    rng = np.random.default_rng(d)
    counts = Counts(rng.integers(0, 9, bins.count), rng.integers(0, 9, bins.count))
    middles = (np.arange(bins.count) + 0.5 - bins.zero) / bins.scale
    found = from_counts(counts, bins)
    for kind in ("genuine", "impostor"):
        assert getattr(found, kind).tolist() == by_hand(np.repeat(middles.clip(-1.9, 1.9), getattr(counts, kind)))
