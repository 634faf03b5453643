"""The data of charts: what the page draws is what was found, and little enough for hundreds of models."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evaljobs.report.figures.charts import front_chart, roc_chart, scores_chart
from evaljobs.report.figures.found import curves_of
from evaljobs.report.figures.front import Titles
from evaljobs.report.section import Found
from tests.report.figures.drawn import TARGETS, found_of

TITLES = Titles("GFLOPs", "TPR")


def test_the_chart_is_the_curve(many: Callable[[int], Found]) -> None:
    """Between two points the TPR is that of the first, to four digits, at each rate and so at each target."""
    found = many(3)
    chart = roc_chart(found)
    assert chart is not None
    assert [curve["name"] for curve in chart.data["curves"]] == list(curves_of(found))
    assert chart.data["targets"] == list(TARGETS)
    for drawn, curve in zip(chart.data["curves"], curves_of(found).values(), strict=True):
        x, y = np.array(drawn["fpr"]), np.array(drawn["tpr"])
        assert (np.diff(x) > 0).all()
        for target in TARGETS:
            true = max(curve.tpr[curve.fpr <= target])
            assert y[np.searchsorted(x, target, side="right") - 1] == pytest.approx(true, abs=6e-5)
        for rate, share in zip(x[1:-1].tolist(), y[1:-1].tolist(), strict=True):
            assert share <= max(curve.tpr[curve.fpr <= rate * 1.001]) + 6e-5
            assert share >= max(curve.tpr[curve.fpr <= rate * 0.999]) - 6e-5


def test_three_hundred_models_are_small(many: Callable[[int], Found]) -> None:
    """All charts of a page come to less than 4 MB, and a curve to 250 points."""
    found = many(300)
    roc = roc_chart(found)
    assert roc is not None
    assert len(roc.data["curves"]) == 300
    assert max(len(curve["fpr"]) for curve in roc.data["curves"]) <= 250
    charts = [roc, *(scores_chart(found, name) for name in found.group.evaluations)]
    assert None not in charts
    assert len(json.dumps([chart.data for chart in charts if chart is not None], allow_nan=False)) < 4_000_000


def test_a_front_is_json() -> None:
    """What is undefined is null; numbers have six digits at the most."""
    rows = [
        {"name": "a", "x": 1.23456789, "y": 0.5, "low": None, "high": float("nan"), "on_front": True},
        {"name": "b", "x": 20, "y": 0.75, "low": 0.7, "high": 0.8, "on_front": np.True_},
        {"name": "c", "x": None, "y": 0.75, "low": 0.7, "high": 0.8, "on_front": False},
    ]
    chart = front_chart("front", "Front", rows, TITLES)
    assert chart is not None
    assert json.loads(json.dumps(chart.data, allow_nan=False)) == {
        "points": [
            {"name": "a", "x": 1.23457, "y": 0.5, "low": None, "high": None, "on_front": True},
            {"name": "b", "x": 20.0, "y": 0.75, "low": 0.7, "high": 0.8, "on_front": True},
        ],
        "x_title": "GFLOPs",
        "y_title": "TPR",
        "log_x": True,
    }
    assert front_chart("front", "Front", rows[1:], TITLES) is None


def test_without_results_there_is_no_chart(tmp_path: Path) -> None:
    """No model, no curve."""
    assert roc_chart(found_of({}, tmp_path)) is None
    assert scores_chart(found_of({}, tmp_path), "m") is None
