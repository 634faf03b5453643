"""Scores and labels to classify, and the slow, obviously right way to judge them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray


class Drawn(NamedTuple):
    """Logits ``[n, k]`` float32, and the number of the right class of each row."""

    scores: NDArray[np.float32]
    labels: NDArray[np.int64]


def draw_scores(n: int, k: int, seed: int = 0, skill: float = 2.0, skewed: bool = False) -> Drawn:
    """Draw rows whose own class has a higher score on average, without ties."""
    rng = np.random.default_rng(seed)
    weights = np.arange(1, k + 1) ** (2.0 if skewed else 0.0)
    labels = rng.choice(k, n, p=weights / weights.sum())
    scores = rng.normal(size=(n, k))
    scores[np.arange(n), labels] += skill
    return Drawn(scores.astype(np.float32), labels.astype(np.int64))


def softmax_by_hand(row: NDArray[np.float32]) -> list[float]:
    """Write softmax down in numpy's long doubles."""
    logits = row.astype(np.longdouble)
    powers = np.exp(logits - logits.max())
    return [float(p) for p in powers / powers.sum()]


@pytest.fixture
def draw() -> Callable[..., Drawn]:
    """Give the drawing of scores and labels."""
    return draw_scores


@pytest.fixture
def softmax() -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:
    """Give probabilities ``[n, k]`` float64 of logits, row by row."""
    return lambda scores: np.array([softmax_by_hand(row) for row in scores])
