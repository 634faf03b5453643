"""The DET figure: the same errors as the definition, on axes that have room for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm  # type: ignore[import-untyped]  # it has no annotations

from evaljobs.report.figures.det import det_figure, det_picture, det_points, deviate
from evaljobs.report.figures.roc import RocCurve
from evaljobs.report.section import Found
from tests.report.figures.drawn import HOSTILE, Vectors, all_scores, found_of, vectors, verified


@pytest.mark.parametrize("seed", range(4))
def test_both_errors_are_those_of_all_pairs(seed: int) -> None:
    """At each false-match rate of the axis: the lowest false-non-match rate of a threshold that does not exceed it."""
    given = vectors(seed, n=60, spread=1.0 + seed / 2)
    genuine, impostor = all_scores(given)
    found = verified(given)
    curve = RocCurve(found.curve.fpr, found.curve.tpr, found.n_impostor, found.n_genuine)
    x, y = det_points(curve, 1e-4, 200)
    thresholds = [*np.unique([*genuine, *impostor]), 2.0]
    errors = [((impostor >= t).mean(), (genuine < t).mean()) for t in thresholds]
    assert len(x) > 20
    assert x[0] == 1 / len(impostor)
    for fmr, fnmr in zip(x.tolist(), y.tolist(), strict=True):
        # All ranks of so few pairs stand in the table.
        assert fnmr == pytest.approx(min(b for a, b in errors if a <= fmr), abs=1e-12)


def test_axes_are_normal_deviates() -> None:
    """Rates of 1e-9 to 1 - 1e-9 lie where the normal distribution puts them."""
    for rate in (1e-9, 1e-5, 0.02, 0.5, 0.9, 1 - 1e-9):
        assert deviate(rate) == pytest.approx(norm.ppf(rate), rel=1e-9, abs=1e-12)


def test_the_same_curves_give_the_same_bytes(many: Callable[[int], Found]) -> None:
    """As every figure: nothing of the time or the machine is in it."""
    pictures = [det_picture(many(12)), det_picture(many(12))]
    first, second = ([path.read_bytes() for path in picture.files] for picture in pictures if picture is not None)
    assert first == second
    assert first[0].startswith(b"\x89PNG")


@pytest.mark.parametrize("number", [1, 3, 300])
def test_any_number_of_models_is_drawn(many: Callable[[int], Found], number: int) -> None:
    """All of them, and a file that a browser opens."""
    picture = det_picture(many(number))
    assert picture is not None
    assert f"{number:,} models" in picture.alt
    assert picture.files.svg.stat().st_size < 4_000_000


def test_perfect_and_useless_models_are_drawn(tmp_path: Path) -> None:
    """No error at all, all errors, and a curve of one step lie on the edges of the axes."""
    ends = np.array([0.0, 1.0])
    curves = {
        "perfect": RocCurve(np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0]), 1000, 50),
        "useless": RocCurve(np.array([0.0, 0.5, 1.0]), np.array([0.0, 0.0, 1.0]), 1000, 50),
        "one step": RocCurve(ends, ends, 1000, 50),
    }
    assert det_figure(curves, tmp_path / "det", [1e-3], 1e-3).png.stat().st_size > 10_000


@pytest.mark.parametrize("labels", [[0, 0], [0, 1], [0, 0, 0], [0, 1, 2], [0, 0, 1]])
def test_without_a_curve_there_is_no_figure(labels: list[int], tmp_path: Path) -> None:
    """Two samples, one kind of pairs, a rate of one half at the least: nothing is drawn, nothing breaks."""
    rows = np.random.default_rng(1).standard_normal((len(labels), 3)).astype(np.float32)
    found = found_of({"m": verified(Vectors(rows, np.array(labels)))}, tmp_path)
    assert det_picture(found) is None
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="no curve"):
        det_figure({}, tmp_path / "det")


def test_no_name_breaks_the_figure(many: Callable[[int], Found], tmp_path: Path) -> None:
    """Names are text."""
    one = next(iter(many(1).group.evaluations.values()))
    assert one["status"] == "ok"
    curve = RocCurve(np.array([0.0, 0.1, 1.0]), np.array([0.3, 0.6, 1.0]), 1000, 50)
    for some in (HOSTILE[:5], HOSTILE[5:]):
        assert det_figure(dict.fromkeys(some, curve), tmp_path / "det", [0.1], 0.1).png.stat().st_size > 10_000
