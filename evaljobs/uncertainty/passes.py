"""What many passes with dropout say together, and how it is kept: a few numbers for each image, however many passes.

Gal and Ghahramani, *Dropout as a Bayesian approximation* (2016), for the passes; Depeweg et al., *Decomposition of
uncertainty* (2018), for predictive = expected entropy + mutual information. The variance decomposes the Gini index in
the same way: ``1 - sum m_j^2 = mean(1 - sum p_j^2) + variance`` with m the mean of p.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from evaljobs.classification.measure import Scale
from evaljobs.errors import InputError
from evaljobs.pairs.given import array
from evaljobs.uncertainty.measures import OF_PASSES, Measure
from evaljobs.uncertainty.softmax import Float64, Int64, normalised_entropy, probabilities

LEAST_PASSES: Final = 2
# What stands behind the k mean probabilities in a row that is kept.
KEPT: Final = OF_PASSES
# Counts changes of what is kept: part of the model key.
KEPT_VERSION: Final = 1


class PassMeasures(NamedTuple):
    """By image, ``[n]`` each: the class that the mean probabilities predict (int64), and the measures (float64)."""

    predicted: Int64
    of: dict[Measure, Float64]


class Spread:
    """The sums over the passes of one batch: as much memory for a hundred passes as for two.

    Means and squared deviations are updated pass by pass (Welford, 1962), so that equal passes have a variance and a
    mutual information of exactly 0.
    """

    def __init__(self, scale: Scale) -> None:
        self._scale = scale
        self._n = 0
        self._mean = np.empty((0, 0))
        self._squares = np.empty(0)
        self._entropy = np.empty(0)
        self._votes = np.empty((0, 0), np.int64)

    def add(self, scores: NDArray[np.floating]) -> Self:
        """Add the class scores ``[m, k]`` of one more pass over the same images."""
        with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is found and counted later
            p = probabilities(scores, self._scale)
        if not self._n:
            m = len(p)
            self._mean, self._squares = np.zeros_like(p), np.zeros(m)
            self._entropy, self._votes = np.zeros(m), np.zeros(p.shape, np.int64)
        self._n += 1
        off = p - self._mean
        self._mean += off / self._n
        self._squares += (off * (p - self._mean)).sum(axis=1)
        self._entropy += (normalised_entropy(p) - self._entropy) / self._n
        self._votes[np.arange(len(p)), p.argmax(axis=1)] += 1
        return self

    def rows(self) -> NDArray[np.float32]:
        """Return what is kept: ``[m, k + 5]`` float32, the mean probabilities and then the measures of `KEPT`."""
        rows = np.arange(len(self._mean))
        votes = self._votes[rows, self._mean.argmax(axis=1)]
        predictive = normalised_entropy(self._mean)
        of = {
            Measure.PREDICTIVE_ENTROPY: predictive,
            Measure.MUTUAL_INFORMATION: np.maximum(predictive - self._entropy, 0.0),
            Measure.EXPECTED_ENTROPY: self._entropy,
            Measure.VARIANCE: np.maximum(self._squares, 0.0) / self._n,
            Measure.DISAGREEMENT: (self._n - votes) / self._n,
        }
        return np.column_stack((self._mean, *(of[measure] for measure in KEPT))).astype(np.float32)


def measures_of(rows: NDArray[np.float32]) -> PassMeasures:
    """Return what kept rows ``[n, k + 5]`` say."""
    width = rows.shape[1] - len(KEPT)
    of = {measure: rows[:, width + place].astype(np.float64) for place, measure in enumerate(KEPT)}
    return PassMeasures(rows[:, :width].argmax(axis=1).astype(np.int64), of)


def as_passes(passes: object) -> NDArray[np.floating]:
    """Return class scores ``[t, n, k]`` of t passes over the same n images, as they are.

    Raises
    ------
    InputError
        If they are not of that shape, of fewer than 2 passes or no image, or not finite.
    """
    given = array(passes, "passes", "floating numbers [t, n, k]")
    few = given.ndim != 3 or given.shape[0] < LEAST_PASSES or given.shape[1] < 1 or given.shape[2] < 2
    if few or given.dtype.kind != "f":
        raise InputError(
            f"found passes of {given.dtype} with shape {given.shape}; expected floating [t, n, k]: at least "
            f"{LEAST_PASSES} passes over n images, at least one, with scores of at least two classes"
        )
    if not np.isfinite(given).all():
        raise InputError("the passes hold NaN or infinite scores; expected finite numbers")
    return given


def summarise(passes: NDArray[np.floating], scale: Scale) -> PassMeasures:
    """Return the measures of passes that somebody already has.

    Parameters
    ----------
    passes
        As `as_passes` returns them.
    scale
        What the scores are.
    """
    spread = Spread(scale)
    for scores in passes:
        spread.add(scores)
    return measures_of(spread.rows())
