"""The ROC figure: all models on one pair of axes, legible in black and white, with three models and with hundreds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator
from numpy.typing import NDArray

from evaljobs.report.canvas import Written, own_settings, save, short_name
from evaljobs.report.numbers import rate_text

FEW_ERRORS = 30
MAX_NAMED = 8
# Places of the FPR axis at which a curve may step: about one per pixel, fewer where hundreds of grey lines overlap.
FINE, COARSE, FEW_CURVES = 1200, 240, 50

# Okabe and Ito (2008), Color Universal Design: told apart with every common colour vision. Their yellow is too light
# for a line on white and gives way to a violet; grey is kept for the models without a name.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9", "#7F3C8D")
_DASHES = (
    (0, ()),
    (0, (6, 2)),
    (0, (1.5, 1.5)),
    (0, (7, 2, 1.5, 2)),
    (0, (3, 1.5)),
    (0, (7, 2, 1.5, 2, 1.5, 2)),
    (0, (1, 3)),
    (0, (10, 3)),
)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


class RocCurve(NamedTuple):
    """Points of one ROC curve.

    ``fpr`` and ``tpr`` are float64 [m], in one order of falling threshold; ``n_impostor`` is how many impostor pairs
    stand behind the FPR.
    """

    fpr: NDArray[np.float64]
    tpr: NDArray[np.float64]
    n_impostor: int


def tpr_at(curve: RocCurve, fpr: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the TPR of the last point whose FPR does not exceed each rate, 0 where there is none; float64 [k].

    A step, not an interpolation: between two observed points nothing was observed.
    """
    order = np.lexsort((curve.tpr, curve.fpr))
    before = np.searchsorted(curve.fpr[order], fpr, side="right")
    return np.concatenate(([0.0], curve.tpr[order]))[before]


def roc_figure(
    curves: Mapping[str, RocCurve], path_stem: Path, targets: Sequence[float] = (), ranked_at: float | None = None
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
        figure = Figure(figsize=(9.6, 5.2), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        left = left_end(curves, targets)
        _frame(axes, left, targets)
        n_impostor = max(curve.n_impostor for curve in curves.values())
        axes.set_xlabel(f"false-positive rate (share of {n_impostor:,} impostor pairs accepted, logarithmic)")
        shaded = _shade(axes, left, n_impostor)
        _draw(axes, curves, left, targets)
        _legend(axes, list(curves), ranked_at, shaded)
        return save(figure, path_stem, "ROC curves")


def left_end(curves: Mapping[str, RocCurve], targets: Sequence[float]) -> float:
    """Return where the FPR axis starts: below one false positive and below every target, but not far below 1e-6."""
    one = min(1 / max(curve.n_impostor, 1) for curve in curves.values())
    decade = 10.0 ** math.floor(math.log10(one) + 1e-9)
    lowest = min([1e-1, *targets])
    return max(min(decade, lowest), min(1e-6, lowest))


def _frame(axes: Axes, left: float, targets: Sequence[float]) -> None:
    axes.set_xscale("log")
    axes.set_xlim(left, 1)
    axes.set_ylim(0, 1.01)
    axes.xaxis.set_major_locator(LogLocator(base=10, numticks=20))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: rate_text(float(f"{value:.6g}"))))
    axes.set_yticks(np.arange(11) / 10)
    axes.set_ylabel("true-positive rate (share of genuine pairs accepted)")
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    for target in targets:
        axes.axvline(target, color="#9A9A9A", linewidth=0.6, zorder=1)


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
    for place, curve in reversed(list(enumerate(curves.values()))):
        named = place < MAX_NAMED
        x, y = steps(curve, left, FINE if named or len(curves) <= FEW_CURVES else COARSE)
        if not named:
            axes.plot(x, y, drawstyle="steps-post", color="#B8B8B8", linewidth=0.6, alpha=0.7, zorder=2)
            continue
        style = _style(place)
        axes.plot(x, y, drawstyle="steps-post", linewidth=1.5, zorder=4 - place / 100, **style)
        resolved = marked[marked * curve.n_impostor >= 1]
        markers: dict[str, Any] = {
            "marker": _MARKERS[place],
            "color": style["color"],
            "markersize": 4.5,
            "linestyle": "none",
        }
        axes.plot(resolved, tpr_at(curve, resolved), clip_on=False, zorder=5 - place / 100, **markers)


def _style(place: int) -> dict[str, Any]:
    return {"color": _COLORS[place], "linestyle": _DASHES[place]}


def steps(curve: RocCurve, left: float, places: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the steps of a curve from one false positive on, at most one at each of the places of the axis."""
    start = min(max(left, 1 / max(curve.n_impostor, 1)), 1.0)
    x = np.geomspace(start, 1, places)
    x[0], x[-1] = start, 1
    y = tpr_at(curve, x)
    kept = np.concatenate(([True], y[1:] != y[:-1]))
    kept[-1] = True
    return x[kept], y[kept]


def _legend(axes: Axes, names: list[str], ranked_at: float | None, shaded: list[Patch]) -> None:
    named = names[:MAX_NAMED]
    handles: list[Artist] = [
        Line2D([], [], marker=_MARKERS[i], markersize=4.5, linewidth=1.5, **_style(i)) for i in range(len(named))
    ]
    labels = [short_name(name) for name in named]
    if others := len(names) - len(named):
        handles.append(Line2D([], [], color="#B8B8B8", linewidth=1.5))
        labels.append(f"{others} more model{'s' if others > 1 else ''}")
    how = f"by TPR at FPR {rate_text(ranked_at)}" if ranked_at is not None else ""
    title = f"best {len(named)} of {len(names)} {how}" if others else f"best first, {how}" if how else None
    handles += shaded
    labels += [str(patch.get_label()) for patch in shaded]
    legend = axes.legend(
        handles,
        [""] * len(handles),
        title=title,
        loc="upper left",
        bbox_to_anchor=(1.01, 1),
        borderaxespad=0,
        frameon=False,
        handlelength=4,
        alignment="left",
    )
    # Set afterwards: a label is text, not mathematics, and one that starts with an underscore is shown too.
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_parse_math(False)
        text.set_text(label)
