"""Where labels stand, so that none covers another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from evaljobs.report.figures.canvas import short_name

Float64 = NDArray[np.float64]

# Where a label is tried: nearest first, and in the order of its directions; in points and degrees.
RIGHT_FIRST = (0, 30, -30, 60, -60, 150, -150, 180, 120, -120, 90, -90)
LEFT_FIRST = (150, 120, 180, 100, 30, 0, -30, -60, -90, -150)
_RADII = (7, 12, 18, 26, 38, 52, 70, 95, 125)
_LEADER_FROM = 10  # a label further away than this has a line to its point
_LEADER: dict[str, Any] = {"arrowstyle": "-", "color": "#707070", "linewidth": 0.5, "shrinkA": 0, "shrinkB": 3}
_SIZE = 8
_MARK = 4  # half the width of a point's mark, in pixels


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> Float64:
    """Move positions apart as little as possible (least squares), so that neighbours are at least a gap apart.

    Parameters
    ----------
    wanted
        ``n`` positions, in any order.
    gap
        Between two; less where ``n`` of them do not fit.
    low, high
        Ends that are not left.

    Returns
    -------
    ``[n]`` float64, in the order of those wanted.
    """
    n = len(wanted)
    if n == 0:
        return np.empty(0)
    gap = min(gap, (high - low) / max(n - 1, 1))
    order = np.argsort(wanted, kind="stable")
    steps = gap * np.arange(n)
    moved = np.clip(_rising(np.asarray(wanted, np.float64)[order] - steps), low, high - steps[-1]) + steps
    found = np.empty(n)
    found[order] = moved
    return found


def _rising(values: Float64) -> Float64:
    """Return the nearest values that do not fall: pool adjacent violators (Ayer et al. 1955)."""
    pools: list[tuple[float, int]] = []
    for value in values.tolist():
        mean, size = value, 1
        while pools and pools[-1][0] > mean:
            before, n = pools.pop()
            mean, size = (before * n + mean * size) / (n + size), n + size
        pools.append((mean, size))
    return np.repeat([mean for mean, _ in pools], [size for _, size in pools])


class Named(NamedTuple):
    """A point with a name, in the units of the axes."""

    x: float
    y: float
    name: str


def label_points(
    axes: Axes,
    points: Sequence[Named],
    around: Float64,
    lines: Sequence[Float64] = (),
    directions: Sequence[float] = RIGHT_FIRST,
) -> list[Text]:
    """Write the names of points beside them: over no other label, over no point, within the axes.

    The figure must have its places: call it after `settle`. A name for which there is no room is left out.

    Parameters
    ----------
    points
        The most important first: it has the best place.
    around
        ``[m, 2]`` float64: all points that no label may cover.
    lines
        ``[v, 2]`` float64 each: horizontal and vertical lines from vertex to vertex that no label may cover.
    directions
        Where a label stands, seen from its point, in degrees: those that are tried first.

    Returns
    -------
    The labels that are there.
    """
    middles = axes.transData.transform(around)
    taken = [Bbox.from_extents(x - _MARK, y - _MARK, x + _MARK, y + _MARK) for x, y in middles.tolist()]
    for line in lines:
        ends = axes.transData.transform(line)
        taken += [Bbox([a, b]).padded(1) for a, b in pairwise(ends.tolist())]
    labels = [_placed(axes, point, taken, directions) for point in points]
    return [label for label in labels if label is not None]


def _placed(axes: Axes, point: Named, taken: list[Bbox], directions: Sequence[float]) -> Text | None:
    """Try one place after another; add the one that is found to those that are taken."""
    shown = short_name(point.name)
    width, height = label_size(axes, point.name)
    x, y = axes.transData.transform((point.x, point.y)).tolist()
    within = axes.get_window_extent()
    pixels = axes.figure.dpi / 72  # of a point
    for dx, dy in _offsets(directions):
        sides = 0 if dx > 1 else 1 if dx < -1 else 0.5, 0 if dy > 1 else 1 if dy < -1 else 0.5
        box = Bbox.from_bounds(x + dx * pixels - sides[0] * width, y + dy * pixels - sides[1] * height, width, height)
        inside = within.x0 + _MARK <= box.x0 and box.x1 <= within.x1 and within.y0 <= box.y0 and box.y1 <= within.y1
        if inside and not any(box.overlaps(other) for other in taken):
            taken.append(box.padded(1.5))
            return axes.annotate(
                shown,
                (point.x, point.y),
                (dx, dy),
                textcoords="offset points",
                fontsize=_SIZE,
                zorder=6,
                horizontalalignment={0: "left", 0.5: "center", 1: "right"}[sides[0]],
                verticalalignment={0: "bottom", 0.5: "center", 1: "top"}[sides[1]],
                arrowprops={**_LEADER, "relpos": sides} if np.hypot(dx, dy) >= _LEADER_FROM else None,
            )
    return None


def label_size(axes: Axes, name: str) -> tuple[float, float]:
    """Return width and height of a name as it is written beside its point, in pixels."""
    text = axes.text(0, 0, short_name(name), fontsize=_SIZE)
    box = text.get_window_extent()
    text.remove()
    return box.width, box.height


def _offsets(directions: Sequence[float]) -> Iterator[tuple[float, float]]:
    for radius in _RADII:
        for angle in directions:
            yield radius * float(np.cos(np.radians(angle))), radius * float(np.sin(np.radians(angle)))
