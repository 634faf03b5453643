"""Which points get a thumbnail, and where: on a grid, so that none lies on another, and near their points."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]

# How far a thumbnail's middle lies from its point at most, in widths of a cell: its own cell or the next one.
FARTHEST = 1.0
# Around the points, as a share of their spread.
_MARGIN = 0.04


class Window(NamedTuple):
    """The square part of the plane that is drawn: its middle, and half its width."""

    x: float
    y: float
    half: float


class Spot(NamedTuple):
    """A thumbnail: the number of its point, its left and lower end and its width, in units of the plane."""

    point: int
    left: float
    bottom: float
    width: float


def window_of(xy: Float64, across: int) -> Window:
    """Return the square that holds all points, and a thumbnail of `across` in a row around each.

    Parameters
    ----------
    xy
        ``[n, 2]``; points that are not finite are left out. Without any, the unit square.
    """
    there = xy[np.isfinite(xy).all(1)]
    if not len(there):
        return Window(0.0, 0.0, 0.5)
    low, high = there.min(0), there.max(0)
    spread = float((high - low).max())
    middle = (low + high) / 2
    half = spread * (0.5 + _MARGIN) / max(1 - 1 / across, 0.5) if spread > 0 else 0.5
    return Window(float(middle[0]), float(middle[1]), half)


def place(xy: Float64, window: Window, across: int) -> list[Spot]:
    """Give thumbnails to points: greedily, those first that lie nearest to the middle of a cell that is free.

    Parameters
    ----------
    xy
        ``[n, 2]``; points that are not finite get none.
    across
        Cells of the grid in each direction. Each holds one thumbnail at most, so none overlaps another.

    Returns
    -------
    By point. Equally near ones are decided by the order of the points.
    """
    width = 2 * window.half / across
    origin = np.array([window.x - window.half, window.y - window.half])
    numbers = np.flatnonzero(np.isfinite(xy).all(1))
    scaled = (xy[numbers] - origin) / width
    own = np.clip(np.floor(scaled), 0, across - 1).astype(np.int64)
    points, cells, far = [], [], []
    for step in itertools.product((-1, 0, 1), repeat=2):
        cell = own + np.array(step)
        distance = np.hypot(*(cell + 0.5 - scaled).T)
        near = (distance <= FARTHEST) & (cell >= 0).all(1) & (cell < across).all(1)
        points.append(numbers[near])
        cells.append(cell[near] @ np.array([across, 1]))
        far.append(distance[near])
    return _greedy(np.concatenate(points), np.concatenate(cells), np.concatenate(far), across, (origin, width))


def _greedy(
    points: NDArray[np.int64], cells: NDArray[np.int64], far: Float64, across: int, grid: tuple[Float64, float]
) -> list[Spot]:
    origin, width = grid
    placed: dict[int, int] = {}
    taken: set[int] = set()
    # Rounded, so that what is equally far is decided by the order of the points, and not by the last bit.
    for number in np.lexsort((cells, points, far.round(9))).tolist():
        point, cell = int(points[number]), int(cells[number])
        if point not in placed and cell not in taken:
            placed[point] = cell
            taken.add(cell)
    spots = ((point, divmod(cell, across)) for point, cell in sorted(placed.items()))
    return [
        Spot(point, float(origin[0] + column * width), float(origin[1] + row * width), width)
        for point, (column, row) in spots
    ]
