"""Accuracy, precision, recall and F1: scikit-learn is the second opinion on each number."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics

import evaljobs
from evaljobs.classification.classification import Classification

Draw = Callable[..., Any]

# Even and skewed classes, as few as can be and many; few samples leave classes without any.
CASES = [(300, 2, False), (400, 7, False), (500, 7, True), (60, 40, True), (3000, 200, False), (1, 2, False)]


@pytest.fixture(params=CASES, ids=lambda case: f"n{case[0]}-k{case[1]}{'-skewed' if case[2] else ''}")
def drawn(request: pytest.FixtureRequest, draw: Draw) -> Any:
    """Give scores and labels."""
    n, k, skewed = request.param
    return draw(n, k, seed=k, skewed=skewed)


def judged(drawn: Any, **options: Any) -> Classification:
    return evaljobs.classify(drawn.scores, drawn.labels, **options)


def by_sklearn(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call scikit-learn, which warns of what is undefined."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*arguments, **options)


def number(value: float | None) -> float:
    return np.nan if value is None else value


def test_rates_of_each_class_are_those_of_scikit_learn(drawn: Any) -> None:
    """Precision, recall, F1 and support, with what is undefined as NaN, for classes without images too."""
    found = judged(drawn)
    k = drawn.scores.shape[1]
    wanted = by_sklearn(
        metrics.precision_recall_fscore_support,
        drawn.labels,
        drawn.scores.argmax(1),
        labels=range(k),
        zero_division=np.nan,
    )
    for mine, theirs in zip(
        (found.per_class.precision, found.per_class.recall, found.per_class.f1), wanted, strict=False
    ):
        np.testing.assert_allclose(mine, theirs, rtol=1e-14)
    assert found.per_class.n_samples.tolist() == wanted[3].tolist()


@pytest.mark.parametrize("average", ["macro", "weighted", "micro"])
def test_averages_are_those_of_scikit_learn(drawn: Any, average: str) -> None:
    """Over all classes; those in which a rate is undefined are left out of its average."""
    k = drawn.scores.shape[1]
    wanted = by_sklearn(
        metrics.precision_recall_fscore_support,
        drawn.labels,
        drawn.scores.argmax(1),
        labels=range(k),
        average=average,
        zero_division=np.nan,
    )
    found = getattr(judged(drawn), average)
    assert [number(x) for x in found] == pytest.approx(wanted[:3], rel=1e-13, nan_ok=True)


def test_accuracies_are_those_of_scikit_learn(drawn: Any) -> None:
    """Accuracy, balanced accuracy, and top-k for every k below the number of classes."""
    found = judged(drawn, top_k=(1, 3, 5, 50))
    predicted = drawn.scores.argmax(1)
    assert found.accuracy == metrics.accuracy_score(drawn.labels, predicted)
    balanced = by_sklearn(metrics.balanced_accuracy_score, drawn.labels, predicted)
    assert found.balanced_accuracy == pytest.approx(balanced, rel=1e-14)
    k = drawn.scores.shape[1]
    assert [top.k for top in found.top_k] == [n for n in (1, 3, 5, 50) if n < k]
    for top in found.top_k:
        # With two classes scikit-learn wants the scores of one.
        scores = drawn.scores[:, 1] - drawn.scores[:, 0] if k == 2 else drawn.scores
        wanted = by_sklearn(metrics.top_k_accuracy_score, drawn.labels, scores, k=top.k, labels=range(k))
        assert top.accuracy == pytest.approx(wanted, rel=1e-14)
        assert top.n_correct == round(wanted * len(predicted))
    assert found.top_k[0].accuracy == found.accuracy


def test_confusion_is_that_of_scikit_learn(drawn: Any) -> None:
    """As a matrix, and as the table of its cells that are not 0."""
    k = drawn.scores.shape[1]
    wanted = metrics.confusion_matrix(drawn.labels, drawn.scores.argmax(1), labels=range(k))
    found = judged(drawn, classes=[f"c{i}" for i in range(k)])
    assert found.confusion().tolist() == wanted.tolist()
    rows = found.tables()["confusion"].to_pylist()
    cells = {(row["label"], row["predicted"]): row["count"] for row in rows}
    assert cells == {(f"c{i}", f"c{j}"): int(wanted[i, j]) for i, j in zip(*np.nonzero(wanted), strict=True)}
    assert list(cells) == sorted(cells, key=lambda cell: (int(cell[0][1:]), int(cell[1][1:])))


def test_the_lowest_class_of_a_tie_is_predicted_and_ties_are_counted() -> None:
    """Equal scores are decided by the number of the class, in the prediction and in every rank, and said."""
    scores = np.array([[1, 1, 0], [0, 2, 2], [3, 3, 3], [0, 1, 2]], np.float32)
    found = evaljobs.classify(scores, [0, 2, 1, 2], top_k=(1, 2))
    assert found.n_tied == 3
    assert found.confusion().tolist() == [[1, 0, 0], [1, 0, 0], [0, 1, 1]]
    # The right class of the rows stands at place 0, 1, 1, 0.
    assert [top.n_correct for top in found.top_k] == [2, 4]
    assert found.n_correct == 2


def rates(matrix: NDArray[np.int64], i: int) -> tuple[float | None, float | None]:
    """Return precision and recall by the words of their definition."""
    predicted, images = int(matrix[:, i].sum()), int(matrix[i].sum())
    right = int(matrix[i, i])
    return right / predicted if predicted else None, right / images if images else None


def test_what_is_undefined_is_null_in_every_table(draw: Draw) -> None:
    """A class without images has no recall, one that is never predicted no precision: null, and not 0."""
    drawn = draw(15, 20, seed=5, skewed=True, skill=0.5)
    found = judged(drawn)
    rows = found.tables()["classes"].to_pylist()
    matrix = found.confusion()
    assert [(row["precision"], row["recall"]) for row in rows] == [rates(matrix, i) for i in range(20)]
    assert any(row["recall"] is None for row in rows)
    assert any(row["precision"] is None and row["f1"] == 0 for row in rows)
    assert [row["class"] for row in rows] == [str(i) for i in range(20)]


def test_one_class_is_always_right() -> None:
    """Nothing divides by zero where there is but one class."""
    found = evaljobs.classify(np.zeros((3, 1)), ["a"] * 3, ["a"], scores_are="logits")
    assert (found.accuracy, found.balanced_accuracy, found.macro) == (1, 1, (1, 1, 1))
    assert [(top.k, top.accuracy) for top in found.top_k] == [(1, 1)]
    assert found.calibration is not None
    assert (found.calibration.ece, found.calibration.nll, found.calibration.brier) == (0, 0, 0)
