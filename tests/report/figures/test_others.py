"""The other figures: fronts, lines, confusion matrices, reliability diagrams and bars; any size, any name, any gap."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from evaljobs.report.figures.bars import bars_figure, lowest
from evaljobs.report.figures.canvas import Written, new_figure, own_settings, settle
from evaljobs.report.figures.confusion import confusion_figure, row_shares
from evaljobs.report.figures.front import Titles, front_figure, front_picture, is_wide
from evaljobs.report.figures.lines import chart_picture, lines_figure, lines_picture, series_of
from evaljobs.report.figures.reliability import ReliabilityBin, reliability_figure, wilson
from evaljobs.report.section import Chart, Found
from tests.report.figures.drawn import HOSTILE

TITLES = Titles("GFLOPs for an image", "TPR at FPR 1e-4")


def bytes_of(written: Written) -> list[bytes]:
    return [path.read_bytes() for path in written]


def test_a_settled_figure_keeps_its_places() -> None:
    """Its parts are placed once: no engine is left, for which each file would be drawn twice."""
    with own_settings():
        figure = new_figure(3, 2)
        axes = figure.add_subplot()
        before = axes.get_position().bounds
        settle(figure)
        placed = axes.get_position().bounds
        assert placed != before
        assert figure.get_layout_engine() is None
        figure.draw_without_rendering()
        assert axes.get_position().bounds == placed


def front_rows(number: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return models of which no other is cheaper and better on the front, by brute force."""
    rng = np.random.default_rng(seed)
    names = [*HOSTILE, *(f"model-{i}" for i in range(number))][:number]
    rows = [
        {"name": n, "x": float(x), "y": float(y), "low": float(y) - 0.01, "high": float(y) + 0.01}
        for n, x, y in zip(names, 10 ** rng.random(number), rng.random(number), strict=True)
    ]
    return [{**r, "on_front": not any(o["x"] < r["x"] and o["y"] > r["y"] for o in rows)} for r in rows]


@pytest.mark.parametrize("number", [1, 2, 10, 300])
def test_a_front_of_any_size(tmp_path: Path, number: int) -> None:
    """The same bytes for the same rows; hostile names; every model is a mark."""
    rows = front_rows(number)
    first, second = (bytes_of(front_figure(rows, tmp_path / "front", TITLES)) for _ in range(2))
    assert first == second
    assert len(first[0]) > 10_000
    assert len(first[1]) < 1_000_000


def test_a_front_needs_two_models_with_both_numbers(many: Callable[[int], Found]) -> None:
    """One point compares nothing; those without a cost are left out and counted."""
    found, rows = many(1), front_rows(3)
    rows[0]["x"], rows[1]["low"] = None, None
    picture = front_picture(found, "front", "Quality against cost", rows, TITLES)
    assert picture is not None
    assert "1 model(s) without" in picture.caption
    rows[1]["y"] = None
    assert front_picture(found, "front", "Quality against cost", rows, TITLES) is None
    assert front_picture(found, "front", "Quality against cost", [], TITLES) is None
    with pytest.raises(ValueError, match="no model"):
        front_figure([], found.folder / "front", TITLES)


@pytest.mark.parametrize(("costs", "wide"), [([1, 5], False), ([0.05, 0.9], True), ([0, 100], False), ([2], False)])
def test_costs_that_lie_far_apart_are_logarithmic(costs: list[float], wide: bool) -> None:
    """Zero has no logarithm."""
    assert is_wide([{"x": x, "y": 1} for x in costs]) == wide


@pytest.mark.parametrize("number", [1, 3, 300])
@pytest.mark.parametrize("ticks", [None, ["run $1$", "\udcff", "c" * 99, "d"]])
def test_lines_of_any_number(many: Callable[[int], Found], number: int, ticks: list[str] | None) -> None:
    """With and without intervals, of epochs and of runs; series of one point beside others."""
    names = [*HOSTILE, *(f"s{i}" for i in range(number))][:number]
    series = {
        name: series_of([(x, 0.5 + x / 10, (0.4, 0.95) if i % 2 else None) for x in range(1 + (i != 1) * 3)])
        for i, name in enumerate(names)
    }
    picture = lines_picture(many(1), "epochs", "Over epochs", series, TITLES, ticks)
    assert picture is not None
    assert picture.files.svg.stat().st_size < 1_000_000


def test_a_chart_of_lines_is_a_picture_too(many: Callable[[int], Found]) -> None:
    """The same numbers, for those who do not open the page."""
    series = {"a": series_of([(1, 0.5, (0.4, 0.6)), (2, 0.7, None)]), "b": series_of([(1, 0.3, None)])}
    lines = [
        {"name": "a", "x": [1, 2], "y": [0.5, 0.7], "low": [0.4, None], "high": [0.6, None]},
        {"name": "b", "x": [1], "y": [0.3], "low": [None], "high": [None]},
    ]
    data = {"lines": lines, "x_title": TITLES.x, "y_title": TITLES.y}
    chart, picture = Chart("l", "Lines", "", "lines", data), lines_picture(many(1), "l", "Lines", series, TITLES)
    assert picture is not None
    first = bytes_of(picture.files)
    again = chart_picture(many(1), chart)
    assert again is not None
    assert bytes_of(again.files) == first


def test_lines_need_two_points(many: Callable[[int], Found], tmp_path: Path) -> None:
    """Points without a value are left out, others stand in the order of x."""
    found = series_of([(3, 0.3, None), (1, 0.1, (0.0, 0.2)), (2, None, None)])
    assert found.x.tolist() == [1, 3]
    assert found.y.tolist() == [0.1, 0.3]
    assert found.low.tolist()[0] == 0.0
    assert np.isnan(found.high[1])
    assert lines_picture(many(1), "l", "Lines", {"a": series_of([(1, 0.5, None)])}, TITLES) is None
    assert lines_picture(many(1), "l", "Lines", {}, TITLES) is None
    with pytest.raises(ValueError, match="no line"):
        lines_figure({"a": series_of([])}, tmp_path / "l", TITLES)


@pytest.mark.parametrize("k", [1, 10, 21, 200])
def test_a_confusion_matrix_of_any_size(tmp_path: Path, k: int) -> None:
    """With hostile names; at 200 classes each cell has pixels of its own."""
    rng = np.random.default_rng(k)
    counts = rng.poisson(0.1, (k, k)) + np.diag(rng.integers(5, 100, k))
    names = [*HOSTILE, *(f"class {i}" for i in range(k))][:k]
    written = confusion_figure(counts, names, tmp_path / "c", "$m^{")
    with Image.open(written.png) as picture:
        assert min(picture.size) > max(400, 5 * k)
    assert written.svg.stat().st_size < 1_000_000
    if k == 1:
        assert bytes_of(confusion_figure(counts, names, tmp_path / "d", "$m^{")) == bytes_of(written)


def test_rows_of_a_confusion_matrix_are_shares() -> None:
    """Of the label's samples; a label without any has none, and is drawn as such."""
    shares = row_shares(np.array([[3, 1], [0, 0]]))
    assert shares[0].tolist() == [0.75, 0.25]
    assert np.isnan(shares[1]).all()


def test_an_empty_class_and_an_empty_matrix(tmp_path: Path) -> None:
    """Classes without samples are grey; names and counts must fit."""
    counts = np.array([[3, 1], [0, 0]])
    assert confusion_figure(counts, ["a", "b"], tmp_path / "c").png.stat().st_size > 5_000
    assert confusion_figure(np.zeros((2, 2), np.int64), ["a", "b"], tmp_path / "c").png.stat().st_size > 5_000
    for names in ([], ["a"]):
        with pytest.raises(ValueError, match="expected"):
            confusion_figure(counts, names, tmp_path / "c")


def test_a_reliability_diagram(tmp_path: Path) -> None:
    """Bins without samples have no bar; the error is named."""
    bins = [ReliabilityBin(i / 15, (i + 1) / 15, 10 * i, (i + 0.5) / 15, i / 20) for i in range(15)]
    bins[3] = ReliabilityBin(3 / 15, 4 / 15, 0, None, None)
    written = [reliability_figure(bins, tmp_path / "r", 0.0123, "$m^{") for _ in range(2)]
    assert bytes_of(written[0]) == bytes_of(written[1])
    assert reliability_figure(bins[14:], tmp_path / "r", None).png.stat().st_size > 5_000
    with pytest.raises(ValueError, match="no sample"):
        reliability_figure(bins[:1], tmp_path / "r", None)


@pytest.mark.parametrize(("right", "n"), [(0, 5), (5, 5), (81, 263), (1, 1)])
def test_intervals_of_bins_are_wilsons(right: int, n: int) -> None:
    """Solved from its definition: the shares that a normal test at 5% does not reject."""
    low, high = wilson(right / n, n)
    grid = np.linspace(0, 1, 200_001)[1:-1]
    kept = grid[np.abs(right / n - grid) <= 1.959963984540054 * np.sqrt(grid * (1 - grid) / n)]
    assert (low, high) == pytest.approx((kept.min(), kept.max()), abs=1e-5)


@pytest.mark.parametrize(("k", "series"), [(1, 3), (10, 1), (200, 2)])
def test_bars_of_any_number(tmp_path: Path, k: int, series: int) -> None:
    """Undefined ones are said to be so, and hostile names are text."""
    rng = np.random.default_rng(k)
    names = [*HOSTILE, *(f"class {i}" for i in range(k))][:k]
    values = {s: [None if i == 1 else float(v) for i, v in enumerate(rng.random(k))] for s in "abc"[:series]}
    written = bars_figure(names, values, tmp_path / "b", "share", "m")
    with Image.open(written.png) as picture:
        assert picture.size[1] < 4000
    if k == 1:
        assert bytes_of(bars_figure(names, values, tmp_path / "c", "share", "m")) == bytes_of(written)
    with pytest.raises(ValueError, match="expected"):
        bars_figure([], {"a": []}, tmp_path / "b", "share")


def test_of_many_bars_the_lowest_are_drawn() -> None:
    """In their order; what is undefined comes last."""
    assert lowest([0.3, None, 0.1]) == [0, 1, 2]
    values = [None if i % 2 else 1 - i / 100 for i in range(100)]
    assert lowest(values) == list(range(20, 100, 2))
