"""Thumbnails on a map: none lies on another, each near its point, and the same for everybody."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evaljobs.report.figures.placing import FARTHEST, place, window_of

finite = st.floats(-1e6, 1e6, width=32)
points = st.integers(1, 60).flatmap(lambda n: arrays(np.float64, (n, 2), elements=finite))


@settings(max_examples=60, deadline=None)
@given(xy=points, across=st.integers(1, 12))
def test_no_two_overlap_and_all_lie_near_their_points(xy: np.ndarray, across: int) -> None:
    """Checked by rectangles, for any points."""
    window = window_of(xy, across)
    spots = place(xy, window, across)
    assert spots
    assert len({spot.point for spot in spots}) == len(spots)
    tolerance = 1e-6 * window.half
    for spot in spots:
        assert window.x - window.half - tolerance <= spot.left
        assert spot.left + spot.width <= window.x + window.half + tolerance
        assert window.y - window.half - tolerance <= spot.bottom
        assert spot.bottom + spot.width <= window.y + window.half + tolerance
        middle = np.array([spot.left, spot.bottom]) + spot.width / 2
        assert np.hypot(*(middle - xy[spot.point])) <= FARTHEST * spot.width + tolerance
    for a, b in itertools.combinations(spots, 2):
        apart_x = min(a.left, b.left) + a.width <= max(a.left, b.left) + tolerance
        apart_y = min(a.bottom, b.bottom) + a.width <= max(a.bottom, b.bottom) + tolerance
        assert apart_x or apart_y


@settings(max_examples=60, deadline=None)
@given(xy=points, across=st.integers(1, 12))
def test_every_cell_with_a_point_is_used(xy: np.ndarray, across: int) -> None:
    """No part of the plane where images lie is left without a thumbnail."""
    window = window_of(xy, across)
    spots = place(xy, window, across)
    width = 2 * window.half / across
    origin = np.array([window.x, window.y]) - window.half

    def cells(places: np.ndarray) -> set[tuple[int, ...]]:
        return set(map(tuple, np.clip(np.floor((places - origin) / width), 0, across - 1).astype(int).tolist()))

    taken = cells(np.array([[spot.left, spot.bottom] for spot in spots]) + width / 2)
    # A point may have gone to the next cell, where it lies as near to the middle: then its own held no other.
    placed = {spot.point for spot in spots}
    left_over = [n for n in range(len(xy)) if n not in placed]
    assert cells(xy[left_over]) <= taken if left_over else True
    assert len(taken) == len(spots)


def test_the_nearest_to_the_middle_is_taken() -> None:
    """Of two points in one cell of a grid without room beside it, the one in its middle gets the thumbnail."""
    xy = np.array([[0.0, 0.0], [1.0, 1.0], [0.45, 0.55]])
    window = window_of(xy, 1)
    (spot,) = place(xy, window, 1)
    assert spot.point == 2


@pytest.mark.parametrize("n", [1, 50])
def test_equal_points(n: int) -> None:
    """Where all images lie on one point, some are shown around it, without an error."""
    xy = np.ones((n, 2))
    spots = place(xy, window_of(xy, 10), 10)
    assert 1 <= len(spots) <= 9


def test_points_that_lie_nowhere_get_none() -> None:
    """An image without a place is not shown."""
    xy = np.array([[0.0, 0.0], [np.nan, 1.0], [2.0, 2.0]])
    assert {spot.point for spot in place(xy, window_of(xy, 8), 8)} == {0, 2}
    nowhere = np.full((3, 2), np.nan)
    assert place(nowhere, window_of(nowhere, 8), 8) == []


def test_twenty_thousand_points_take_no_time_to_speak_of() -> None:
    """The largest map has a thumbnail in most cells that hold a point."""
    xy = np.random.default_rng(0).standard_normal((20_000, 2))
    spots = place(xy, window_of(xy, 16), 16)
    assert 100 < len(spots) <= 256
