"""The reliability diagram: how often a classifier is right, by how sure it says it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from evaljobs.report.figures.canvas import Written, new_figure, own_settings, save, short_name
from evaljobs.report.figures.style import COLORS, bare

_Z = 1.959963984540054  # of a 95% interval
_BAR: dict[str, Any] = {"align": "edge", "facecolor": "#BFDDF0", "edgecolor": COLORS[0], "linewidth": 0.9}
_GAP: dict[str, Any] = {"align": "edge", "facecolor": "none", "edgecolor": COLORS[1], "linewidth": 0.6, "hatch": "////"}
_COUNT: dict[str, Any] = {"align": "edge", "facecolor": "#CFCFCF", "edgecolor": "#6F6F6F", "linewidth": 0.8}
_INTERVAL: dict[str, Any] = {"color": "black", "linewidth": 1.1}
_EQUAL: dict[str, Any] = {"color": "black", "linewidth": 0.9, "linestyle": (0, (4, 2))}


class ReliabilityBin(NamedTuple):
    """Samples whose confidence, the probability of the predicted class, lies in ``(low, high]``.

    ``n`` is how many there are, ``confidence`` its mean over them, ``accuracy`` the share that is right; both are None
    where there is none.
    """

    low: float
    high: float
    n: int
    confidence: float | None
    accuracy: float | None


def reliability_figure(bins: Sequence[ReliabilityBin], path_stem: Path, ece: float | None, title: str = "") -> Written:
    """Draw a reliability diagram, with how many samples each bin has, and write it as PNG and SVG.

    Parameters
    ----------
    bins
        In order of confidence.
    path_stem
        Path of the files without their suffix.
    ece
        The expected calibration error; it is named above the diagram.
    title
        Above the picture, such as the model's name.

    Raises
    ------
    ValueError
        If no bin has a sample.
    RunFailedError
        If a file cannot be written.
    """
    if not any(one.n for one in bins):
        raise ValueError("no sample to draw")
    with own_settings():
        figure = new_figure(6.4, 6.2)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        handles = _accuracy(upper, bins)
        _counts(lower, bins)
        n = sum(one.n for one in bins)
        said = f"{n:,} images" if ece is None else f"expected calibration error (ECE) {ece:.4f}, {n:,} images"
        upper.set_title(f"{short_name(title)}\n{said}" if title else said, fontsize=9, loc="left")
        figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
        return save(figure, path_stem, "Reliability diagram")


def wilson(share: float, n: int) -> tuple[float, float]:
    """Return Wilson's 95% interval of a share of n independent samples (1927)."""
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def _accuracy(axes: Axes, bins: Sequence[ReliabilityBin]) -> list[Artist]:
    """Draw the upper part; return what the legend shows."""
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.plot([0, 1], [0, 1], zorder=4, **_EQUAL)
    for one in bins:
        if not one.n or one.accuracy is None or one.confidence is None:
            continue
        width = one.high - one.low
        axes.bar(one.low, one.accuracy, width, zorder=2, **_BAR)
        low, high = sorted((one.accuracy, one.confidence))
        axes.bar(one.low, high - low, width, bottom=low, zorder=3, **_GAP)
        axes.vlines(one.low + width / 2, *wilson(one.accuracy, one.n), zorder=5, **_INTERVAL)
    axes.set_ylabel("accuracy (share that is right)")
    bar, gap = ({key: value for key, value in style.items() if key != "align"} for style in (_BAR, _GAP))
    handles: list[Artist] = [
        Patch(label="accuracy", **bar),
        Patch(label="gap to the mean confidence", **gap),
        Line2D([], [], marker="|", markersize=9, linestyle="none", label="95% interval (Wilson)", **_INTERVAL),
        Line2D([], [], label="as sure as it is right", **_EQUAL),
    ]
    bare(axes)
    return handles


def _counts(axes: Axes, bins: Sequence[ReliabilityBin]) -> None:
    for one in bins:
        axes.bar(one.low, one.n, one.high - one.low, **_COUNT)
    axes.set_yscale("symlog", linthresh=1)
    axes.set_ylim(0, 2 * max(one.n for one in bins))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel("confidence (probability of the predicted class)")
    axes.set_ylabel("images (logarithmic)")
    bare(axes)
