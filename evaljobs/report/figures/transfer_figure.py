"""The figure of threshold transfer: the FPR that a threshold was set for, and the one that it has elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from evaljobs.report.figures.canvas import Written, new_figure, own_settings, save, short_name
from evaljobs.report.figures.found import picture_stem, ranking_fpr
from evaljobs.report.figures.style import (
    GREY,
    MAX_NAMED,
    bare,
    best_legend,
    line_style,
    log_axis,
    mark_style,
)
from evaljobs.report.figures.transfer import transfer_name, transfer_rows
from evaljobs.report.section import Found, Picture
from evaljobs.report.tables.columns import Row
from evaljobs.report.tables.numbers import rate_text

CAPTION = (
    "Each mark is a threshold: to the right the share of impostor pairs that it was set to accept, upwards the share "
    "that it accepts elsewhere. Above the line it accepts more than was asked for. A bar is drawn where the rate is "
    "only known to lie between two others."
)


class Moved(NamedTuple):
    """One threshold: the target FPR it was set for, and the ends between which its real FPR lies."""

    target: float
    low: float
    high: float


def transfer_figure(  # noqa: PLR0913 - the points, and what the axes say
    models: Mapping[str, Sequence[Moved]],
    path_stem: Path,
    *,
    set_a: str,
    set_b: str,
    n_impostor: int,
    ranked_at: float | None = None,
) -> Written:
    """Draw target against real FPR and write it as PNG and SVG.

    Parameters
    ----------
    models
        By name, best first: the first 8 are named and coloured, the others are grey. Each has a threshold at least.
    path_stem
        Path of the files without their suffix.
    set_a, set_b
        Where thresholds were set, and where they are used.
    n_impostor
        Impostor pairs there.
    ranked_at
        The FPR by which the models are ordered; the legend says it.

    Raises
    ------
    ValueError
        If there is nothing to draw.
    RunFailedError
        If a file cannot be written.
    """
    moved = [one for several in models.values() for one in several]
    if not moved:
        raise ValueError("no threshold to draw")
    one = 1 / max(n_impostor, 1)
    bottom = 10.0 ** math.floor(math.log10(min(one, *(m.target for m in moved))) - 1e-9)
    with own_settings():
        figure = new_figure(9.6, 5.4)
        axes = figure.add_subplot()
        _frame(axes, [m.target for m in moved], bottom, max(max(m.target, m.high) for m in moved))
        axes.set_xlabel(f"FPR that the threshold was set for, on {short_name(set_a)} (logarithmic)")
        axes.set_ylabel(f"FPR that it has on {short_name(set_b)} (logarithmic)")
        shown = _guides(axes, bottom, one)
        _draw(axes, list(models.values()), bottom, one)
        how = f"by TPR at FPR {rate_text(ranked_at)}" if ranked_at is not None else ""
        best_legend(axes, list(models), how, shown)
        return save(figure, path_stem, "Threshold transfer")


def _frame(axes: Axes, targets: Sequence[float], bottom: float, highest: float) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(min(targets) / 2, min(max(targets) * 2, 1.5))
    axes.set_ylim(bottom, min(highest * 4, 1.5))
    for axis in (axes.xaxis, axes.yaxis):
        log_axis(axis, rate_text)
    bare(axes, "both")


def _guides(axes: Axes, bottom: float, one: float) -> list[Artist]:
    """Draw where both rates are equal, where they differ by ten, and what the other set cannot resolve."""
    ends = np.array([1e-12, 1.0])
    (equal,) = axes.plot(ends, ends, color="black", linewidth=1, label="as it was set", zorder=1.6)
    for factor in (0.1, 10):
        (tenfold,) = axes.plot(
            ends,
            ends * factor,
            color="#707070",
            linewidth=0.7,
            linestyle=(0, (1, 2)),
            zorder=1.5,
            label="ten times off",
        )
    shown: list[Artist] = [equal, tenfold]
    if one > bottom:
        style: dict[str, Any] = {"facecolor": "#E8E8E8", "edgecolor": "#B5B5B5", "hatch": "////", "linewidth": 0}
        axes.axhspan(bottom, one, zorder=0.5, **style)
        shown.append(Patch(label="no impostor pair accepted", **style))
    return shown


def _draw(axes: Axes, models: Sequence[Sequence[Moved]], bottom: float, one: float) -> None:
    """Draw the best last, so that they lie on top, and side by side, so that none hides another."""
    none = math.sqrt(bottom * one)  # where no pair is accepted

    def height(rate: float) -> float:
        return max(rate, none)

    grey = [[(m.target, height(math.sqrt(height(m.low) * height(m.high)))) for m in several] for several in models]
    axes.add_collection(
        LineCollection([g for g in grey[MAX_NAMED:] if g], colors=GREY, linewidths=0.6, alpha=0.7, zorder=2),
        autolim=False,
    )
    named = models[:MAX_NAMED]
    for place in reversed(range(len(named))):
        aside = 10 ** (0.03 * (place - (len(named) - 1) / 2))
        x = [m.target * aside for m in named[place]]
        low, high = ([height(getattr(m, end)) for m in named[place]] for end in ("low", "high"))
        middle = [math.sqrt(a * b) for a, b in zip(low, high, strict=True)]
        style: dict[str, Any] = {"zorder": 4 - place / 100, "linewidth": 0.8}
        axes.add_line(Line2D(x, middle, **style, **line_style(place)))
        axes.plot(x, middle, clip_on=False, **{**mark_style(place), "zorder": 5 - place / 100})
        axes.vlines(x, low, high, color=line_style(place)["color"], linewidth=2.4, zorder=4.5)


def transfer_picture(
    found_a: Found, found_b: Found, fpr: float | None = None, rows: Iterable[Row] | None = None
) -> Picture | None:
    """Draw what thresholds that were set on one set do on another; None where no model has both rates.

    Parameters
    ----------
    found_a
        The evaluations whose thresholds are taken: the picture is written as one of theirs.
    found_b
        Those on which they are tried.
    fpr
        By the TPR at which models are ordered; the usual one where absent.
    rows
        Those of the table of the same two, if it has been made.

    Raises
    ------
    RunFailedError
        If a file cannot be written.
    """
    models: dict[str, list[Moved]] = {}
    n_impostor = 0
    for row in transfer_rows(found_a, found_b, fpr) if rows is None else rows:
        if row["fpr"] is not None and row["target"] < 1:
            models.setdefault(row["model"], []).append(Moved(row["target"], *row["fpr"]))
            n_impostor = max(n_impostor, int(row["n_impostor"]))
    if not models:
        return None
    set_a, set_b, name = found_a.group.set, found_b.group.set, transfer_name(found_b)
    written = transfer_figure(
        models,
        picture_stem(found_a, name),
        set_a=set_a,
        set_b=set_b,
        n_impostor=n_impostor,
        ranked_at=ranking_fpr(found_a, fpr),
    )
    title = f"Thresholds set on {set_a}, used on {set_b}"
    alt = f"Real FPR on {set_b} against the target FPR on {set_a}, of {len(models):,} models"
    return Picture(name, title, alt, written, CAPTION)
