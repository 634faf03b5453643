"""Quality against cost: the models that no other one beats in both are named, the rest is grey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from evaljobs.report.figures.canvas import MAX_TITLE, Written, new_figure, own_settings, save, settle, short_name
from evaljobs.report.figures.found import picture_stem
from evaljobs.report.figures.labels import LEFT_FIRST, Named, label_points, label_size
from evaljobs.report.figures.roc import stairs
from evaljobs.report.figures.style import COLORS, bare, legend_beside, log_axis
from evaljobs.report.section import Found, Picture
from evaljobs.report.tables.listing import first_names

Row = Mapping[str, Any]
Float64 = NDArray[np.float64]

MAX_LABELS = 25
_WIDE = 10  # costs that differ by more are drawn on a logarithmic axis
_MOST_ROOM = 0.4  # of the axes' width, at the left of the cheapest model
_FRONT, _REST = COLORS[0], "#8A8A8A"
CAPTION = (
    "Upwards is better, to the left is cheaper. No model is better than one on the line without being dearer; bars are "
    "95% intervals."
)


class Titles(NamedTuple):
    """What the axes say, with units."""

    x: str
    y: str


def drawable(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that have both numbers."""
    return [row for row in rows if row["x"] is not None and row["y"] is not None]


def is_wide(rows: Sequence[Row]) -> bool:
    """Whether costs lie so far apart that the axis is logarithmic."""
    costs = [float(row["x"]) for row in drawable(rows)]
    return bool(costs) and min(costs) > 0 and max(costs) > _WIDE * min(costs)


def front_figure(rows: Sequence[Row], path_stem: Path, titles: Titles) -> Written:
    """Draw quality against cost and write it as PNG and SVG.

    Parameters
    ----------
    rows
        A model each, with ``name``, ``x`` (cost), ``y`` (quality), ``low`` and ``high`` (its 95% interval, or null) and
        ``on_front``; one without cost or quality is left out.
    path_stem
        Path of the files without their suffix.
    titles
        Of the axes.

    Raises
    ------
    ValueError
        If there is nothing to draw.
    RunFailedError
        If a file cannot be written.
    """
    shown = drawable(rows)
    if not shown:
        raise ValueError("no model to draw")
    front = sorted((row for row in shown if row["on_front"]), key=lambda row: (row["x"], row["y"]))
    rest = [row for row in shown if not row["on_front"]]
    with own_settings():
        figure = new_figure(9.6, 5.2)
        axes = figure.add_subplot()
        if is_wide(shown):
            axes.set_xscale("log")
            log_axis(axes.xaxis, lambda value: f"{value:g}", steps=(1, 2, 5))
        bare(axes, "both")
        axes.set_xlabel(short_name(titles.x, MAX_TITLE) + (" (logarithmic)" if is_wide(shown) else ""))
        axes.set_ylabel(short_name(titles.y, MAX_TITLE))
        axes.plot([r["x"] for r in rest], [r["y"] for r in rest], zorder=2, **_points(_REST, filled=False))
        _draw_front(axes, front)
        axes.margins(0.05, 0.1)
        legend = legend_beside(axes, *_legend(len(front), len(rest)), loc="lower right", bbox_to_anchor=(1, 1))
        legend.set_ncols(3)
        settle(figure)
        _make_room(axes, front)
        points = [Named(float(row["x"]), float(row["y"]), str(row["name"])) for row in front]
        best = sorted(points, key=lambda point: -point.y)[:MAX_LABELS]
        every = np.array([[row["x"], row["y"]] for row in shown], np.float64)
        line = stairs(*np.array([[row["x"], row["y"]] for row in front], np.float64).T)
        label_points(axes, best, every, [line, *_bars(front)], LEFT_FIRST)
        return save(figure, path_stem, "Quality against cost")


def _make_room(axes: Axes, front: Sequence[Row]) -> None:
    """Widen the axes to the left, where the front leaves room, so that the longest name has a place."""
    widest = max(label_size(axes, str(row["name"]))[0] for row in front) / axes.get_window_extent().width
    share = min(widest + 0.03, _MOST_ROOM)
    scale = axes.xaxis.get_transform()
    left = min(float(row["x"]) for row in front)
    first, high = scale.transform(np.array([left, axes.get_xlim()[1]])).tolist()
    low = min(high - (high - first) / (1 - share), scale.transform(np.array([axes.get_xlim()[0]]))[0])
    axes.set_xlim(scale.inverted().transform(np.array([low]))[0], axes.get_xlim()[1])


def _points(color: str, *, filled: bool) -> dict[str, Any]:
    face = color if filled else "none"
    return {"linestyle": "none", "marker": "o", "markersize": 5, "markerfacecolor": face, "markeredgecolor": color}


def _draw_front(axes: Axes, front: Sequence[Row]) -> None:
    x, y = ([float(row[key]) for row in front] for key in ("x", "y"))
    axes.plot(x, y, drawstyle="steps-post", color=_FRONT, linewidth=1, zorder=3)
    for bar in _bars(front):
        axes.plot(*bar.T, color=_FRONT, linewidth=1, alpha=0.7, zorder=3)
    axes.plot(x, y, zorder=4, **_points(_FRONT, filled=True))


def _bars(front: Sequence[Row]) -> list[Float64]:
    """Return the intervals as lines."""
    known = [row for row in front if row["low"] is not None and row["high"] is not None]
    return [np.array([[row["x"], row["low"]], [row["x"], row["high"]]], np.float64) for row in known]


def _legend(n_front: int, n_rest: int) -> tuple[list[Artist], list[str]]:
    handles: list[Artist] = [
        Line2D([], [], color=_FRONT, linewidth=1, **_points(_FRONT, filled=True) | {"linestyle": "-"})
    ]
    labels = [f"no other model is better and cheaper ({n_front:,})"]
    if n_rest:
        handles.append(Line2D([], [], **_points(_REST, filled=False)))
        labels.append(f"the others ({n_rest:,})")
    return handles, labels


def front_picture(found: Found, name: str, title: str, rows: Sequence[Row], titles: Titles) -> Picture | None:
    """Draw quality against cost; None where fewer than two models have both.

    Parameters
    ----------
    name, title
        Of the picture.
    rows
        As `front_figure` takes them.

    Raises
    ------
    RunFailedError
        If a file cannot be written.
    """
    shown = drawable(rows)
    if len(shown) < 2:
        return None
    written = front_figure(shown, picture_stem(found, name), titles)
    front = [str(row["name"]) for row in sorted(shown, key=lambda row: row["x"]) if row["on_front"]]
    which = first_names(front, 5)
    without = len(rows) - len(shown)
    note = f" {without:,} model(s) without one of the numbers are left out." if without else ""
    return Picture(name, title, f"{titles.y} against {titles.x}; on the front: {which}", written, CAPTION + note)
