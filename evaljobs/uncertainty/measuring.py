"""How uncertain a model is of each image: the public functions, on what a model gives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evaljobs.classification.samples import as_scores
from evaljobs.classification.scale import refuse_non_finite, refuse_other_than, scale_of
from evaljobs.uncertainty.passes import as_passes, summarise
from evaljobs.uncertainty.softmax import judge

Float64 = NDArray[np.float64]


def softmax_entropy(scores: object, *, scores_are: str) -> Float64:
    """Return the entropy of class probabilities divided by the logarithm of their number, ``[n]`` float64 in [0, 1].

    Parameters
    ----------
    scores
        ``[n, k]`` finite real numbers, k at least 2.
    scores_are
        `logits` (a softmax makes them probabilities) or `probabilities`.

    Raises
    ------
    InputError, NonFiniteError, UsageError
        If they are not that.
    """
    matrix, scale = as_scores(scores)[0], scale_of(scores_are)
    refuse_non_finite(matrix)
    refuse_other_than(scale, matrix)
    return judge(matrix, scale).entropy


def dropout_uncertainty(passes: object, *, scores_are: str) -> dict[str, Float64]:
    """Return the measures of several passes with dropout, by name, ``[n]`` float64 each.

    `predictive_entropy`, `mutual_information`, `expected_entropy` (all divided by the logarithm of the classes),
    `variance` (summed over the classes), `disagreement`; and `predicted`, the class of the mean probabilities.

    Parameters
    ----------
    passes
        ``[t, n, k]`` finite class scores: t passes, at least 2, over the same n images, at least 1.
    scores_are
        `logits` or `probabilities`.

    Raises
    ------
    InputError, UsageError
        If they are not that.
    """
    scale, given = scale_of(scores_are), as_passes(passes)
    for scores in given:
        refuse_other_than(scale, scores)
    found = summarise(given, scale)
    return {
        **{str(measure): values for measure, values in found.of.items()},
        "predicted": found.predicted.astype(float),
    }
