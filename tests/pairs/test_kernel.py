"""The compiled pass: its products are sums of their rows alone, and each pair of a piece is counted once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba.core.errors import TypingError
from numpy.typing import NDArray

from evaljobs.pairs.bins import Bins, filter_error
from evaljobs.pairs.kernel import FLAG, MOST_ROWS, SHAPE, WIDTH, Shape, count_piece, microkernel, pack, shape_for
from evaljobs.pairs.samples import MAX_DIMENSIONS, prepare
from evaljobs.pairs.spans import Spans
from tests.pairs.products import values_of

Rows = NDArray[np.float32]


def test_the_shape_follows_from_the_processor() -> None:
    """Wide registers are used where there are any; the rows of a shape divide what is counted at once."""
    shapes = [shape_for(features) for features in ("+avx2,+avx512f,+fma", "+avx2,-avx512f", "")]
    assert shapes == [Shape(8, 16, 2), Shape(6, 8, 2), Shape(6, 8, 2)]
    assert SHAPE in shapes
    assert all(MOST_ROWS % shape.rows == 0 for shape in shapes)
    assert all(shape.width % 16 == 0 for shape in shapes)  # blocks of pairs
    assert Bins(MAX_DIMENSIONS).count + max(shape.width for shape in shapes) <= 2**16  # numbers of bins have 16 bits


def test_the_shape_is_that_of_the_cache() -> None:
    """Who shares a cache between processors tells numba what they have in common; the shape follows that."""
    code = "from evaljobs.pairs.kernel import SHAPE; print(*SHAPE)"
    for features, shape in (("+avx2,+avx512f", "8 16 2"), ("", "6 8 2")):
        environment = {**os.environ, "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": features}
        told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert told.stdout.strip() == shape


@pytest.mark.parametrize(
    "unit", [np.ones((9, 4), np.float32, "F"), np.ones((9, 8), np.float32)[:, ::2], np.ones((9, 4))]
)
def test_other_layouts_are_refused(unit: NDArray[Any]) -> None:
    """Their addresses would be others."""
    spans = Spans(*np.zeros((4, 9), np.int32))
    with pytest.raises(TypingError, match="float32 arrays in C order"):
        counted(unit, (0, 9, 0, 9), 0, spans)


@pytest.fixture(scope="module", params=[Shape(6, 8, 2), Shape(8, 16, 2), Shape(1, 4, 1)], ids=str)
def multiply(request: pytest.FixtureRequest) -> tuple[Shape, Callable[..., None]]:
    """A microkernel of some shape, also one of registers that this processor has not: compilers take several then."""
    add = microkernel(request.param)

    @numba.njit
    def call(rows: Rows, some: tuple[int, int], part: tuple[int, int], panels: Rows, panel: int, sums: Rows) -> None:
        add(rows, some[0], some[1], part[0], part[1], panels, panel, sums, 5)

    return request.param, call


@pytest.mark.parametrize(("begin", "end"), [(0, 0), (0, 1), (0, 4), (0, 23), (3, 11), (22, 23)])
def test_a_microkernel_adds_to_its_sums(multiply: tuple[Shape, Any], begin: int, end: int) -> None:
    """Of the components that are asked for, of rows of which there are enough or too few; nothing else is written."""
    shape, call = multiply
    rng = np.random.default_rng(0)
    d, panel = 23, 7
    rows = rng.standard_normal((shape.rows + 4, d)).astype(np.float32)
    columns = rng.standard_normal((d, shape.width)).astype(np.float32)
    panels = np.concatenate((np.full(panel, np.nan, np.float32), columns.ravel()))
    for available in (shape.rows, 1, max(1, shape.rows - 1)):
        before = rng.standard_normal(5 + shape.rows * shape.width + 3).astype(np.float32)
        sums = before.copy()
        call(rows, (4, available), (begin, end), panels, panel, sums)
        chosen = rows[4 + np.minimum(np.arange(shape.rows), available - 1)]
        products = chosen[:, begin:end].astype(np.float64) @ columns[begin:end]
        assert np.allclose(sums[5:-3], before[5:-3] + products.ravel(), rtol=0, atol=1e-5)
        assert (sums[:5] == before[:5]).all()
        assert (sums[-3:] == before[-3:]).all()


def test_panels_hold_columns_side_by_side() -> None:
    """Component after component, and zeros where there is no further column."""
    rows = np.arange(40 * 3, dtype=np.float32).reshape(40, 3) + 1
    panels = np.full((WIDTH + 20) * 3, np.nan, np.float32)
    pack(rows, 2, 2 + WIDTH + 3, panels)
    assert (panels[: 3 * WIDTH].reshape(3, WIDTH) == rows[2 : 2 + WIDTH].T).all()
    second = panels[3 * WIDTH : 6 * WIDTH].reshape(3, WIDTH)
    assert (second[:, :3] == rows[2 + WIDTH : 5 + WIDTH].T).all()
    assert (second[:, 3:] == 0).all()


class _Counted(NamedTuple):
    """What was counted: pairs by bin, impostor and genuine, and all of the pairs with their values."""

    counts: NDArray[np.int32]
    pairs: dict[tuple[int, int], float]


def counted(unit: Rows, piece: tuple[int, int, int, int], packed_from: int, spans: Spans) -> _Counted:
    """Count a piece, with all bins flagged."""
    i0, i1, j0, j1 = piece
    bins = Bins(unit.shape[1])
    counters = np.full((2, bins.count + WIDTH), FLAG)
    counters[:, bins.count :] = 0
    panels = np.empty((j1 - packed_from + WIDTH) * unit.shape[1], np.float32)
    pack(unit, packed_from, j1, panels)
    some, area = MOST_ROWS * WIDTH, (i1 - i0) * (j1 - j0) + 1
    i, j, value = np.empty(area, np.int32), np.empty(area, np.int32), np.empty(area, np.float32)
    work = np.empty(some, np.float32), np.empty(some, np.uint16), np.empty(some + 1, np.int32)
    m = count_piece(unit, *piece, *spans, *bins.affine, *counters, packed_from, panels, *work, i, j, value)
    pairs = {(int(a), int(b)): float(v) for a, b, v in zip(i[:m], j[:m], value[:m], strict=True)}
    assert len(pairs) == m
    numbers = np.bincount(bins.of(value[:m]), minlength=bins.count)
    assert (counters[:, bins.count :] == 0).all()
    found = counters[:, : bins.count] & np.int32(2**31 - 1)
    assert (found.sum(axis=0) == numbers).all()
    return _Counted(found, pairs)


@given(st.integers(0, 2**32 - 1))
def test_each_pair_of_a_piece_is_counted_once(seed: int) -> None:
    """Whatever its place and size, wherever panels begin, and wherever spans and the columns to skip lie."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, [MOST_ROWS + 30, 3 * WIDTH + 1])
    d = int(rng.choice([1, 3, 8, 21, 600, 3000]))
    i0, packed_from = rng.integers(0, 10, 2)
    j0 = packed_from + rng.integers(0, 2 * WIDTH)
    unit = rng.standard_normal((max(i0 + height, j0 + width), d)).astype(np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    ends = np.sort(rng.integers(0, width + 1, (height, 3)), axis=1).astype(np.int32)
    ends[:, 0] = min(ends[0, 0], width - 1) if rng.random() < 0.5 else np.minimum(np.arange(height) + 1, width)
    begin, low, high = np.maximum.accumulate(ends, axis=1).T.copy()
    if rng.random() < 0.5:
        low, high = begin.copy(), begin.copy()
    skip = np.where(rng.random(height) < 0.3, rng.integers(0, width, height), -1).astype(np.int32)
    found = counted(unit, (i0, i0 + height, j0, j0 + width), packed_from, Spans(begin, low, high, skip))
    columns = np.arange(width)
    is_pair = (columns >= begin[:, None]) & (columns != skip[:, None])
    expected = {(int(i0 + r), int(j0 + c)) for r, c in np.argwhere(is_pair)}
    assert set(found.pairs) == expected
    is_genuine = is_pair & (columns >= low[:, None]) & (columns < high[:, None])
    assert found.counts.sum(axis=1).tolist() == [len(expected) - is_genuine.sum(), is_genuine.sum()]
    products = unit.astype(np.float64) @ unit.astype(np.float64).T
    assert all(abs(value - products[pair]) <= filter_error(d) for pair, value in found.pairs.items())


@pytest.mark.parametrize("d", [5, 128, 1100])
def test_a_product_is_a_property_of_its_rows(d: int) -> None:
    """To the last bit, wherever the two rows lie, and whichever of them is packed."""
    rng = np.random.default_rng(d)
    rows = rng.standard_normal((70, d)).astype(np.float32)
    samples = prepare(rows, np.arange(70))
    upside_down = prepare(rows[::-1], np.arange(70))
    values = values_of(samples, 70)
    assert len(values) == 70 * 69 // 2
    assert values_of(samples, 9) == values_of(samples, 64) == values
    mirrored = {(69 - j, 69 - i): value for (i, j), value in values_of(upside_down, 33).items()}
    assert mirrored == values


def test_what_is_packed_is_never_that_of_other_samples() -> None:
    """A thread that counts one set after another finds the products of each."""
    rng = np.random.default_rng(1)
    sets = [prepare(rng.standard_normal((40, 4)).astype(np.float32), np.arange(40)) for _ in range(2)]
    for samples in (*sets, *sets):
        exact = samples.unit.astype(np.float64) @ samples.unit.T.astype(np.float64)
        assert all(abs(value - exact[pair]) <= filter_error(4) for pair, value in values_of(samples, 40).items())


def test_what_was_packed_by_halves_is_packed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is interrupted while packing leaves no word that it was done."""
    rng = np.random.default_rng(2)
    samples = prepare(rng.standard_normal((40, 4)).astype(np.float32), np.arange(40))
    expected = values_of(samples, 40)

    def interrupted(*given: Any) -> None:
        given[-1][:] = 0
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("evaljobs.pairs.count.pack", interrupted)
        with pytest.raises(KeyboardInterrupt):
            values_of(prepare(samples.rows.copy(), np.arange(40)), 40)
    assert values_of(samples, 40) == expected
