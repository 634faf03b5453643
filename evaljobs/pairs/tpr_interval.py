"""95% intervals of the TPR at operating points: the threshold is uncertain, and so is the TPR at each threshold.

Replicates that find their own thresholds tell how far a threshold may be off only as well as the few impostors around
it do: a sample that happens to lack high impostor scores has too low a threshold, and replicates that agree on it. So
thresholds are tested one by one (Woodruff, *Confidence intervals for medians and other position measures*, Journal of
the American Statistical Association 47, 1952): one may be right as long as the FPR there is compatible with the target,
as certain as that FPR is. What that range means for the TPR is put together with the uncertainty of the TPR at a fixed
threshold (Zou and Donner, *Construction of confidence limits about effect measures*, Statistics in Medicine 27, 2008).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs.intervals import correlation, half_width, interval, logistic, logit, logits, moved, student

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

_AT_ONCE = 64  # edges that are tested together: most ranges end within


class Rates(NamedTuple):
    """FPR and TPR where thresholds may be: without each of G groups, and at last of all samples.

    Attributes
    ----------
    fpr, tpr
        ``[G + 1, m]`` float64, by falling thresholds.
    """

    fpr: Float64
    tpr: Float64

    def at(self, edges: Int64) -> Rates:
        """Return those at some edges of bins, by number, as far as there are such."""
        edges = edges[(edges >= 0) & (edges < self.fpr.shape[1])]
        return Rates(self.fpr[:, edges], self.tpr[:, edges])

    def between(self, place: float) -> Rates:
        """Return those at one place, the number of an edge or between two, where they are taken for linear."""
        edges = np.array([math.floor(place), math.ceil(place)])
        shares = np.array([1 - (place - edges[0]), place - edges[0]])
        return Rates((self.fpr[:, edges] @ shares)[:, None], (self.tpr[:, edges] @ shares)[:, None])


def tpr_interval(
    rates: Rates, place: float, target: float, tpr: float | None, replicates: Sequence[float | None]
) -> tuple[float, float] | None:
    """Return the 95% interval of the TPR at an operating point.

    On the logit scale its arms are ``sqrt(a^2 + b^2 - 2 r a b)``, where a is how far the TPR of all samples moves from
    the threshold to the end of the range of thresholds; b the half-width of the TPR at the threshold; and r the
    correlation of FPR and TPR there, over the logits of the replicates.

    Parameters
    ----------
    rates
        At the edges of bins, the first above all pairs.
    place
        Of the threshold: the number of an edge, or between two.
    target
        The FPR, in (0, 1].
    tpr
        Of all samples, and exact.
    replicates
        TPR without each group, each at a threshold of its own.

    Returns
    -------
    Both ends, with the TPR between them. Where the TPR is 0 or 1, or the target 1, the interval of the replicates. None
    where these do not vary, or one is undefined.
    """
    simple = interval(tpr, replicates)
    if simple is None or tpr is None or not 0 < tpr < 1 or target >= 1:
        return simple
    here = rates.between(place)
    false, true = (_moves(rate)[:, 0] for rate in here)
    half, together = half_width(true) or 0.0, correlation(false, true)
    higher, lower = (_end(rates, here, place, target, step) for step in (-1, 1))
    centre = logit(tpr)
    below = math.inf if higher <= 0 else max(0.0, centre - logit(higher))
    above = math.inf if lower >= 1 else max(0.0, logit(lower) - centre)
    return logistic(centre - _arm(below, half, together)), logistic(centre + _arm(above, half, together))


def _end(rates: Rates, here: Rates, place: float, target: float, step: int) -> float:
    """Return the TPR at the last threshold whose FPR is compatible with the target, going up (step -1) or down (1).

    Between the last edge where it is and the next, the TPR is taken for linear in what is missing.
    """
    first = math.floor(place) + (step > 0)
    last, last_beyond = float(here.tpr[-1, 0]), min(0.0, float(_beyond(here, target, step)[0]))
    while len((edges := rates.at(first + step * np.arange(_AT_ONCE))).fpr[0]):
        beyond = _beyond(edges, target, step)
        out = np.flatnonzero(beyond > 0)
        k = int(out[0]) if len(out) else len(beyond)
        if k:
            last, last_beyond = float(edges.tpr[-1, k - 1]), float(beyond[k - 1])
        if len(out):
            known = math.isfinite(beyond[k]) and math.isfinite(last_beyond)
            share = last_beyond / (last_beyond - float(beyond[k])) if known else 1.0
            return last + share * (float(edges.tpr[-1, k]) - last)
        first += step * _AT_ONCE
    return last


def _beyond(edges: Rates, target: float, step: int) -> Float64:
    """Return how much further FPRs are from the target than is compatible, in logits: positive where too far.

    Compatible is what lies within ``t s`` of a jackknife with G - 1 degrees of freedom. With fewer for heavy tails the
    range would run away: towards rarer false accepts, in the end of one group, hardly a threshold would be ruled out.
    """
    moves = _moves(edges.fpr)
    groups = len(moves)
    errors = np.sqrt((groups - 1) * moves.var(axis=0))
    return np.asarray(step * (logits(edges.fpr[-1]) - logit(target)) - student(groups - 1) * errors)


def _moves(rate: Float64) -> Float64:
    """Return how far the logits of the replicates are from those of all samples, ``[G, m]``."""
    return moved(logits(rate[:-1]), logits(rate[-1]))


def _arm(reach: float, half: float, together: float) -> float:
    if math.isinf(reach):
        return reach
    return math.sqrt(max(0.0, reach**2 + half**2 - 2 * together * reach * half))
