"""Threshold transfer: what is said of the other set is true of all its pairs."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaljobs.report.figures.transfer import rates_at, transfer
from evaljobs.report.figures.transfer_figure import Moved, transfer_figure, transfer_picture
from evaljobs.report.section import Found, Table
from evaljobs.report.tables.columns import with_beside
from tests.report.figures.drawn import HOSTILE, Vectors, all_scores, found_of, vectors, verified


def true_rates(on: Vectors, threshold: float) -> tuple[Fraction | None, Fraction | None]:
    """Count the impostor and the genuine pairs at or above a threshold."""
    genuine, impostor = all_scores(on)
    fpr, tpr = (
        Fraction(int((scores >= threshold).sum()), len(scores)) if len(scores) else None
        for scores in (impostor, genuine)
    )
    return fpr, tpr


def holds(bracket: Any, rate: Fraction | None) -> bool:
    """Whether a rate lies in its bracket; as float64, like the bracket's ends."""
    return bracket is None if rate is None else bool(bracket.low <= float(rate) <= bracket.high)


@st.composite
def small_sets(draw: st.DrawFn) -> Vectors:
    """Vectors of small integers, so that scores tie; two labels or more, so that there are impostors."""
    n = draw(st.integers(3, 14))
    rows = draw(st.lists(st.lists(st.integers(-2, 2), min_size=3, max_size=3), min_size=n, max_size=n))
    labels = draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
    return Vectors(np.array(rows, np.float32) + np.float32([0, 0, 2.5]), np.array([0, 1, *labels[2:]]))


@settings(max_examples=60, deadline=None)
@given(a=small_sets(), b=small_sets(), collected=st.sampled_from([10**7, 0]))
def test_the_bracket_holds_the_true_rate(a: Vectors, b: Vectors, collected: int, tmp_path_factory: Any) -> None:
    """For every threshold of A, and every number between and beyond its scores: by brute force over the pairs of B."""
    del tmp_path_factory
    other = verified(b, collected=collected)
    result, table = other.to_json(), other.curve_table()
    points = [p.threshold for p in verified(a).points if p.threshold is not None]
    scores = np.unique(np.concatenate(all_scores(b)))
    between = (scores[1:] + scores[:-1]) / 2
    thresholds = [*points, *scores, *between, *np.nextafter(scores, 2), *np.nextafter(scores, -2), -1.5, 1.5]
    for threshold, rates in zip(thresholds, rates_at(result, table, thresholds), strict=True):
        fpr, tpr = true_rates(b, threshold)
        assert holds(rates.fpr, fpr)
        assert holds(rates.tpr, tpr)


@pytest.mark.parametrize("collected", [10**7, 0])
def test_brackets_are_narrow(collected: int) -> None:
    """Not [0, 1]: of a few thousand pairs, two of either kind at most where scores are exact, a handful else."""
    on = vectors(2, n=120, spread=1.5)
    other = verified(on, collected=collected)
    thresholds = np.linspace(-0.9, 0.99, 300).tolist()
    found = rates_at(other.to_json(), other.curve_table(), thresholds)
    assert max(r.fpr.high - r.fpr.low for r in found if r.fpr is not None) < 0.015
    low = [r.fpr for r in found if r.fpr is not None and r.fpr.high < 0.01]
    assert len(low) > 30
    assert max(bracket.high - bracket.low for bracket in low) * other.n_impostor < 2.5


@pytest.mark.parametrize("collected", [10**7, 0])
def test_a_threshold_on_its_own_set_is_exact(collected: int, tmp_path: Path) -> None:
    """The operating points are known exactly, however the curve is."""
    found = found_of({"m": verified(vectors(1), collected=collected)}, tmp_path)
    table = transfer(found, found)
    assert len(table.rows) == 4
    for row in table.rows:
        assert row["fpr"] == (row["point"]["fpr"],) * 2
        assert row["tpr"] == (row["point"]["tpr"],) * 2
    assert table.notes == ()


def cells(table: Table) -> list[dict[str, Any]]:
    """Return what stands in files."""
    columns = list(with_beside(table.columns))
    return [{column.name: column.value(row) for column in columns} for row in table.rows]


def two_sets(tmp_path: Path, names: list[str]) -> tuple[Found, Found]:
    a = {name: verified(vectors(i, spread=0.8)) for i, name in enumerate(names)}
    b = {name: verified(vectors(10 + i, n=140, spread=1.4)) for i, name in enumerate(names)}
    return found_of(a, tmp_path, "easy", "verify-easy-"), found_of(b, tmp_path, "hard", "verify-hard-")


def test_the_table_says_between_where_it_does_not_know(tmp_path: Path) -> None:
    """A row for each model and target, the text says what the numbers say."""
    table = transfer(*two_sets(tmp_path, ["x", "y"]))
    assert table.name == "transfer-verify-hard"
    assert table.title == "Thresholds set on easy, used on hard"
    rows = cells(table)
    assert {row["model"] for row in rows} == {"x", "y"}
    assert [row["target"] for row in rows] == [0.001, 0.01, 0.1, 1.0] * 2
    text = next(column for column in table.columns if column.name == "fpr_low").text
    said = [text(row) for row in table.rows]
    exact = [row["fpr_low"] == row["fpr_high"] for row in rows]
    assert any(exact)
    assert not all(exact)
    assert [one for one, same in zip(said, exact, strict=True) if same and "between" in one] == []
    assert sum(one.startswith("between ") for one in said) >= 3
    assert rows[0]["times_high"] == rows[0]["fpr_high"] / 0.001
    assert table.notes


def test_what_is_undefined_is_null(tmp_path: Path) -> None:
    """Without impostors there is no real FPR, and no figure; the reason is said."""
    a, _ = two_sets(tmp_path, ["x"])
    one_label = vectors(3)._replace(labels=np.zeros(120, np.int64))
    b = found_of({"x": verified(one_label)}, tmp_path, "one")
    table = transfer(a, b)
    assert [row["fpr_high"] for row in cells(table)] == [None] * 4
    text = next(column for column in table.columns if column.name == "fpr_low").text
    assert text(table.rows[0]) == "- (no impostor pairs)"
    assert transfer_picture(a, b) is None
    assert transfer(b, a).rows == []
    assert transfer_picture(b, a) is None
    assert transfer(a, found_of({}, tmp_path)).rows == []


def test_results_of_another_version_are_not_guessed(tmp_path: Path) -> None:
    """Where the error of the scores is not known, only what is exact is told."""
    a, b = two_sets(tmp_path, ["x"])
    result = b.group.evaluations["x"]["result"]
    result.pop("curve_error")
    result["auroc_exact"] = False
    row = transfer(a, b).rows[1]
    known = {point["fpr"] for point in result["points"]} | {0.0, 1.0}
    assert {row["fpr"].low, row["fpr"].high} <= known


def test_the_same_transfer_gives_the_same_bytes(tmp_path: Path) -> None:
    """PNG and SVG, in the folder of the set that thresholds come from."""
    pictures = [transfer_picture(*two_sets(tmp_path, ["x", "y", "z"])) for _ in range(2)]
    first, second = ([path.read_bytes() for path in picture.files] for picture in pictures if picture is not None)
    assert first == second
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == [
        "verify-easy-transfer-verify-hard.png",
        "verify-easy-transfer-verify-hard.svg",
    ]


@pytest.mark.parametrize("number", [1, 9, 300])
def test_any_number_of_models_is_drawn(tmp_path: Path, number: int) -> None:
    """Rates of zero included, and hostile names."""
    rng = np.random.default_rng(number)
    names = [*HOSTILE, *(f"m{i}" for i in range(number))][:number]
    models = {
        name: [Moved(t, max(0.0, m - 1e-6), m) for t in (1e-5, 1e-3, 0.1) if (m := t * rng.choice([0, 0.3, 5])) >= 0]
        for name in names
    }
    written = transfer_figure(models, tmp_path / "t", set_a="$a^{", set_b="\udcff", n_impostor=10**6, ranked_at=1e-4)
    assert written.png.stat().st_size > 10_000
    assert written.svg.stat().st_size < 2_000_000
    with pytest.raises(ValueError, match="no threshold"):
        transfer_figure({"m": []}, tmp_path / "t", set_a="a", set_b="b", n_impostor=5)
