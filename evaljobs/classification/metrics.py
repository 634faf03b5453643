"""Precision, recall, F1 and what is made of them, from counts of images by class.

The definitions are those of scikit-learn with ``zero_division=nan``: what is divided by 0 is undefined, and left out of
an average over classes.
"""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class PerClass:
    """What is found of each class, ``[k]`` each; undefined rates are NaN.

    Attributes
    ----------
    n_samples, n_predicted, n_correct
        int64: the images that are of it, that are predicted to be, and both.
    """

    n_samples: Int64
    n_predicted: Int64
    n_correct: Int64

    @property
    def precision(self) -> Float64:
        """float64: the share of those predicted that are of it; undefined where nothing is predicted to be."""
        return _rate(self.n_correct, self.n_predicted)

    @property
    def recall(self) -> Float64:
        """float64: the share of its images that are found; undefined where it has none."""
        return _rate(self.n_correct, self.n_samples)

    @property
    def f1(self) -> Float64:
        """float64: ``2 correct / (images + predicted)``, the harmonic mean of both (van Rijsbergen 1979)."""
        return _rate(2 * self.n_correct, self.n_samples + self.n_predicted)


class Average(NamedTuple):
    """Precision, recall and F1 over all classes; None where undefined."""

    precision: float | None
    recall: float | None
    f1: float | None


def _rate(part: Int64, whole: Int64) -> Float64:
    with np.errstate(invalid="ignore"):
        return part / whole


def share(part: int, whole: int) -> float | None:
    """Return part / whole; None where the whole is 0."""
    return part / whole if whole else None


def macro(found: PerClass) -> Average:
    """Average over the classes, each alike."""
    return Average(_mean(found.precision), _mean(found.recall), _mean(found.f1))


def weighted(found: PerClass) -> Average:
    """Average over the classes, each by its images."""
    return Average(*(_weighted(rates, found.n_samples) for rates in (found.precision, found.recall, found.f1)))


def micro(found: PerClass) -> Average:
    """Add up the counts of all classes. With one class to an image, each of the three is the accuracy."""
    correct, predicted, samples = (int(n.sum()) for n in (found.n_correct, found.n_predicted, found.n_samples))
    return Average(share(correct, predicted), share(correct, samples), share(2 * correct, predicted + samples))


def balanced_accuracy(found: PerClass) -> float | None:
    """Return the mean recall of the classes that have images (Brodersen et al., ICPR 2010)."""
    return _mean(found.recall)


def _mean(rates: Float64) -> float | None:
    """Return the mean of what is defined, whatever the order of the classes."""
    defined = rates[~np.isnan(rates)].tolist()
    return math.fsum(defined) / len(defined) if defined else None


def _weighted(rates: Float64, weights: Int64) -> float | None:
    defined = ~np.isnan(rates)
    total = int(weights[defined].sum())
    return math.fsum((rates[defined] * weights[defined]).tolist()) / total if total else None
