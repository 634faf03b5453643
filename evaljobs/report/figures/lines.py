"""A number over epochs or over runs: a line for each series, with the band of its 95% intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator
from numpy.typing import NDArray

from evaljobs.report.figures.canvas import MAX_TITLE, Written, new_figure, own_settings, save, short_name
from evaljobs.report.figures.found import picture_stem
from evaljobs.report.figures.front import Titles
from evaljobs.report.figures.style import (
    COLORS,
    GREY,
    MAX_NAMED,
    bare,
    legend_beside,
    line_style,
    mark_style,
    named_handles,
)
from evaljobs.report.section import Chart, Found, Picture

Float64 = NDArray[np.float64]

_MANY_POINTS = 40  # with more, marks run together
_MAX_TICKS = 12
_BANDS = 3
_ENDS = ("x", "y", "low", "high")
CAPTION = "A band or bar is the 95% interval of each number by itself, not of the differences along a line."


class Series(NamedTuple):
    """One line, ``[m]`` float64 each; ``low`` and ``high`` are NaN where there is no interval."""

    x: Float64
    y: Float64
    low: Float64
    high: Float64


def series_of(points: Sequence[tuple[float, float | None, Sequence[float] | None]]) -> Series:
    """Return a series from points (x, y, 95% interval or None), in any order; those without y are left out."""
    ends = [(x, y, *(ci or (np.nan, np.nan))) for x, y, ci in sorted(points, key=lambda p: p[0]) if y is not None]
    return Series(*np.array(ends, np.float64).reshape(-1, 4).T)


def lines_figure(
    series: Mapping[str, Series], path_stem: Path, titles: Titles, ticks: Sequence[str] | None = None
) -> Written:
    """Draw lines and write them as PNG and SVG.

    Parameters
    ----------
    series
        By name: the first 8 are named and coloured, the others are grey.
    path_stem
        Path of the files without their suffix.
    titles
        Of the axes.
    ticks
        What stands at 0, 1, 2, ... of the x axis, such as the names of runs; numbers where absent.

    Raises
    ------
    ValueError
        If there is nothing to draw.
    RunFailedError
        If a file cannot be written.
    """
    drawn = {name: line for name, line in series.items() if len(line.x)}
    if not drawn:
        raise ValueError("no line to draw")
    with own_settings():
        figure = new_figure(9.6, 4.8)
        axes = figure.add_subplot()
        bare(axes)
        axes.set_xlabel(short_name(titles.x, MAX_TITLE))
        axes.set_ylabel(short_name(titles.y, MAX_TITLE))
        _ticks(axes, ticks)
        _draw(axes, list(drawn.values()))
        some = f"{MAX_NAMED} of {len(drawn):,} lines are named" if len(drawn) > MAX_NAMED else None
        legend_beside(axes, *named_handles(list(drawn), "line"), some)
        return save(figure, path_stem, titles.y)


def _ticks(axes: Axes, ticks: Sequence[str] | None) -> None:
    if ticks is None:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        return
    step = -(-len(ticks) // _MAX_TICKS)
    shown = range(0, len(ticks), step)
    axes.xaxis.set_major_locator(FixedLocator(list(shown)))
    axes.xaxis.set_major_formatter(FixedFormatter([short_name(ticks[i]) for i in shown]))
    for label in axes.get_xticklabels():
        label.set(rotation=30, ha="right")


def _draw(axes: Axes, lines: Sequence[Series]) -> None:
    """Draw the best last, so that they lie on top."""
    rest = [np.column_stack((line.x, line.y)) for line in lines[MAX_NAMED:]]
    axes.add_collection(LineCollection(rest, colors=GREY, linewidths=0.7, alpha=0.7, zorder=2))
    for place, line in reversed(list(enumerate(lines[:MAX_NAMED]))):
        _intervals(axes, place, line)
        axes.plot(line.x, line.y, linewidth=1.5, zorder=4 - place / 100, **line_style(place))
        marked = line if len(line.x) <= _MANY_POINTS else Series(*(column[[0, -1]] for column in line))
        axes.plot(marked.x, marked.y, zorder=5 - place / 100, **mark_style(place))
    axes.autoscale_view()


def _intervals(axes: Axes, place: int, line: Series) -> None:
    """Draw the intervals of a line: a band for the first ones, bars for the others, since bands lie over each other."""
    if place >= _BANDS:
        axes.vlines(line.x, line.low, line.high, color=COLORS[place], linewidth=0.7, alpha=0.8, zorder=2.5)
    elif np.isfinite(line.low).any():
        axes.fill_between(line.x, line.low, line.high, color=COLORS[place], alpha=0.13, linewidth=0, zorder=2.5)
        for end in (line.low, line.high):  # what a band is in black and white
            axes.plot(line.x, end, linewidth=0.5, alpha=0.8, zorder=2.6, **line_style(place))


def lines_picture(  # noqa: PLR0913, PLR0917 - the lines, and what is said of them
    found: Found,
    name: str,
    title: str,
    series: Mapping[str, Series],
    titles: Titles,
    ticks: Sequence[str] | None = None,
) -> Picture | None:
    """Draw lines; None where no series has two points.

    Raises
    ------
    RunFailedError
        If a file cannot be written.
    """
    if not any(len(line.x) > 1 for line in series.values()):
        return None
    written = lines_figure(series, picture_stem(found, name), titles, ticks)
    alt = f"{titles.y} against {titles.x}, {len(series):,} line{'s' if len(series) > 1 else ''}"
    return Picture(name, title, alt, written, CAPTION)


def chart_picture(found: Found, chart: Chart) -> Picture | None:
    """Draw a chart of lines, for those who do not open the page; None where no line has two points.

    Raises
    ------
    RunFailedError
        If a file cannot be written.
    """
    series = {}
    for line in chart.data["lines"]:
        rows = zip(*(line[key] for key in _ENDS), strict=True)
        series[str(line["name"])] = series_of(
            [(x, y, None if low is None or high is None else (low, high)) for x, y, low, high in rows]
        )
    # Of many lines, those that come highest have a name.
    best = sorted(series.items(), key=lambda item: -np.nanmax(item[1].y, initial=-np.inf))
    titles = Titles(chart.data["x_title"], chart.data["y_title"])
    return lines_picture(found, chart.name, chart.title, dict(best), titles, chart.data.get("ticks"))
