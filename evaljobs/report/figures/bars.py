"""Numbers of classes as horizontal bars: precision, recall and F1, or any shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from evaljobs.report.figures.canvas import Written, new_figure, own_settings, save, short_name
from evaljobs.report.figures.style import COLORS, bare

MAX_BARS = 40
MAX_SERIES = 3
_HATCHES = ("", "////", "....")
_FACES = (COLORS[0], "#F6C6A8", "#BFE6D8")
_EDGES = (COLORS[0], COLORS[1], COLORS[2])


def bars_figure(
    names: Sequence[str], series: Mapping[str, Sequence[float | None]], path_stem: Path, x_title: str, title: str = ""
) -> Written:
    """Draw shares by class and write them as PNG and SVG; of more than 40 classes those with the lowest.

    Parameters
    ----------
    names
        ``k`` names of classes, in the order in which they are drawn, from the top.
    series
        By name, at most three: ``k`` shares in [0, 1]; None where undefined. Of many classes, those are drawn in which
        the first series is lowest.
    path_stem
        Path of the files without their suffix.
    x_title
        Of the axis, with its unit.
    title
        Above the picture, such as the model's name.

    Raises
    ------
    ValueError
        If there is nothing to draw, or too much.
    RunFailedError
        If a file cannot be written.
    """
    if not names or not 1 <= len(series) <= MAX_SERIES:
        raise ValueError(f"found {len(names)} classes and {len(series)} series; expected 1 to {MAX_SERIES} of a class")
    shown = lowest(next(iter(series.values())))
    with own_settings():
        figure = new_figure(7.2, 1.4 + len(shown) * (0.14 + 0.08 * len(series)))
        axes = figure.add_subplot()
        _draw(axes, [list(values) for values in series.values()], shown)
        axes.set_yticks(range(len(shown)), [short_name(names[place]) for place in shown], fontsize=8)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.set_xlim(0, 1)
        axes.set_xlabel(x_title)
        bare(axes, "x")
        some = f"the {len(shown)} lowest of {len(names):,} classes" if len(shown) < len(names) else ""
        lines = [line for line in (short_name(title) if title else "", some) if line]
        styles = zip(_FACES, _EDGES, _HATCHES, series, strict=False)
        handles = [Patch(facecolor=f, edgecolor=e, hatch=h, label=name) for f, e, h, name in styles]
        axes.set_title("\n".join(lines), fontsize=9, loc="left")
        figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
        return save(figure, path_stem, x_title)


def lowest(values: Sequence[float | None]) -> list[int]:
    """Return the places of all values, or of the 40 lowest, in their order; undefined ones come last."""
    if len(values) <= MAX_BARS:
        return list(range(len(values)))
    keys = np.array([np.inf if value is None else value for value in values])
    return sorted(np.argsort(keys, kind="stable")[:MAX_BARS].tolist())


def _draw(axes: Axes, series: Sequence[Sequence[float | None]], shown: Sequence[int]) -> None:
    height = 0.8 / len(series)
    for i, values in enumerate(series):
        middle = np.arange(len(shown)) + height * (i - (len(series) - 1) / 2)
        found = [values[place] for place in shown]
        axes.barh(
            middle, [value or 0 for value in found], height * 0.92, facecolor=_FACES[i], edgecolor=_EDGES[i],
            hatch=_HATCHES[i], linewidth=0.7, zorder=2,
        )  # fmt: skip
        for y, value in zip(middle.tolist(), found, strict=True):
            said = "undefined" if value is None else f"{value:.3f}"
            axes.text((value or 0) + 0.006, y, said, fontsize=6, va="center", zorder=3)
