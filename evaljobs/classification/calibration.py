"""Calibration: whether of the images that a model is 80% sure of, 80% are right."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaljobs.classification.count import Calibrating, edges_of
from evaljobs.classification.sums import mean

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Calibration:
    """How far confidence is from accuracy.

    Attributes
    ----------
    edges
        ``[b + 1]`` float64: bin i holds the images with a confidence in ``(edges[i], edges[i + 1]]``.
    n_samples, n_correct
        ``[b]`` int64: the images of each bin, and those that are right.
    confidence, accuracy
        ``[b]`` float64: the mean confidence and the share that is right; NaN for an empty bin.
    ece
        Expected calibration error: the mean distance of the two, each bin by its images (Naeini et al., AAAI 2015; Guo
        et al., ICML 2017, equation 3).
    mce
        Maximum calibration error: the largest distance of a bin that is not empty (Guo et al., equation 5).
    mean_confidence
        Over all images. Above the accuracy, a model is overconfident.
    brier
        Mean over the images of the squared distance of the probabilities from 1 for the right class and 0 for the
        others, summed over the classes: from 0 to 2 (Brier 1950; twice what is usual for two classes).
    nll
        Mean negative log-likelihood, in nats (log loss, cross entropy); None where it is infinite, since the class of
        some image has the probability 0.
    n_impossible
        How many such images there are.
    """

    edges: Float64
    n_samples: Int64
    n_correct: Int64
    confidence: Float64
    accuracy: Float64
    ece: float
    mce: float
    mean_confidence: float
    brier: float
    nll: float | None
    n_impossible: int

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in results.json; the bins are a table."""
        names = ("ece", "mce", "mean_confidence", "brier", "nll", "n_impossible")
        return {"bins": len(self.n_samples), **{name: getattr(self, name) for name in names}}


def calibration_of(found: Calibrating) -> Calibration:
    """Conclude from what was counted on at least one image."""
    counts, correct = found.counts
    n, bins = int(counts.sum()), len(counts)
    empty = counts == 0
    means = [mean(s, int(m)) if m else math.nan for s, m in zip(found.confidence, counts.tolist(), strict=True)]
    confidence = np.array(means)
    accuracy = np.divide(correct, counts, out=np.full(bins, np.nan), where=~empty)
    distance = abs(accuracy - confidence)[~empty]
    return Calibration(
        edges=edges_of(bins),
        n_samples=counts,
        n_correct=correct,
        confidence=confidence,
        accuracy=accuracy,
        ece=math.fsum((distance * counts[~empty]).tolist()) / n,
        mce=float(distance.max()),
        mean_confidence=mean(sum(found.confidence), n),
        brier=mean(found.brier, n),
        nll=None if found.n_impossible else mean(found.nll, n),
        n_impossible=found.n_impossible,
    )
