"""The confusion matrix as a picture: with numbers for ten classes, as a pattern for hundreds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from evaljobs.report.figures.canvas import Written, new_figure, own_settings, save, short_name

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]

MAX_NUMBERED = 20
MAX_NAMES = 40
_POWER = 0.35  # of the scale of colours: one image of a thousand is seen
_LEAST = 1e-9  # shares below are none
_DARK = 0.3  # shares from which letters are white
_EMPTY = "#D9D9D9"
_UPRIGHT = 3  # letters of the longest name that fits a cell


def confusion_figure(counts: Int64, names: Sequence[str], path_stem: Path, title: str = "") -> Written:
    """Draw a confusion matrix and write it as PNG and SVG.

    Rows are shaded by the share of their samples, on a scale that shows small shares; up to 20 classes have the counts
    written in their cells, and up to 40 each its name.

    Parameters
    ----------
    counts
        ``[k, k]`` int64: samples by label (row) and by predicted class (column).
    names
        ``k`` names of classes.
    path_stem
        Path of the files without their suffix.
    title
        Above the picture, such as the model's name.

    Raises
    ------
    ValueError
        If there is no class, or the numbers of names and counts differ.
    RunFailedError
        If a file cannot be written.
    """
    k = len(names)
    if not k or counts.shape != (k, k):
        raise ValueError(f"found counts of shape {counts.shape} for {k} names; expected [k, k], at least one class")
    with own_settings():
        side, beside = float(np.clip(0.46 * k, 2.4, 8.5)), 0.09 * max(len(short_name(name)) for name in names) + 0.6
        figure = new_figure(side + beside + 1.2, side + beside + 0.3)
        axes = figure.add_subplot()
        shares = row_shares(counts)
        drawn = axes.imshow(
            np.ma.masked_invalid(shares), cmap=_colors(), norm=PowerNorm(_POWER, _LEAST, 1), interpolation="nearest"
        )
        _bar(figure, axes, drawn)
        _names(axes, names, counts)
        if k <= MAX_NUMBERED:
            _numbers(axes, counts, shares)
        if title:
            axes.set_title(short_name(title), fontsize=9, loc="left")
        return save(figure, path_stem, "Confusion matrix")


def row_shares(counts: Int64) -> Float64:
    """Return each row as shares of its sum; NaN where a label has no samples."""
    total = counts.sum(axis=1, keepdims=True)
    shares = np.full(counts.shape, np.nan)
    np.divide(counts, total, out=shares, where=total > 0)
    return shares


def _colors() -> Colormap:
    # One colour that only grows darker: the same in black and white, and to every eye. What is 0 is white.
    shades = mpl.colormaps["Blues"](np.linspace(0.15, 1, 256))
    return ListedColormap(shades).with_extremes(bad=_EMPTY, under="white")


def _bar(figure: Figure, axes: Axes, drawn: AxesImage) -> None:
    bar = figure.colorbar(drawn, ax=axes, fraction=0.04, pad=0.02)
    bar.set_label("share of the label's images")
    bar.set_ticks([0.001, 0.01, 0.05, 0.2, 0.5, 1], labels=["0.1%", "1%", "5%", "20%", "50%", "100%"])
    bar.outline.set_visible(False)


def _names(axes: Axes, names: Sequence[str], counts: Int64) -> None:
    k = len(names)
    step = next(s for s in (1, 2, 5, 10, 20, 25, 50, 100, 200, 500, 10**9) if k / s <= MAX_NAMES)
    shown = list(range(0, k, step))
    size = 8 if k <= MAX_NUMBERED else 7
    every = f", every {step}th of {k:,} named" if step > 1 else ""
    empty = int((counts.sum(axis=1) == 0).sum())
    none = f"; grey: {empty:,} without images" if empty else ""
    said = [short_name(names[place]) for place in shown]
    axes.set_xticks(shown, said, rotation=90 if max(map(len, said)) > _UPRIGHT else 0, fontsize=size)
    axes.set_yticks(shown, said, fontsize=size)
    axes.set_xlabel(f"predicted class{every}")
    axes.set_ylabel(f"label{every}{none}")
    axes.tick_params(length=2)
    if k <= MAX_NAMES:
        axes.set_xticks(np.arange(1, k) - 0.5, minor=True)
        axes.set_yticks(np.arange(1, k) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=0.8)
        axes.tick_params(which="minor", length=0)


def _numbers(axes: Axes, counts: Int64, shares: Float64) -> None:
    largest = int(counts.max())
    size = float(np.clip(30 / max(len(str(largest)), 3), 5, 8.5))
    for (i, j), count in np.ndenumerate(counts):
        if count:
            color = "white" if shares[i, j] > _DARK else "black"
            axes.text(j, i, f"{count:,}", ha="center", va="center", fontsize=size, color=color)
