"""What is measured on each image: which class is found, at which rank the right one stands, and how far off it is."""

from __future__ import annotations

import enum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]
Scores = NDArray[np.float32]

# So many scores are worked on at a time: their float64 stay in a cache.
_BLOCK = 2**17


class Scale(enum.StrEnum):
    """What class scores are."""

    LOGITS = "logits"
    PROBABILITIES = "probabilities"


class Measured(NamedTuple):
    """By image, ``[m]`` each.

    Attributes
    ----------
    predicted
        int64: the class of the highest score; of several, the one with the lowest number.
    tied
        bool: whether there are several.
    rank
        int64, from 0: how many classes come before the right one, by falling score, then by number.
    confidence
        float64: the probability of the predicted class. Like the other two empty where the scale is not known.
    brier
        float64 in [0, 2]: the squared distance of the probabilities from 1 for the right class and 0 for the others.
    nll
        float64: the negative logarithm of the right class's probability; infinite where that is 0.
    """

    predicted: Int64
    tied: NDArray[np.bool_]
    rank: Int64
    confidence: Float64
    brier: Float64
    nll: Float64


def rows_a_block(width: int) -> int:
    """Return how many images are measured at a time. It depends on the width alone, whoever measures them."""
    return max(1, _BLOCK // width)


def measure(scores: Scores, truth: Int64, scale: Scale | None) -> Measured:
    """Measure images, each by itself: what is found on one does not depend on the others.

    Parameters
    ----------
    scores
        ``[m, k]`` float32, finite.
    truth
        ``[m]`` int64 in [0, k).
    scale
        What the scores are; None where that is not known.
    """
    size = rows_a_block(scores.shape[1])
    blocks = [_block(scores[i : i + size], truth[i : i + size], scale) for i in range(0, len(scores), size)]
    return Measured(*(np.concatenate(column) for column in zip(*blocks, strict=True)))


def _block(scores: Scores, truth: Int64, scale: Scale | None) -> Measured:
    rows = np.arange(len(scores))
    predicted = scores.argmax(axis=1)
    tied = (scores == scores[rows, predicted][:, None]).sum(axis=1) > 1
    own = scores[rows, truth][:, None]
    before = (scores > own) | ((scores == own) & (np.arange(scores.shape[1]) < truth[:, None]))
    found = predicted.astype(np.int64), tied, before.sum(axis=1).astype(np.int64)
    return Measured(*found, *_calibration(scores.astype(np.float64), truth, predicted, scale))


def _calibration(
    scores: Float64, truth: Int64, predicted: NDArray[np.intp], scale: Scale | None
) -> tuple[Float64, Float64, Float64]:
    """Return confidence, Brier score and negative log-likelihood of each row."""
    if scale is None:
        return np.empty(0), np.empty(0), np.empty(0)
    rows = np.arange(len(scores))
    if scale is Scale.LOGITS:
        probabilities, nll = _softmax(scores, truth)
    else:
        # What rounding put above 1 is 1: no logarithm of it is positive.
        probabilities = np.minimum(scores, 1.0)
        with np.errstate(divide="ignore"):
            nll = -np.log(probabilities[rows, truth]) + 0.0  # -log(1) is -0
    confidence = probabilities[rows, predicted]
    missing = 1 - probabilities[rows, truth]
    probabilities[rows, truth] = 0
    if scale is Scale.LOGITS:
        missing = probabilities.sum(axis=1)  # the same for a softmax, with the digits that the subtraction loses
    return confidence, np.square(probabilities).sum(axis=1) + missing**2, nll


def _softmax(logits: Float64, truth: Int64) -> tuple[Float64, Float64]:
    """Return the probabilities, and the negative logarithm of the right class's, which is finite.

    ``p_j = exp(z_j - m) / s`` with ``s = sum_j exp(z_j - m)`` and m the largest logit; ``-log p_y = log s + m - z_y``.
    The largest adds 1 to s: all others are summed by themselves, or a loss near 0 loses its digits.
    """
    rows, largest = np.arange(len(logits)), logits.argmax(axis=1)
    shifted = logits - logits[rows, largest][:, None]
    powers = np.exp(shifted)
    powers[rows, largest] = 0
    others = powers.sum(axis=1)
    powers[rows, largest] = 1
    return powers / (1 + others)[:, None], np.log1p(others) - shifted[rows, truth]
