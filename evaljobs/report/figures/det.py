"""The DET figure: false non-matches against false matches on normal-deviate axes, as biometrics draws them.

After Martin et al., The DET curve in assessment of detection task performance (Eurospeech 1997): where scores are
normal, the curve is a straight line, and both kinds of errors have the room that a ROC curve gives to none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from evaljobs.report.figures.canvas import Written, new_figure, own_settings, save
from evaljobs.report.figures.found import curves_of, picture_stem, ranking_fpr, targets_of
from evaljobs.report.figures.roc import (
    FEW_ERRORS,
    FINE,
    RocCurve,
    corners_at,
    draw_grey,
    left_end,
    tpr_at,
)
from evaljobs.report.figures.style import (
    HAIRLINE,
    MAX_NAMED,
    bare,
    best_legend,
    line_style,
    mark_style,
)
from evaljobs.report.section import Found, Picture
from evaljobs.report.tables.numbers import rate_text

Float64 = NDArray[np.float64]

RIGHT = 0.5
_TICKS = (
    *(float(f"1e-{power}") for power in range(12, 2, -1)),
    0.01,
    0.05,
    0.1,
    0.2,
    0.3,
    0.5,
    0.7,
    0.9,
    0.99,
    0.999,
    0.9999,
)
_NORMAL = NormalDist()
CAPTION = (
    "Both kinds of errors, on axes on which normal scores give straight lines: nearer to the lower left is better. A "
    "curve on the lower edge rejects no genuine pair, or fewer than the axis shows."
)


class Ends(NamedTuple):
    """What the axes show, as rates."""

    left: float
    bottom: float
    top: float


def deviate(rate: float) -> float:
    """Return the normal deviate of a rate in (0, 1): the inverse of the normal distribution."""
    return _NORMAL.inv_cdf(rate)


def det_points(curve: RocCurve, left: float, places: int) -> tuple[Float64, Float64]:
    """Return the corners of a DET curve from one false match on, as rates.

    Parameters
    ----------
    left
        The false-match rate at which the axis starts.
    places
        At how many places of the axis, evenly spread over it, the curve may step.

    Returns
    -------
    False-match and false-non-match rates, ``[m]`` float64 each, the first ones rising.
    """
    start = max(left, 1 / max(curve.n_impostor, 1))
    fmr = np.array([_NORMAL.cdf(z) for z in np.linspace(deviate(start), deviate(RIGHT), places)])
    fmr[0], fmr[-1] = start, RIGHT
    x, tpr = corners_at(curve, fmr)
    return x, 1 - tpr


def is_drawable(curve: RocCurve) -> bool:
    """Whether one false match is a rate that the axis shows."""
    return curve.n_impostor * RIGHT > 1


def det_figure(
    curves: Mapping[str, RocCurve], path_stem: Path, targets: Sequence[float] = (), ranked_at: float | None = None
) -> Written:
    """Draw DET curves and write them as PNG and SVG.

    Parameters
    ----------
    curves
        By model name, best first, each drawable: the first 8 are named and coloured, the others are grey.
    path_stem
        Path of the files without their suffix.
    targets
        False-match rates that get a hairline, and a mark on each named curve.
    ranked_at
        The false-match rate by which the models are ordered; the legend says it.

    Raises
    ------
    ValueError
        If there is no curve.
    RunFailedError
        If a file cannot be written.
    """
    if not curves:
        raise ValueError("no curve to draw")
    every = list(curves.values())
    left = min(left_end(curves, targets), 0.1)
    drawn = [det_points(curve, left, FINE) for curve in every]
    ends = _ends(left, drawn[:MAX_NAMED], max(curve.n_genuine for curve in every))
    marked = [target for target in targets if ends.left <= target <= RIGHT]
    with own_settings():
        figure = new_figure(9.6, 5.6)
        axes = figure.add_subplot()
        _frame(axes, ends, marked)
        shown = _shade(axes, ends, max(c.n_impostor for c in every), max(c.n_genuine for c in every))
        inner = [_on_axes(*points, ends) for points in drawn]
        draw_grey(axes, inner[MAX_NAMED:])
        for place in reversed(range(min(len(every), MAX_NAMED))):
            _draw(axes, place, inner[place])
            _mark(axes, place, every[place], marked, ends)
        how = f"by FNMR at FMR {rate_text(ranked_at)}" if ranked_at is not None else ""
        best_legend(axes, list(curves), how, shown)
        return save(figure, path_stem, "DET curves")


def _ends(left: float, named: Sequence[tuple[Float64, Float64]], n_genuine: int) -> Ends:
    """Show all of the named curves, as far down as one false non-match and a little further."""
    fnmr = np.concatenate([y for _, y in named])
    positive = fnmr[(fnmr > 0) & (fnmr < 1)]
    lowest = float(positive.min(initial=0.1))
    bottom = max((tick for tick in _TICKS if tick <= min(lowest, 0.1)), default=_TICKS[0])
    highest = float(positive.max(initial=0.5))
    top = min((tick for tick in _TICKS if tick >= max(highest, 0.5)), default=_TICKS[-1])
    return Ends(left, max(bottom, min(0.01, 10.0 ** np.floor(np.log10(1 / max(n_genuine, 1))))), top)


def _on_axes(fmr: Float64, fnmr: Float64, ends: Ends) -> tuple[Float64, Float64]:
    """Return points as deviates; what lies below or above the axis is put on its edge."""
    inside = np.clip(fnmr, ends.bottom, ends.top)
    return np.array([deviate(x) for x in fmr.tolist()]), np.array([deviate(y) for y in inside.tolist()])


def _frame(axes: Axes, ends: Ends, marked: Sequence[float]) -> None:
    axes.set_xlim(deviate(ends.left), deviate(RIGHT))
    axes.set_ylim(deviate(ends.bottom), deviate(ends.top))
    for axis, low, high in ((axes.xaxis, ends.left, RIGHT), (axes.yaxis, ends.bottom, ends.top)):
        ticks = [tick for tick in _TICKS if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
        axis.set_ticks(
            [deviate(tick) for tick in ticks], [rate_text(tick) if tick < 0.01 else f"{tick:g}" for tick in ticks]
        )
    axes.set_xlabel("false-match rate (share of impostor pairs accepted, normal deviate)")
    axes.set_ylabel("false-non-match rate (share of genuine pairs rejected, normal deviate)")
    bare(axes, "both")
    for target in marked:
        axes.axvline(deviate(target), color=HAIRLINE, linewidth=0.6, zorder=1)


def _shade(axes: Axes, ends: Ends, n_impostor: int, n_genuine: int) -> list[Artist]:
    """Mark equal errors, and rates that rest on a few pairs; return what the legend shows of it."""
    style: dict[str, Any] = {"facecolor": "#F1F1F1", "linewidth": 0, "zorder": 0.5}
    shown: list[Artist] = []
    few = [min(FEW_ERRORS / max(n, 1), RIGHT) for n in (n_impostor, n_genuine)]
    if few[0] > ends.left:
        axes.axvspan(deviate(ends.left), deviate(few[0]), **style)
    if few[1] > ends.bottom:
        axes.axhspan(deviate(ends.bottom), deviate(min(few[1], ends.top)), **style)
    if few[0] > ends.left or few[1] > ends.bottom:
        shown.append(Patch(label=f"under {FEW_ERRORS} errors", **style))
    low = deviate(max(ends.left, ends.bottom))
    equal: dict[str, Any] = {"color": "#707070", "linewidth": 0.8, "linestyle": (0, (1, 2))}
    axes.plot([low, 0], [low, 0], zorder=1.5, **equal)
    shown.append(Line2D([], [], label="equal error rates", **equal))
    return shown


def _draw(axes: Axes, place: int, points: tuple[Float64, Float64]) -> None:
    (line,) = axes.plot(*points, drawstyle="steps-post", linewidth=1.5, zorder=4 - place / 100, **line_style(place))
    line.set_in_layout(False)


def _mark(axes: Axes, place: int, curve: RocCurve, targets: Sequence[float], ends: Ends) -> None:
    """Mark the targets that a curve resolves."""
    at = np.array([target for target in targets if target * curve.n_impostor >= 1], np.float64)
    points = _on_axes(at, 1 - tpr_at(curve, at), ends)
    axes.plot(*points, clip_on=False, zorder=5 - place / 100, **mark_style(place))


def det_picture(found: Found, fpr: float | None = None) -> Picture | None:
    """Draw the DET curves of all models, ordered by their TPR at a target; None where there is none to draw.

    Raises
    ------
    RunFailedError
        If a file cannot be written.
    """
    curves = {name: curve for name, curve in curves_of(found, fpr).items() if is_drawable(curve)}
    if not curves:
        return None
    written = det_figure(curves, picture_stem(found, "det"), targets_of(found), ranking_fpr(found, fpr))
    alt = f"DET curves of {len(curves):,} models: false-non-match against false-match rate on normal-deviate axes"
    return Picture("det", "DET", alt, written, CAPTION)
