"""The data of the charts that the page draws itself: as little as a screen can show, as JSON of plain numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaljobs.report.figures.found import curves_of, results_of, scores_of_model, targets_of
from evaljobs.report.figures.front import Row, Titles, drawable, is_wide
from evaljobs.report.figures.roc import RocCurve, corners_at, left_end
from evaljobs.report.figures.scores import thresholds_of
from evaljobs.report.results import Document, result_of
from evaljobs.report.section import Chart, Found

Float64 = NDArray[np.float64]

# Of a curve: about one for four pixels of a screen, fewer where there are hundreds of curves.
_PLACES, _FEW_PLACES, _FEW_CURVES = 240, 120, 60
_TPR_DIGITS = 4


def roc_chart(found: Found, fpr: float | None = None) -> Chart | None:
    """Return the ROC curves of all models, best first; None where there is none.

    Between two of its points a curve keeps the TPR of the first; left of the first, at one false positive, it says
    nothing. The TPR at each target is that of the results, of a target that the data cannot resolve too.
    """
    curves = curves_of(found, fpr)
    if not curves:
        return None
    targets = targets_of(found)
    left = left_end(curves, targets)
    places = _PLACES if len(curves) <= _FEW_CURVES else _FEW_PLACES
    results = results_of(found, fpr)
    data = {
        "curves": [
            {"name": name, **_curve(curve, left, targets, places), "at": _at(results[name], targets)}
            for name, curve in curves.items()
        ],
        "n_impostor": max(curve.n_impostor for curve in curves.values()),
        "targets": targets,
    }
    alt = f"ROC curves of {len(curves):,} models, TPR against FPR on a logarithmic axis, best at the chosen FPR first"
    return Chart("roc", "ROC", alt, "roc", data)


def _curve(curve: RocCurve, left: float, targets: Sequence[float], places: int) -> dict[str, list[float]]:
    start = min(max(left, 1 / max(curve.n_impostor, 1)), 1.0)
    spread = [float(f"{x:.3g}") for x in np.geomspace(start, 1, places)[1:-1]]
    rates = np.unique([start, *(x for x in (*spread, *targets) if start < x < 1), 1.0])
    coarse = curve._replace(tpr=np.round(curve.tpr, _TPR_DIGITS))
    x, y = corners_at(coarse, rates)
    # The rates are short as they are, and rounding the others could move a corner beyond a target.
    return {"fpr": x.tolist(), "tpr": rounded(y)}


def _at(result: Document, targets: Sequence[float]) -> list[float | None]:
    """Return the TPR at each target; None where the model has no such target, or the rate is undefined."""
    known = {float(point["target"]): point["tpr"] for point in result["points"]}
    return [_short(known.get(target)) for target in targets]


def scores_chart(found: Found, model: str) -> Chart | None:
    """Return the distribution of a model's scores, from its first to its last pair; None where it has none to draw."""
    scores, result = scores_of_model(found, model), result_of(found.group, model)
    if scores is None or result is None:
        return None
    held = np.flatnonzero(scores.genuine + scores.impostor)
    bins = slice(int(held[0]), int(held[-1]) + 1)
    data = {
        "edges": rounded(scores.edges[bins.start : bins.stop + 1], 8),
        "genuine": scores.genuine[bins].tolist(),
        "impostor": scores.impostor[bins].tolist(),
        "thresholds": thresholds_of(result),
    }
    alt = f"Histograms of the scores of genuine and impostor pairs of {model}, with its thresholds"
    return Chart("scores", "Distribution of scores", alt, "scores", data)


def front_chart(name: str, title: str, rows: Sequence[Row], titles: Titles) -> Chart | None:
    """Return quality against cost; None where fewer than two models have both.

    Parameters
    ----------
    name, title
        Of the chart.
    rows
        A model each, with ``name``, ``x``, ``y``, ``low``, ``high`` and ``on_front``.
    """
    shown = drawable(rows)
    if len(shown) < 2:
        return None
    numbers = ("x", "y", "low", "high")
    points = [
        {"name": str(row["name"]), **{key: _short(row[key]) for key in numbers}, "on_front": bool(row["on_front"])}
        for row in shown
    ]
    data = {"points": points, "x_title": titles.x, "y_title": titles.y, "log_x": is_wide(shown)}
    n = sum(bool(row["on_front"]) for row in shown)
    return Chart(
        name, title, f"{titles.y} against {titles.x} of {len(points):,} models, {n:,} on the front", "front", data
    )


def rounded(values: Float64, digits: int = 4) -> list[float]:
    """Return numbers with so many significant digits."""
    return [float(f"{value:.{digits}g}") for value in values.tolist()]


def _short(value: Any) -> float | None:
    """Return a number as a screen shows it; None for null and for NaN, which JSON has not."""
    return None if value is None or not np.isfinite(value) else float(f"{value:.6g}")
