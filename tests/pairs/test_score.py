"""The compiled definition of a score equals the one written down in plain Python, to the last bit."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from evaljobs.pairs import score
from evaljobs.pairs.keys import from_key, to_key, to_keys
from evaljobs.pairs.samples import prepare

Rows = NDArray[np.float32]


def every_kernel(rows: Rows) -> list[NDArray[np.float64]]:
    """Score all pairs of rows, ``[n, n]``, in each way there is."""
    n = len(rows)
    norm = score.norms(rows)
    unit = score.normalise(rows, norm)
    block = np.empty((n, n))
    score.score_block(unit, np.ascontiguousarray(unit.T), block)
    i, j = (a.ravel() for a in np.mgrid[:n, :n])
    dense = score.score_some(unit, unit, i, j)
    each = [score.score_some(unit, unit, i[p : p + 1], j[p : p + 1]) for p in range(n * n)]
    listed = score.score_pairs(rows, np.arange(n), norm, i, j)
    return [a.reshape(n, n) for a in (block, dense, np.concatenate(each), listed)]


def fused(x: list[float], y: list[float]) -> float:
    """Sum products with one rounding a step, as a fused multiply-add would."""
    total = 0.0
    for a, b in zip(x, y, strict=True):
        total = float(Fraction(a) * Fraction(b) + Fraction(total))
    return total


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 7, 8, 31, 64])
def test_every_kernel_is_the_definition(oracle: Any, d: int) -> None:
    """Blocks, lists and single pairs, any number of dimensions: the same bits as plain Python."""
    rows = np.random.default_rng(d).standard_normal((13, d)).astype(np.float32)
    expected = np.array([[oracle.score_by_hand(x, y) for y in rows] for x in rows])
    for found in every_kernel(rows):
        assert np.array_equal(found, expected)
    assert np.array_equal(oracle(rows, range(13)).matrix, expected)


def test_no_step_is_fused(oracle: Any) -> None:
    """Where a fused multiply-add would change the last bits, no kernel has those bits."""
    rows = np.random.default_rng(3).standard_normal((16, 40)).astype(np.float32)
    unit = score.normalise(rows, score.norms(rows)).tolist()
    by_fusing = np.array([[fused(x, y) for y in unit] for x in unit])
    expected = np.array([[oracle.score_by_hand(x, y) for y in rows] for x in rows])
    assert (by_fusing != expected).mean() > 0.5  # or the data could not show it
    for found in every_kernel(rows):
        assert np.array_equal(found, expected)


@given(hnp.arrays(np.float32, st.tuples(st.integers(2, 5), st.integers(1, 6)), elements=st.floats(width=32)))
def test_any_finite_row_has_a_score(rows: Rows) -> None:
    """Subnormal and huge values neither overflow nor vanish; a score is within rounding of [-1, 1]."""
    assume((np.isfinite(rows).all(axis=1) & rows.any(axis=1)).all())
    for found in every_kernel(rows):
        assert np.isfinite(found).all()
        assert (np.abs(found) <= 1 + 1e-14).all()
        assert np.array_equal(found, found.T)


def test_norms_are_summed_in_index_order() -> None:
    """A sum in another order (pairwise, as numpy has it) would give other bits."""
    rows = np.random.default_rng(0).standard_normal((50, 300)).astype(np.float32)
    expected = []
    for row in rows.tolist():
        total = 0.0
        for value in row:
            total += value * value
        expected.append(math.sqrt(total))
    assert score.norms(rows).tolist() == expected
    assert np.linalg.norm(rows.astype(np.float64), axis=1).tolist() != expected


def test_samples_score_by_position(oracle: Any) -> None:
    """After sorting by label, positions still lead to their own rows and norms."""
    rng = np.random.default_rng(5)
    rows = (rng.standard_normal((40, 6)) * 10.0 ** rng.integers(-20, 20, (40, 1))).astype(np.float32)
    labels = rng.integers(0, 7, 40)
    samples = prepare(rows, labels)
    i, j = np.triu_indices(40, 1)
    expected = oracle(rows, labels).matrix[samples.order[i], samples.order[j]]
    assert np.array_equal(samples.score_pairs(i, j), expected)
    assert np.array_equal(samples.labels[i] == samples.labels[j], labels[samples.order[i]] == labels[samples.order[j]])


@given(st.lists(st.floats(-2, 2), min_size=2, max_size=20))
def test_keys_keep_the_order(scores: list[float]) -> None:
    """Keys compare as the scores do, and lead back to them."""
    keys = to_keys(np.array(scores))
    assert np.array_equal(np.argsort(keys, kind="stable"), np.argsort(scores, kind="stable"))
    assert [from_key(int(key)) for key in keys] == scores


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, 0.25, -3e-310, 5e-324, -5e-324])
def test_neighbouring_scores_are_neighbouring_keys(value: float) -> None:
    """No float lies between two adjacent keys, on either side of zero."""
    assert to_key(math.nextafter(value, math.inf)) == to_key(value) + 1
    assert to_key(math.nextafter(value, -math.inf)) == to_key(value) - 1
    assert to_key(-0.0) == to_key(0.0) == 0
