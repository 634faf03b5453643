"""The ROC figure: honest about resolution, the same each time, whatever the names."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from evaljobs.report.figures.canvas import MAX_NAME, new_figure, own_settings, short_name
from evaljobs.report.figures.roc import RocCurve, coarsely, left_end, roc_figure, steps, tpr_at
from tests.report.figures.drawn import HOSTILE

TARGETS = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0]


def curve(seed: int = 0, n_impostor: int = 1000, n_genuine: int = 200) -> RocCurve:
    rng = np.random.default_rng(seed)
    impostor, genuine = rng.normal(0, 1, n_impostor), rng.normal(2, 1, n_genuine)
    threshold = np.sort(np.concatenate([impostor, genuine]))[::-1]
    fpr = (impostor[None] >= threshold[:, None]).mean(1)
    tpr = (genuine[None] >= threshold[:, None]).mean(1)
    return RocCurve(fpr, tpr, n_impostor)


def slow_tpr_at(found: RocCurve, rate: float) -> float:
    """Return, as defined, the highest TPR among the points that do not exceed the rate."""
    return max((t for f, t in zip(found.fpr, found.tpr, strict=True) if f <= rate), default=0.0)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=20), st.lists(st.integers(0, 20), min_size=20, max_size=20))
def test_the_curve_is_a_step_function(fprs: list[int], tprs: list[int]) -> None:
    """Between two points the TPR is that of the lower FPR: nothing is interpolated."""
    fpr: NDArray[np.float64] = np.sort(np.array(fprs)) / 20
    tpr: NDArray[np.float64] = np.sort(np.array(tprs[: len(fprs)])) / 20
    found = RocCurve(fpr, tpr, 20)
    rates = np.arange(-1, 43) / 42
    assert tpr_at(found, rates).tolist() == [slow_tpr_at(found, rate) for rate in rates]


def test_nothing_is_drawn_that_the_data_cannot_resolve() -> None:
    """The drawn line starts at one false positive, ends at 1, and every vertex lies on the curve."""
    found = curve(n_impostor=1000)
    x, y = steps(found, left=1e-6, places=500)
    assert x[0] == 1 / 1000
    assert x[-1] == 1
    assert y.tolist() == [slow_tpr_at(found, rate) for rate in x]


@pytest.mark.parametrize(
    ("n_impostor", "targets", "left"),
    [
        (321_000, TARGETS, 1e-6),
        (5_000, TARGETS, 1e-5),
        (5_000, [1e-2], 1e-4),
        (10**10, TARGETS, 1e-6),
        (10**10, [1e-8, 1e-4], 1e-8),
        (10, [], 1e-1),
        (1, [1.0], 1e-1),
    ],
)
def test_the_axis_shows_every_target_and_one_false_positive(n_impostor: int, targets: list[float], left: float) -> None:
    """It starts at the decade below one false positive, or below the lowest target; not far below 1e-6."""
    assert left_end({"m": curve()._replace(n_impostor=n_impostor)}, targets) == pytest.approx(left, rel=1e-12)


def test_the_same_curves_give_the_same_bytes(tmp_path: Path) -> None:
    """No date, no version, no random identifier; the user's own settings change nothing and are left alone."""
    curves = {f"model-{i}": curve(i) for i in range(10)}
    first = [path.read_bytes() for path in roc_figure(curves, tmp_path / "roc", TARGETS, 1e-4)]
    with mpl.rc_context({"font.size": 20, "lines.linewidth": 9, "savefig.dpi": 30, "axes.facecolor": "red"}):
        before = dict(mpl.rcParams)
        second = [path.read_bytes() for path in roc_figure(curves, tmp_path / "roc", TARGETS, 1e-4)]
        assert dict(mpl.rcParams) == before
    assert first == second
    assert b"<dc:date>" not in first[1]
    with Image.open(tmp_path / "roc.png") as picture:
        assert picture.size > (1200, 600)
        assert "Software" not in picture.info


@pytest.mark.parametrize(("count", "named", "grey"), [(1, 1, 0), (3, 3, 0), (8, 8, 0), (9, 8, 1), (60, 8, 52)])
def test_the_best_are_named_and_the_rest_grey(tmp_path: Path, count: int, named: int, grey: int) -> None:
    """Up to eight curves are coloured, each further one is a grey line."""
    svg = roc_figure({f"m{i}": curve(i, 100, 50) for i in range(count)}, tmp_path / "roc", [1e-2]).svg.read_text()
    colors = re.findall(r"stroke: (#[0-9a-f]{6}); stroke-opacity: 0\.7", svg)
    assert len(colors) == grey
    palette = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00", "#56b4e9", "#7f3c8d"]
    assert {color for color in palette if color in svg} - {"#000000"} == set(palette[:named]) - {"#000000"}


@pytest.mark.parametrize("names", [HOSTILE[:5], HOSTILE[5:]], ids=["first", "second"])
def test_no_name_breaks_the_figure(tmp_path: Path, names: list[str]) -> None:
    """Mathematics, markup, missing glyphs and endless names are drawn as text, without a warning."""
    written = roc_figure({name: curve(i) for i, name in enumerate(names)}, tmp_path / "roc", TARGETS, 1e-4)
    assert written.png.stat().st_size > 10_000
    assert max(len(short_name(name)) for name in names) <= MAX_NAME


def test_a_long_name_keeps_both_ends() -> None:
    """Variants are told apart by the end of their names."""
    shown = short_name("backbone-" + "x" * 100 + "-squeeze")
    assert shown.startswith("backbone-")
    assert shown.endswith("-squeeze")
    assert "…" in shown


def test_no_curve_is_an_error(tmp_path: Path) -> None:
    """An empty picture would look like a result."""
    with pytest.raises(ValueError, match="no curve"):
        roc_figure({}, tmp_path / "roc")


@pytest.mark.parametrize("seed", range(3))
def test_coarse_curves_pass_through_the_true_ones(seed: int) -> None:
    """Where hundreds are grey, each vertex lies on its curve, and a flat part stays flat from end to end."""
    with own_settings():
        axes = new_figure(4, 4).add_subplot()
        axes.set_xscale("log")
        found = curve(seed, n_impostor=1000, n_genuine=5)
        x, y = steps(found, 1e-4, 1200)
        vertices = coarsely(axes, x, y)
    assert len(vertices) < 60
    assert vertices[[0, -1], 0].tolist() == [x[0], 1]
    assert vertices[:, 1].tolist() == [slow_tpr_at(found, rate) for rate in vertices[:, 0]]
    for height in np.unique(y):
        flat = x[y == height]
        drawn = vertices[vertices[:, 1] == height, 0]
        # Up to one place of the axis, a hundred-and-sixtieth of three decades, is lost at either end.
        if flat[0] * 1.2 < (last := x[x > flat[-1]].min(initial=1)):
            assert drawn[0] <= flat[0] * 1.1
            assert drawn[-1] >= last / 1.1


def test_three_hundred_models_are_a_small_file(tmp_path: Path) -> None:
    """A browser opens it."""
    curves = {f"m{i}": curve(i % 9, 2000, 300) for i in range(300)}
    assert roc_figure(curves, tmp_path / "roc", TARGETS, 1e-4).svg.stat().st_size < 2_500_000
