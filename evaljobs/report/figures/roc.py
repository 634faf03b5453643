"""The ROC figure: all models on one pair of axes, legible in black and white, with three models and with hundreds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import Patch
from numpy.typing import NDArray

from evaljobs.report.figures.canvas import Written, new_figure, own_settings, save
from evaljobs.report.figures.style import (
    GREY,
    HAIRLINE,
    MAX_NAMED,
    bare,
    best_legend,
    line_style,
    log_axis,
    mark_style,
)
from evaljobs.report.tables.numbers import rate_text

Float64 = NDArray[np.float64]

FEW_ERRORS = 30
# Places of the FPR axis at which a curve may step: about one per pixel. Grey lines that overlap by hundreds are drawn
# through fewer places, straight from one to the next.
FINE, COARSE, FEW_CURVES = 1200, 160, 50


class RocCurve(NamedTuple):
    """Points of one ROC curve.

    ``fpr`` and ``tpr`` are float64 [m], in one order of falling threshold; ``n_impostor`` and ``n_genuine`` are how
    many pairs stand behind them.
    """

    fpr: Float64
    tpr: Float64
    n_impostor: int
    n_genuine: int = 0


class Words(NamedTuple):
    """What the axes say that positives and negatives are, and what becomes of them."""

    positive: str
    negative: str
    becomes: str


PAIRS = Words("genuine pairs", "impostor pairs", "accepted")
IMAGES = Words("anomalous images", "normal images", "flagged")


def tpr_at(curve: RocCurve, fpr: Float64) -> Float64:
    """Return the TPR of the last point whose FPR does not exceed each rate, 0 where there is none; float64 [k].

    A step, not an interpolation: between two observed points nothing was observed.
    """
    order = np.lexsort((curve.tpr, curve.fpr))
    before = np.searchsorted(curve.fpr[order], fpr, side="right")
    return np.concatenate(([0.0], curve.tpr[order]))[before]


def roc_figure(
    curves: Mapping[str, RocCurve],
    path_stem: Path,
    targets: Sequence[float] = (),
    ranked_at: float | None = None,
    words: Words = PAIRS,
) -> Written:
    """Draw ROC curves and write them as PNG and SVG; the same bytes for the same curves and versions.

    Parameters
    ----------
    curves
        By model name, best first: the first 8 are named and coloured, the others are grey.
    path_stem
        Path of the files without their suffix.
    targets
        False-positive rates that get a hairline, and a mark on each named curve.
    ranked_at
        The FPR by which the models are ordered; the legend says it.
    words
        What is counted.

    Raises
    ------
    ValueError
        If there is no curve.
    RunFailedError
        If a file cannot be written.
    """
    if not curves:
        raise ValueError("no curve to draw")
    with own_settings():
        figure = new_figure(9.6, 5.2)
        axes = figure.add_subplot()
        left = left_end(curves, targets)
        _frame(axes, left, targets, words)
        n_impostor = max(curve.n_impostor for curve in curves.values())
        axes.set_xlabel(f"false-positive rate (share of {n_impostor:,} {words.negative} {words.becomes}, logarithmic)")
        shaded = _shade(axes, left, n_impostor)
        _draw(axes, curves, left, targets)
        how = f"by TPR at FPR {rate_text(ranked_at)}" if ranked_at is not None else ""
        best_legend(axes, list(curves), how, shaded)
        return save(figure, path_stem, "ROC curves")


def left_end(curves: Mapping[str, RocCurve], targets: Sequence[float]) -> float:
    """Return where the FPR axis starts: below one false positive and below every target, but not far below 1e-6."""
    one = min(1 / max(curve.n_impostor, 1) for curve in curves.values())
    decade = 10.0 ** math.floor(math.log10(one) + 1e-9)
    lowest = min([1e-1, *targets])
    return max(min(decade, lowest), min(1e-6, lowest))


def _frame(axes: Axes, left: float, targets: Sequence[float], words: Words) -> None:
    axes.set_xscale("log")
    axes.set_xlim(left, 1)
    axes.set_ylim(0, 1.01)
    log_axis(axes.xaxis, rate_text)
    axes.set_yticks(np.arange(11) / 10)
    axes.set_ylabel(f"true-positive rate (share of {words.positive} {words.becomes})")
    bare(axes)
    for target in targets:
        axes.axvline(target, color=HAIRLINE, linewidth=0.6, zorder=1)


def _shade(axes: Axes, left: float, n_impostor: int) -> list[Patch]:
    """Mark the rates that these pairs cannot resolve, and those that rest on a few; return what the legend shows."""
    one, few = 1 / max(n_impostor, 1), min(FEW_ERRORS / max(n_impostor, 1), 1)
    shaded: list[Patch] = []
    if few > left:
        style: dict[str, Any] = {"facecolor": "#F1F1F1", "linewidth": 0}
        axes.axvspan(max(one, left), few, zorder=0.5, **style)
        shaded.append(Patch(label=f"under {FEW_ERRORS} false positives", **style))
    if one > left:
        style = {"facecolor": "#E8E8E8", "edgecolor": "#B5B5B5", "hatch": "////", "linewidth": 0}
        axes.axvspan(left, one, zorder=0.5, **style)
        shaded.append(Patch(label="not resolvable", **style))
    return shaded


def _draw(axes: Axes, curves: Mapping[str, RocCurve], left: float, targets: Sequence[float]) -> None:
    """Draw the best last, so that they lie on top."""
    marked = np.asarray(targets, np.float64)
    every = list(curves.values())
    draw_grey(axes, [steps(curve, left, FINE) for curve in every[MAX_NAMED:]])
    for place, curve in reversed(list(enumerate(every[:MAX_NAMED]))):
        x, y = steps(curve, left, FINE)
        (line,) = axes.plot(x, y, drawstyle="steps-post", linewidth=1.5, zorder=4 - place / 100, **line_style(place))
        line.set_in_layout(False)
        resolved = marked[marked * curve.n_impostor >= 1]
        axes.plot(resolved, tpr_at(curve, resolved), clip_on=False, zorder=5 - place / 100, **mark_style(place))


def draw_grey(axes: Axes, curves: Sequence[tuple[Float64, Float64]]) -> None:
    """Draw the curves of models without a name: in steps, or coarsely where they are hundreds.

    Parameters
    ----------
    curves
        The corners of each, its first coordinates rising, in the units of the axes.
    """
    coarse = len(curves) > FEW_CURVES
    lines = LineCollection(
        [coarsely(axes, *curve) if coarse else stairs(*curve) for curve in reversed(curves)],
        colors=GREY,
        linewidths=0.6,
        alpha=0.7,
        zorder=2,
    )
    # What lies within the axes anyway takes no part in finding their place: with hundreds of curves that takes seconds.
    lines.set_in_layout(False)
    axes.add_collection(lines, autolim=False)


def stairs(x: Float64, y: Float64) -> Float64:
    """Return the vertices ``[v, 2]`` of steps of equal height until the next corner."""
    return np.column_stack((np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1]))


def coarsely(axes: Axes, x: Float64, y: Float64) -> Float64:
    """Return vertices ``[v, 2]`` at evenly spread places of the axes, the ends of flat parts among them."""
    scale = axes.xaxis.get_transform()
    first, last = scale.transform(x[[0, -1]]).tolist()
    places = scale.inverted().transform(np.linspace(first, last, COARSE))
    places[0], places[-1] = x[0], x[-1]
    heights = y[np.searchsorted(x, places, side="right") - 1]
    flat = np.zeros(COARSE, np.bool_)
    flat[1:-1] = (heights[1:-1] == heights[:-2]) & (heights[1:-1] == heights[2:])
    return np.column_stack((places, heights))[~flat]


def steps(curve: RocCurve, left: float, places: int) -> tuple[Float64, Float64]:
    """Return the steps of a curve from one false positive on, at most one at each of the places of the axis."""
    start = min(max(left, 1 / max(curve.n_impostor, 1)), 1.0)
    x = np.geomspace(start, 1, places)
    x[0], x[-1] = start, 1
    return corners_at(curve, x)


def corners_at(curve: RocCurve, x: Float64) -> tuple[Float64, Float64]:
    """Return those of the rates at which a curve steps, with the first and the last one, and the TPR from there on."""
    y = tpr_at(curve, x)
    kept = np.concatenate(([True], y[1:] != y[:-1]))
    kept[-1] = True
    return x[kept], y[kept]
