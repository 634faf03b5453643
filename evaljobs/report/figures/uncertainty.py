"""Distributions of uncertainty, and the curves that follow from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from evaljobs.report.figures.canvas import Written, new_figure, own_settings, save, short_name
from evaljobs.report.figures.style import COLORS, DASHES, MAX_NAMED, bare, legend_beside
from evaljobs.report.tables.numbers import count_text

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

MOST_PANELS = 6
_THRESHOLD = "#555555"


class Panel(NamedTuple):
    """The distribution of one measure.

    Attributes
    ----------
    title
        Of the measure.
    edges
        ``[b + 1]`` float64, ascending.
    counts
        By name of the set: ``[b]`` int64.
    threshold
        From which uncertainty on an image is unsure; None: nobody is.
    """

    title: str
    edges: Float64
    counts: Mapping[str, Int64]
    threshold: float | None


class Curve(NamedTuple):
    """A curve of steps or lines: ``[m]`` float64 each."""

    x: Float64
    y: Float64


class Frame(NamedTuple):
    """What stands beside a figure of curves: titles of the axes, and whether they are shares from 0 to 1."""

    x: str
    y: str
    whole_height: bool = True


def distributions_figure(panels: Sequence[Panel], path_stem: Path, title: str) -> Written:
    """Draw distributions, a panel for each measure, and write them as PNG and SVG.

    Raises
    ------
    ValueError
        If there is none, or there are too many.
    RunFailedError
        If a file cannot be written.
    """
    if not 1 <= len(panels) <= MOST_PANELS:
        raise ValueError(f"found {len(panels)} distributions; expected 1 to {MOST_PANELS}")
    across = min(2, len(panels))
    down = -(-len(panels) // across)
    with own_settings():
        figure = new_figure(4.6 * across + 1.6, 2.9 * down + 0.3)
        grid = figure.subplots(down, across, squeeze=False)
        for axes, panel in zip(grid.flat, panels, strict=False):
            _distribution(axes, panel)
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        figure.supylabel("images (logarithmic)", fontsize=9)
        names = list(panels[0].counts)[:MAX_NAMED]
        handles = [Line2D([], [], color=COLORS[i], linestyle=DASHES[i], linewidth=1.5) for i in range(len(names))]
        handles.append(Line2D([], [], color=_THRESHOLD, linewidth=0.9, linestyle=(0, (2, 2))))
        legend_beside(grid[0, -1], handles, [*(short_name(name) for name in names), "threshold"], short_name(title))
        return save(figure, path_stem, "Distributions of uncertainty")


def _distribution(axes: Axes, panel: Panel) -> None:
    axes.set_yscale("symlog", linthresh=1)
    most = max(int(counts.max(initial=0)) for counts in panel.counts.values())
    axes.set_ylim(0, 2 * max(1, most))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: count_text(round(value))))
    for place, counts in enumerate(list(panel.counts.values())[:MAX_NAMED]):
        axes.stairs(counts, panel.edges, color=COLORS[place], linestyle=DASHES[place], linewidth=1.2)
    if panel.threshold is not None:
        axes.axvline(panel.threshold, color=_THRESHOLD, linewidth=0.9, linestyle=(0, (2, 2)))
    axes.set_title(panel.title, fontsize=9, loc="left")
    bare(axes)


def curves_figure(curves: Mapping[str, Curve], path_stem: Path, frame: Frame, title: str | None = None) -> Written:
    """Draw curves over the shares from 0 to 1, and write them as PNG and SVG; the first 8 are named.

    Raises
    ------
    ValueError
        If there is none.
    RunFailedError
        If a file cannot be written.
    """
    if not curves:
        raise ValueError("no curve to draw")
    shown = list(curves.items())[:MAX_NAMED]
    with own_settings():
        figure = new_figure(7.6, 4.4)
        axes = figure.add_subplot()
        for place, (_, curve) in reversed(list(enumerate(shown))):
            axes.plot(curve.x, curve.y, color=COLORS[place], linestyle=DASHES[place], linewidth=1.4)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.01 if frame.whole_height else None)
        axes.set_xlabel(frame.x)
        axes.set_ylabel(frame.y)
        bare(axes, "both")
        handles = [Line2D([], [], color=COLORS[i], linestyle=DASHES[i], linewidth=1.5) for i in range(len(shown))]
        more = f"; {len(curves) - len(shown):,} more" if len(curves) > len(shown) else ""
        legend_beside(axes, handles, [short_name(name) for name, _ in shown], f"{title or ''}{more}" or None)
        return save(figure, path_stem, frame.y)
