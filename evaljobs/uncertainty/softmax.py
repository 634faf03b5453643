"""Probabilities, and how spread out they are: each image by itself, in float64."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.classification.measure import Scale, rows_a_block
from evaljobs.errors import InputError

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


class Judged(NamedTuple):
    """By image, ``[n]`` each.

    Attributes
    ----------
    predicted
        int64: the class of the highest score; of several, the one with the lowest number.
    entropy
        float64 in [0, 1], see `normalised_entropy`.
    doubt
        float64 in [0, 1]: 1 less the highest probability.
    """

    predicted: Int64
    entropy: Float64
    doubt: Float64


def judge(scores: NDArray[np.float32], scale: Scale) -> Judged:
    """Return what single rows of class scores say of themselves.

    Parameters
    ----------
    scores
        ``[n, k]`` finite, k at least 2.
    scale
        What they are.

    Raises
    ------
    InputError
        If there are fewer than two classes: nothing can be uncertain.
    """
    n, width = scores.shape
    if width < 2:
        raise InputError(f"found {width} class score for an image; uncertainty needs at least two classes")
    size = rows_a_block(width)
    made = Judged(np.empty(n, np.int64), np.empty(n), np.empty(n))
    for first in range(0, n, size):
        block = slice(first, first + size)
        p = probabilities(scores[block], scale)
        made.predicted[block] = scores[block].argmax(axis=1)
        made.entropy[block] = normalised_entropy(p)
        made.doubt[block] = 1 - p.max(axis=1)
    return made


def probabilities(scores: NDArray[np.floating], scale: Scale) -> Float64:
    """Return the probabilities ``[m, k]`` float64 that class scores ``[m, k]`` are, or that a softmax makes of them.

    Rows add up to 1 to the last rounding: probabilities of half precision are divided by their sum.
    """
    exact = scores.astype(np.float64)
    if scale is Scale.LOGITS:
        exact -= exact.max(axis=1, keepdims=True)
        np.exp(exact, out=exact)
    exact /= exact.sum(axis=1, keepdims=True)
    return exact


def normalised_entropy(p: Float64) -> Float64:
    """Return ``-sum_j p_j log p_j / log k`` of each row ``[m, k]``: 0 for one sure class, 1 where all are alike.

    Shannon (1948), in units of the entropy of k equally likely classes; ``0 log 0`` is 0.
    """
    logs = np.log(p, out=np.zeros_like(p), where=p > 0)
    entropy = -(p * logs).sum(axis=1) / np.log(p.shape[1])
    # Rounding may lead beyond the ends, and to -0.
    clipped: Float64 = np.clip(entropy, 0.0, 1.0) + 0.0
    return clipped
