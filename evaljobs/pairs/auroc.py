"""The area under the ROC curve: the share of (genuine, impostor) couples of pairs in the right order, ties one half."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs.count import Counts


@dataclasses.dataclass(frozen=True)
class Auroc:
    """An AUROC between certified bounds.

    Attributes
    ----------
    value
        The AUROC, or the middle of its bounds.
    bounds
        Floats that certainly enclose it; the value twice where it is exact.
    exact
        Whether the value is the AUROC itself, rounded once.
    """

    value: float
    bounds: tuple[float, float]
    exact: bool


def from_sorted(impostor: NDArray[np.float64], genuine: NDArray[np.float64]) -> Auroc | None:
    """Return the exact AUROC of ascending scores; None where there are none of a kind."""
    if not len(impostor) or not len(genuine):
        return None
    below = np.searchsorted(impostor, genuine, side="left").sum()
    not_above = np.searchsorted(impostor, genuine, side="right").sum()
    value = (int(below) + int(not_above)) / (2 * len(impostor) * len(genuine))
    return Auroc(value, (value, value), exact=True)


def from_counts(counts: Counts, reach: int) -> Auroc | None:
    """Return the AUROC that counts in bins allow; None where there are no pairs of a kind.

    Parameters
    ----------
    reach
        Pairs whose bins are further apart are certainly in the order of their bins.
    """
    n_impostor, n_genuine = int(counts.impostor.sum()), int(counts.genuine.sum())
    couples = n_impostor * n_genuine
    if couples == 0:
        return None
    # Where 64 bits cannot count the couples, Python's integers do, slower.
    wide = np.int64 if couples < 2**63 else np.object_
    genuine: NDArray[Any] = counts.genuine.astype(wide)
    margin = np.zeros(reach, np.int64)
    below: NDArray[Any] = np.cumsum(np.concatenate((margin, [0], counts.impostor, margin))).astype(wide)
    surely_right = int(genuine @ below[: len(genuine)])  # impostors more than `reach` bins below
    surely_wrong = int(genuine @ (n_impostor - below[2 * reach + 1 :]))
    low, high = Fraction(surely_right, couples), Fraction(couples - surely_wrong, couples)
    if low == high:
        return Auroc(float(low), (float(low), float(low)), exact=True)
    return Auroc(float((low + high) / 2), (_float_at_most(low), -_float_at_most(-high)), exact=False)


def _float_at_most(value: Fraction) -> float:
    nearest = float(value)
    return nearest if Fraction(nearest) <= value else math.nextafter(nearest, -math.inf)
