"""The filter never lies further from the score than its bound says, and its bins say no more than they know."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evaljobs.pairs.bins import SCALE, Bins, filter_error
from evaljobs.pairs.samples import prepare
from tests.pairs.products import values_of

Rows = NDArray[np.float32]
DIMENSIONS = (1, 2, 3, 16, 128, 512, 2048)


def lossy(d: int) -> Rows:
    """Return two rows whose float32 sum loses nearly half a unit in the last place at every step.

    The first product is one half; each further one is just under half a unit in its last place, and lost when it is
    added in index order. The last two dimensions bring the rows to length one and add nothing.
    """
    small = math.sqrt(2.0**-25 * 0.999)
    shared = [math.sqrt(0.5), *[small] * (d - 3)]
    rest = math.sqrt(1 - sum(v * v for v in shared))
    return np.array([[*shared, rest, 0.0], [*shared, 0.0, rest]], np.float32)


def sums(x: Rows, y: Rows) -> dict[str, float]:
    """Return float32 products of two rows, summed in several orders."""
    products = x * y
    forward, backward, wide = np.float32(0), np.float32(0), np.float32(0)
    for p, q in zip(products, products[::-1], strict=True):
        forward, backward = forward + p, backward + q
    for a, b in zip(x.astype(np.float64), y.astype(np.float64), strict=True):
        wide = np.float32(np.float64(wide) + a * b)  # one rounding a step, as fused
    return {
        "forward": float(forward),
        "backward": float(backward),
        "fused": float(wide),
        "pairwise": float(products.sum()),
        "blas": float((x[np.newaxis] @ y[:, np.newaxis])[0, 0]),
    }


@pytest.mark.parametrize("d", [64, 128, 512, 2048])
def test_the_bound_holds_where_rounding_is_worst(oracle: Any, d: int) -> None:
    """At the edge: sums that lose at every step stay within the bound, and come to nearly half of it."""
    samples = prepare(lossy(d), [0, 1])
    exact = oracle.score_by_hand(*samples.rows)
    found = sums(*samples.unit) | {"of a scan": values_of(samples, 2)[0, 1]}
    errors = {order: abs(f - exact) for order, f in found.items()}
    assert errors
    assert max(errors.values()) <= filter_error(d)
    assert errors["forward"] > 0.4 * filter_error(d)


@pytest.mark.parametrize("d", DIMENSIONS)
@pytest.mark.parametrize("spread", [0, 3, 38])
def test_the_bound_holds_for_the_product_that_is_used(oracle: Any, d: int, spread: int) -> None:
    """Plain, lopsided, tiny and huge rows, through the library's product and that of a scan."""
    rng = np.random.default_rng(d + spread)
    n = 60
    rows = rng.standard_normal((n, d)) * 10.0 ** rng.integers(-spread, spread + 1, (n, d)) + (spread == 0)
    rows = np.clip(rows, -3e38, 3e38).astype(np.float32)
    rows[:10] = np.abs(rows[10:20])  # rows of one sign, whose sums only grow
    rows[20:25] = rows[25:30]
    rows[30:35] = -rows[25:30]
    rows[~rows.any(axis=1)] = 1e-45
    samples = prepare(rows, range(n))
    exact = oracle(rows, range(n)).matrix
    assert np.abs((samples.unit @ samples.unit.T).astype(np.float64) - exact).max() <= filter_error(d)
    found = values_of(samples, n)
    assert len(found) == n * (n - 1) // 2
    assert max(abs(value - exact[pair]) for pair, value in found.items()) <= filter_error(d)


def test_the_bound_is_known() -> None:
    """Its size, as the documentation states it."""
    assert [f"{filter_error(d):.2e}" for d in (128, 256, 512)] == ["7.75e-06", "1.54e-05", "3.06e-05"]
    assert all(filter_error(d) < filter_error(d + 1) for d in range(1, 3000))


@pytest.mark.parametrize("d", [1, 128, 2048, 2**20])
def test_a_bin_encloses_its_scores(d: int) -> None:
    """Values at and beside every edge that can occur lie in a bin whose bounds enclose all scores they can have."""
    bins = Bins(d)
    most = 1 + filter_error(d)
    edges = (np.arange(-SCALE, SCALE + 1) / SCALE).astype(np.float32)
    ends = np.array([-most, most, 0, 1e-45, -1e-45], np.float32)
    around = (edges, np.nextafter(edges, np.float32(2)), np.nextafter(edges, np.float32(-2)), edges + np.float32(1e-5))
    values = np.sort(np.concatenate((*around, ends)))
    found = bins.of(values)
    assert found.min() >= 0
    assert found.max() < bins.count
    assert (np.diff(found) >= 0).all()
    low = (found - bins.zero) / SCALE - bins.error
    assert (low <= values.astype(np.float64) - filter_error(d)).all()
    high = (found + 1 - bins.zero) / SCALE + bins.error
    assert (high >= values.astype(np.float64) + filter_error(d)).all()
    assert (low[:100].tolist(), high[:100].tolist()) == tuple(
        [f(int(b)) for b in found[:100]] for f in (bins.low, bins.high)
    )


@pytest.mark.parametrize("d", [1, 128, 256, 2048])
def test_bins_out_of_reach_are_in_order(d: int) -> None:
    """Beyond `reach` the order is certain; at `reach` it is not."""
    bins = Bins(d)
    for b in (0, 7, bins.zero, bins.count - 2 * bins.reach - 2):
        assert bins.low(b + bins.reach + 1) > bins.high(b)
        assert bins.low(b + bins.reach) <= bins.high(b)


@pytest.mark.parametrize("d", [1, 256])
def test_overlapping_bins_are_all_that_can_hold_an_interval(d: int) -> None:
    """No bin outside of the window can hold a score of the interval; the window is no wider than needed plus one."""
    bins = Bins(d)
    rng = np.random.default_rng(0)
    for low, width in zip(rng.uniform(-1, 1, 50), rng.choice([0, 1e-7, 1e-4, 0.1], 50), strict=True):
        first, last = bins.overlapping(low, low + width)
        assert bins.high(first - 1) < low
        assert bins.low(last + 1) > low + width
        assert bins.high(first + 1) >= low
        assert bins.low(last - 2) <= low + width
