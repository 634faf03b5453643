"""Labels: moved apart as little as possible, and never one over another."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Text
from scipy.optimize import minimize  # type: ignore[import-untyped]  # it has no annotations

from evaljobs.report.figures.canvas import new_figure, own_settings, settle
from evaljobs.report.figures.labels import Named, label_points, spread

Positions = st.lists(st.floats(0, 1, allow_subnormal=False), min_size=1, max_size=12)


@given(Positions, st.floats(0, 0.4))
def test_neighbours_keep_their_distance(wanted: list[float], gap: float) -> None:
    """Within the ends, in their order, at least a gap apart, or evenly where they do not fit."""
    found = spread(wanted, gap, 0, 1)
    fits = min(gap, 1 / max(len(wanted) - 1, 1))
    ordered = np.sort(found)
    assert ordered[0] >= -1e-12
    assert ordered[-1] <= 1 + 1e-12
    assert all(b - a >= fits - 1e-9 for a, b in pairwise(ordered.tolist()))
    assert np.argsort(found, kind="stable").tolist() == np.argsort(wanted, kind="stable").tolist() or fits == 0
    if all(b - a >= gap for a, b in pairwise(sorted(wanted))):
        assert found == pytest.approx(wanted)


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_moved_further_than_needed(seed: int) -> None:
    """The sum of squares is that which a general optimiser finds."""
    wanted = np.sort(np.random.default_rng(seed).random(6))
    rules = [{"type": "ineq", "fun": lambda p, i=i: p[i + 1] - p[i] - 0.15} for i in range(5)]
    best = minimize(lambda p: ((p - wanted) ** 2).sum(), wanted, bounds=[(0, 1)] * 6, constraints=rules, tol=1e-12)
    assert ((spread(wanted.tolist(), 0.15, 0, 1) - wanted) ** 2).sum() == pytest.approx(best.fun, abs=1e-6)


def test_nothing_to_spread() -> None:
    """No position, no label."""
    assert spread([], 0.1, 0, 1).tolist() == []


@pytest.mark.parametrize("number", [1, 5, 40])
def test_no_label_covers_another_or_a_point(number: int) -> None:
    """Where there is no room a name is left out; what is there stands within the axes."""
    rng = np.random.default_rng(number)
    xy = rng.random((number, 2)) ** 3
    with own_settings():
        figure = new_figure(6, 4)
        axes = figure.add_subplot()
        axes.set(xlim=(-0.1, 1.1), ylim=(-0.1, 1.1))
        settle(figure)
        points = [Named(x, y, f"a model's name {i}") for i, (x, y) in enumerate(xy.tolist())]
        labels = label_points(axes, points, xy)
        figure.canvas.draw()
        boxes = [Text.get_window_extent(label) for label in labels]
        middles = axes.transData.transform(xy)
        within = axes.get_window_extent()
    assert len(boxes) >= min(number, 10)
    assert [(a, b) for a, b in combinations(range(len(boxes)), 2) if boxes[a].overlaps(boxes[b])] == []
    assert [p for p in middles.tolist() for box in boxes if box.contains(*p)] == []
    assert [box for box in boxes if box.x0 < within.x0 or box.x1 > within.x1 + 1] == []
