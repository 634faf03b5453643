"""The pictures and charts of anomaly jobs: ROC of all models, distributions of scores, best and worst images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from evaljobs.report.comparing.anomalies import like_pairs
from evaljobs.report.figures.anomaly_sheet import anomaly_sheet
from evaljobs.report.figures.charts import roc_chart, scores_chart
from evaljobs.report.figures.found import curves_of, picture_stem, targets_of
from evaljobs.report.figures.roc import IMAGES, roc_figure
from evaljobs.report.figures.uncertainty import Panel, distributions_figure
from evaljobs.report.section import Chart, Found, Picture
from evaljobs.report.tables.leaderboard import find_point
from evaljobs.report.tables.naming import file_name
from evaljobs.report.tables.numbers import rate_text

_SCALE = "anomaly score, its logarithm to base 10"
_WORDS = {"negative": "normal images", "positive": "anomalous images", "score": _SCALE, "unit": "images"}


def roc_of_all(found: Found, fpr: float) -> tuple[list[Picture], list[Chart]]:
    """Return the ROC curves of all models as a picture, which is written, and as a chart of the page.

    Raises
    ------
    RunFailedError
        If the picture cannot be written.
    """
    spoken = like_pairs(found)
    curves, chart = curves_of(spoken, fpr), roc_chart(spoken, fpr)
    if not curves or chart is None:
        return [], []
    alt = f"ROC curves of {len(curves):,} models on a logarithmic FPR axis, the best at FPR {rate_text(fpr)} in colour"
    files = roc_figure(curves, picture_stem(found, "roc"), targets_of(found), fpr, IMAGES)
    picture = Picture("roc", "ROC", alt, files, _ROC)
    return [picture], [replace(chart, data={**chart.data, "words": _WORDS, "shown": fpr})]


_ROC = (
    "The share of anomalous images that is flagged, by the share of normal images that is flagged with them. Each step "
    "of a named curve is one that was observed: nothing is interpolated."
)


def scores_of(found: Found, model: str) -> list[Chart]:
    """Return how a model's scores are distributed."""
    chart = scores_chart(like_pairs(found), model)
    if chart is None:
        return []
    alt = f"Histograms of the scores of normal and anomalous images by {model}, with its thresholds"
    thresholds = {text: math.log10(score) for text, score in chart.data["thresholds"].items() if score > 0}
    return [replace(chart, alt=alt, data={**chart.data, "thresholds": thresholds, "words": _WORDS})]


def pictures_of(found: Found, model: str, fpr: float | None, *, best: bool) -> Iterator[Picture]:
    """Draw what can be drawn of one model: of the best one how its scores are distributed, too.

    Raises
    ------
    RunFailedError
        If a picture cannot be written.
    """
    result = found.group.evaluations[model]["result"]
    point = None if fpr is None else find_point(result, fpr)
    threshold = None if point is None else point["threshold"]
    if best and (distribution := _distribution(found, model, threshold)) is not None:
        yield distribution
    if (sheet := anomaly_sheet(found, model, threshold)) is not None:
        yield sheet


def _distribution(found: Found, model: str, threshold: float | None) -> Picture | None:
    table = found.tables.get(model, {}).get("scores")
    if table is None:
        return None
    edges = np.log10(np.append(table["score_low"].to_numpy(), table["score_high"].to_numpy()[-1:]))
    counts = {kind: table[kind].to_numpy() for kind in ("anomalous", "normal")}
    name = f"scores-{file_name(model)}"
    panel = Panel(_SCALE, edges, counts, math.log10(threshold) if threshold else None)
    return Picture(
        name=name,
        title=f"Distribution of scores: {model}",
        alt=f"How many normal and anomalous images have which anomaly score by {model}, with the threshold",
        files=distributions_figure([panel], picture_stem(found, name), model),
        caption="Counts and scores are logarithmic. At the right of the threshold images are flagged.",
    )
