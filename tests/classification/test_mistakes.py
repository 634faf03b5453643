"""The most confident mistakes: what people look at first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import evaljobs

Draw = Callable[..., Any]
Softmax = Callable[[NDArray[np.float32]], NDArray[np.float64]]


def test_mistakes_are_the_most_confident_ones(draw: Draw, softmax: Softmax) -> None:
    """By brute force over all rows: wrong ones alone, by falling confidence, then by row."""
    drawn = draw(300, 4, skill=1.0)
    scores = np.concatenate([drawn.scores, drawn.scores[:50]])  # equal rows have equal confidences
    labels = np.concatenate([drawn.labels, drawn.labels[:50]])
    probabilities = softmax(scores)
    predicted = scores.argmax(1)
    wrong = [row for row in range(350) if predicted[row] != labels[row]]
    wanted = sorted(wrong, key=lambda row: (-probabilities[row].max(), row))[:40]
    names = [f"c{i}" for i in range(4)]
    table = evaljobs.classify(scores, labels, names, scores_are="logits", mistakes=40).tables()["mistakes"]
    rows = table.to_pylist()
    assert [row["row"] for row in rows] == wanted
    assert [row["rank"] for row in rows] == list(range(1, 41))
    assert [(row["label"], row["predicted"]) for row in rows] == [
        (names[labels[r]], names[predicted[r]]) for r in wanted
    ]
    np.testing.assert_allclose([row["confidence"] for row in rows], probabilities[wanted].max(1), rtol=1e-12)


def test_without_mistakes_the_table_is_empty() -> None:
    """It is there with its columns, so that whoever reads it need not ask."""
    table = evaljobs.classify(np.eye(3), [0, 1, 2], scores_are="logits", mistakes=5).tables()["mistakes"]
    assert table.num_rows == 0
    assert table.column_names == ["rank", "row", "label", "predicted", "confidence"]
