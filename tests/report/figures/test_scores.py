"""Distributions of scores: what is drawn is what was counted, with the thresholds where they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evaljobs.pairs.verification import Verification
from evaljobs.report.figures.charts import scores_chart
from evaljobs.report.figures.found import scores_of
from evaljobs.report.figures.scores import MAX_PANELS, Panel, scores_figure, scores_picture, thresholds_of
from evaljobs.report.section import Found
from tests.report.figures.drawn import HOSTILE, Vectors, all_scores, found_of, vectors, verified


def test_the_bins_hold_all_pairs(tmp_path: Path) -> None:
    """Each pair of either kind, by brute force, in the bin that the chart names."""
    given = vectors(3, n=60)
    chart = scores_chart(found_of({"m": verified(given)}, tmp_path), "m")
    assert chart is not None
    edges = np.array(chart.data["edges"])
    for kind, scores in zip(("genuine", "impostor"), all_scores(given), strict=True):
        counts, _ = np.histogram(scores, edges)
        assert chart.data[kind] == counts.tolist()
        assert sum(chart.data[kind]) == len(scores)
    assert chart.data["genuine"][-1] + chart.data["impostor"][-1] > 0
    assert chart.data["genuine"][0] + chart.data["impostor"][0] > 0


def test_thresholds_are_those_of_the_points(verifications: list[Verification]) -> None:
    """By target; targets of one threshold are named together, and that which accepts everything is none."""
    result = verifications[0].to_json()
    points = {float(point["target"]): point["threshold"] for point in result["points"]}
    assert thresholds_of(result) == {"1e-3": points[1e-3], "1e-2": points[1e-2], "1e-1": points[1e-1]}
    result["points"][1]["threshold"] = result["points"][0]["threshold"]
    assert list(thresholds_of(result)) == ["1e-3, 1e-2", "1e-1"]
    result["points"][2]["threshold"] = None
    assert list(thresholds_of(result)) == ["1e-3, 1e-2"]


@pytest.mark.parametrize("number", [1, 5, 300])
def test_the_best_have_a_panel(many: Callable[[int], Found], number: int) -> None:
    """Up to six; the picture says how many there are."""
    picture = scores_picture(many(number))
    assert picture is not None
    assert ("the best 6 of" in picture.alt) == (number > MAX_PANELS)
    assert picture.files.svg.stat().st_size < 2_000_000


def test_the_same_scores_give_the_same_bytes(many: Callable[[int], Found]) -> None:
    """Hatches have identifiers too: they do not depend on chance."""
    pictures = [scores_picture(many(1)), scores_picture(many(1))]
    first, second = ([path.read_bytes() for path in picture.files] for picture in pictures if picture is not None)
    assert first == second


def test_an_inexact_histogram_is_told(tmp_path: Path) -> None:
    """Where scores are known by the filter, the caption says how far off they may be."""
    captions = [
        picture.caption
        for collected in (10**7, 0)
        if (picture := scores_picture(found_of({"m": verified(vectors(1), collected=collected)}, tmp_path))) is not None
    ]
    assert ["edge of a bin" in caption for caption in captions] == [False, True]


@pytest.mark.parametrize("labels", [[0, 0], [0, 1], [0, 0, 0], [0, 1, 2]])
def test_without_both_kinds_there_is_no_figure(labels: list[int], tmp_path: Path) -> None:
    """One kind of pairs alone separates nothing."""
    rows = np.random.default_rng(1).standard_normal((len(labels), 3)).astype(np.float32)
    found = found_of({"m": verified(Vectors(rows, np.array(labels)))}, tmp_path)
    assert scores_picture(found) is None
    assert scores_chart(found, "m") is None
    assert scores_chart(found, "another") is None
    assert list(tmp_path.iterdir()) == []


def test_no_name_breaks_the_figure(many: Callable[[int], Found], tmp_path: Path) -> None:
    """Names are text; thresholds that coincide, or lie where no pair does, are drawn or left out."""
    scores = next(iter(scores_of(many(1)).values()))
    thresholds = {"1e-5": 0.5, "1e-4": 0.5000001, "1e-3": 0.49, "1e-2": 5.0, "0.1": -1.5}
    panels = {name: Panel(scores, thresholds, "TPR 0.5") for name in HOSTILE[:MAX_PANELS]}
    assert scores_figure(panels, tmp_path / "scores").png.stat().st_size > 10_000
    for wrong in ({}, dict.fromkeys(map(str, range(7)), Panel(scores, {}, ""))):
        with pytest.raises(ValueError, match="distributions"):
            scores_figure(wrong, tmp_path / "scores")
