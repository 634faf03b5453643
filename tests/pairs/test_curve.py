"""The curve for drawing: few points, monotone, exact at the operating points."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

TARGETS = (1e-4, 1e-3, 0.01, 0.1, 1.0)


@pytest.fixture(scope="module")
def data() -> tuple[Any, Any]:
    """600 samples of 60 labels."""
    rng = np.random.default_rng(2)
    labels = np.arange(600) % 60
    return (rng.standard_normal((60, 16))[labels] + 1.2 * rng.standard_normal((600, 16))).astype(np.float32), labels


@pytest.mark.parametrize("collected", [10**7, 0])
def test_the_curve_is_the_roc_curve(data: tuple[Any, Any], oracle: Any, verify_with: Any, collected: int) -> None:
    """Few points, rising from (0, 0) to (1, 1), each within the filter's reach of the true rates at its threshold."""
    found = verify_with(*data, TARGETS, collected=collected)
    curve, truth = found.curve, oracle(*data)
    assert 300 < len(curve.threshold) < 2000
    assert (np.diff(curve.threshold) < 0).all()
    for rates, scores in ((curve.fpr, truth.impostor), (curve.tpr, truth.genuine)):
        assert (rates[0], rates[-1]) == (0, 1)
        assert (np.diff(rates) >= 0).all()
        fuzz = 0 if collected else 2e-6
        ordered = np.sort(scores)
        most = 1 - np.searchsorted(ordered, curve.threshold - fuzz) / len(scores)
        least = 1 - np.searchsorted(ordered, curve.threshold + fuzz) / len(scores)
        assert (rates >= least - 1e-12).all()
        assert (rates <= most + 1e-12).all()


@pytest.mark.parametrize("collected", [10**7, 0])
def test_operating_points_lie_on_the_curve(data: tuple[Any, Any], verify_with: Any, collected: int) -> None:
    """With their exact thresholds and rates."""
    found = verify_with(*data, TARGETS, collected=collected)
    drawn = set(zip(*(column.tolist() for column in found.curve), strict=True))
    points = {(p.threshold, p.fpr, p.tpr) for p in found.points}
    assert len(points) == len(TARGETS)
    assert points <= drawn


def test_low_rates_are_drawn_densely(data: tuple[Any, Any], verify_with: Any) -> None:
    """On a logarithmic axis each decade has its points."""
    fpr = verify_with(*data, TARGETS).curve.fpr
    assert min(((fpr > low) & (fpr <= 10 * low)).sum() for low in (1e-4, 1e-3, 1e-2, 1e-1)) >= 50


@pytest.mark.parametrize("collected", [10**7, 0])
@pytest.mark.parametrize("labels", [[0] * 600, range(600)])
def test_without_one_kind_of_pair_there_is_no_curve(
    data: tuple[Any, Any], verify_with: Any, collected: int, labels: Any
) -> None:
    """An empty table, not a line of nothing."""
    found = verify_with(data[0], labels, TARGETS, collected=collected)
    assert [len(column) for column in found.curve] == [0, 0, 0]
    table = found.curve_table()
    assert (table.column_names, table.num_rows) == (["threshold", "fpr", "tpr"], 0)
    assert {str(field.type) for field in table.schema} == {"double"}
