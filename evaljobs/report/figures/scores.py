"""Distributions of the scores of genuine and impostor pairs, a panel for each of the best models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from evaljobs.report.figures.canvas import Written, new_figure, own_settings, save, short_name
from evaljobs.report.figures.found import Scores, picture_stem, ranking_fpr, results_of, scores_of
from evaljobs.report.figures.labels import spread
from evaljobs.report.figures.style import GENUINE, IMPOSTOR, bare, log_axis
from evaljobs.report.results import Document
from evaljobs.report.section import Found, Picture
from evaljobs.report.tables.numbers import count_text, rate_text

Float64 = NDArray[np.float64]

MAX_PANELS = 6
_FLOOR = 0.6  # below one pair
_ROWS_AND_COLUMNS = {1: (1, 1), 2: (1, 2), 3: (1, 3), 4: (2, 2), 5: (2, 3), 6: (2, 3)}
_KINDS: dict[str, dict[str, Any]] = {
    "impostor": {"facecolor": (*(int(IMPOSTOR[i : i + 2], 16) / 255 for i in (1, 3, 5)), 0.25), "edgecolor": IMPOSTOR},
    "genuine": {"facecolor": "none", "edgecolor": GENUINE, "hatch": "////", "linestyle": (0, (5, 1.5))},
}
CAPTION = (
    "How many pairs have which score; the counts are logarithmic, so that the tails are seen, which decide at low FPR. "
    "A pair at or above a threshold is accepted: impostor pairs at its right are false positives."
)


class Panel(NamedTuple):
    """What one panel shows: a distribution, and the thresholds by target FPR, as text."""

    scores: Scores
    thresholds: Mapping[str, float]
    title: str


def thresholds_of(result: Document) -> dict[str, float]:
    """Return the thresholds of a verification by target FPR; targets of one threshold stand together.

    The one at FPR 1 accepts everything, and so is none.
    """
    found: dict[float, list[str]] = {}
    for point in result["points"]:
        if point["threshold"] is not None and float(point["target"]) < 1:
            found.setdefault(float(point["threshold"]), []).append(rate_text(float(point["target"])))
    return {", ".join(targets): threshold for threshold, targets in found.items()}


def scores_figure(panels: Mapping[str, Panel], path_stem: Path) -> Written:
    """Draw distributions and write them as PNG and SVG.

    Parameters
    ----------
    panels
        By model name, best first, at most six.
    path_stem
        Path of the files without their suffix.

    Raises
    ------
    ValueError
        If there is none, or there are too many.
    RunFailedError
        If a file cannot be written.
    """
    if not 1 <= len(panels) <= MAX_PANELS:
        raise ValueError(f"found {len(panels)} distributions; expected 1 to {MAX_PANELS}")
    rows, columns = _ROWS_AND_COLUMNS[len(panels)]
    with own_settings():
        figure = new_figure(max(5.6, 3.2 * columns), 1 + 2.9 * rows)
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
        most = max(float(max(p.scores.genuine.max(), p.scores.impostor.max())) for p in panels.values())
        for axes, (name, panel) in zip(grid.flat, panels.items(), strict=False):
            axes.set_yscale("log")
            log_axis(axes.yaxis, lambda value: count_text(round(value)), between=False)
            # Of its own: thresholds and scores of one model say nothing of those of another.
            axes.set_xlim(_limits(panel.scores))
            axes.set_ylim(_FLOOR, most * 1.5)
            _draw(axes, name, panel)
        for axes in grid[-1]:
            axes.set_xlabel("score (cosine)")
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        width = next(iter(panels.values())).scores.edges
        figure.supylabel(f"pairs in each {width[1] - width[0]:.3g} of score (logarithmic)", fontsize=9)
        _legend(figure)
        return save(figure, path_stem, "Distributions of scores")


def _limits(scores: Scores) -> tuple[float, float]:
    """Return a little less than the lowest and a little more than the highest score of a pair, to a bin."""
    held = np.flatnonzero(scores.genuine + scores.impostor)
    low, high = float(scores.edges[held[0]]), float(scores.edges[held[-1] + 1])
    margin = 0.02 * (high - low)
    return low - margin, high + margin


def _draw(axes: Axes, name: str, panel: Panel) -> None:
    for kind, style in _KINDS.items():
        counts = getattr(panel.scores, kind).astype(np.float64)
        counts[counts == 0] = _FLOOR / 2
        patch = axes.stairs(counts, panel.scores.edges, baseline=_FLOOR / 2, fill=True, linewidth=0.9, **style)
        patch.set_in_layout(False)
    bare(axes)
    axes.tick_params(labelsize=8)
    title = axes.set_title("", fontsize=9, loc="left", pad=28 if panel.thresholds else 6)
    title.set_text(f"{short_name(name)}\n{panel.title}" if panel.title else short_name(name))
    _mark(axes, panel.thresholds)


def _mark(axes: Axes, thresholds: Mapping[str, float]) -> None:
    """Draw each threshold, and its target above the axes, moved where it would cover another."""
    low, high = axes.get_xlim()
    shown = {text: score for text, score in thresholds.items() if low <= score <= high}
    places = spread(list(shown.values()), 0.045 * (high - low), low, high)
    for (text, score), place in zip(shown.items(), places.tolist(), strict=True):
        axes.axvline(score, color="black", linewidth=0.8, linestyle=(0, (2, 2)), zorder=5)
        # In shares of the axes' height above them.
        axes.plot(
            [score, place], [1, 1.03], color="black", linewidth=0.5, transform=axes.get_xaxis_transform(), clip_on=False
        )
        axes.text(
            place,
            1.035,
            text,
            rotation=90,
            fontsize=7,
            ha="center",
            va="bottom",
            transform=axes.get_xaxis_transform(),
        )


def _legend(figure: Figure) -> None:
    handles = [Patch(label=f"{kind} pairs", linewidth=0.9, **style) for kind, style in reversed(_KINDS.items())]
    line = Line2D([], [], color="black", linewidth=0.8, linestyle=(0, (2, 2)), label="threshold of a target FPR")
    figure.legend(handles=[*handles, line], loc="outside lower center", ncols=3, frameon=False, handlelength=3)


def scores_picture(found: Found, fpr: float | None = None) -> Picture | None:
    """Draw the distributions of the best models, at most six; None where none has pairs of both kinds.

    Raises
    ------
    RunFailedError
        If a file cannot be written.
    """
    every = scores_of(found, fpr)
    if not every:
        return None
    at, results = ranking_fpr(found, fpr), results_of(found, fpr)
    panels = {
        name: Panel(scores, thresholds_of(results[name]), _at(results[name], at))
        for name, scores in list(every.items())[:MAX_PANELS]
    }
    written = scores_figure(panels, picture_stem(found, "scores"))
    which = f"the best {len(panels)} of {len(every):,} models" if len(every) > len(panels) else "each model"
    alt = f"Histograms of the scores of genuine and of impostor pairs of {which}, with thresholds"
    error = max(float(results[name].get("curve_error") or 0) for name in panels)
    note = f" A pair closer than {error:.1g} to the edge of a bin may be counted beyond it." if error else ""
    return Picture("scores", "Distributions of scores", alt, written, CAPTION + note)


def _at(result: Document, target: float) -> str:
    """Return the TPR at a target, as text; empty where there is none."""
    tpr = next((point["tpr"] for point in result["points"] if float(point["target"]) == target), None)
    return "" if tpr is None else f"TPR {tpr:.4f} at FPR {rate_text(target)}"
