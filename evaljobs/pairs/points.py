"""Operating points: what they are, and how one is found in sorted scores."""

from __future__ import annotations

import dataclasses
import enum
import functools
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

FEW_ERRORS = 30


class Flag(enum.StrEnum):
    """What must be known about a point before it is believed."""

    UNRESOLVED = "unresolved"  # no false positive is allowed: this is the TPR at zero false positives
    FEW_ERRORS = "few_errors"  # fewer than 30 false positives are allowed
    TIED = "tied"  # fewer are accepted than allowed, for the next block of equal scores would exceed it
    NOTHING_ACCEPTED = "nothing_accepted"  # even the block of the highest score exceeds what is allowed
    NO_IMPOSTORS = "no_impostors"  # there is no impostor pair, hence no point
    NO_GENUINE = "no_genuine"  # there is no genuine pair, hence no TPR


@dataclasses.dataclass(frozen=True)
class Point:
    """The operating point of one target FPR: accept a pair when its score is at least the threshold.

    Attributes
    ----------
    target
        The FPR that was asked for, as the float whose repr is the decimal that was written.
    allowed
        Most false positives: floor(target x number of impostor pairs).
    fpr, tpr
        Shares of impostor and genuine pairs that are accepted; None where there are no such pairs.
    threshold
        The smallest observed score with no more than `allowed` impostors at or above it; None where there is none.
    next_impostor_score
        The highest rejected impostor score; None where none is rejected.
    false_positives, true_positives
        Numbers of accepted impostor and genuine pairs; None where there are no impostor pairs.
    tpr_ci
        95% confidence interval of the TPR; None where there is none.
    tpr_balanced
        Mean of the TPR over the labels that have genuine pairs: each counts alike, however many pairs it has. None
        where errors were not counted by label.
    """

    target: float
    allowed: int
    fpr: float | None
    tpr: float | None
    threshold: float | None
    next_impostor_score: float | None
    false_positives: int | None
    true_positives: int | None
    flags: tuple[Flag, ...]
    tpr_ci: tuple[float, float] | None = None
    tpr_balanced: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the point as it stands in results.json."""
        return {
            "target": self.target,
            "allowed": self.allowed,
            "fpr": self.fpr,
            "tpr": self.tpr,
            "tpr_ci": None if self.tpr_ci is None else list(self.tpr_ci),
            "tpr_balanced": self.tpr_balanced,
            "threshold": self.threshold,
            "next_impostor_score": self.next_impostor_score,
            "false_positives": self.false_positives,
            "true_positives": self.true_positives,
            "flags": [str(flag) for flag in self.flags],
        }


class Found(NamedTuple):
    """Where the scores are divided.

    Attributes
    ----------
    blocker
        The impostor score with rank ``allowed + 1`` from the top: it and all below are rejected. None at FPR 1.
    threshold
        The smallest observed score above the blocker; None where there is none.
    """

    blocker: float | None
    threshold: float | None
    false_positives: int
    true_positives: int


def allowed_at(target: float, n_impostor: int) -> int:
    """Return floor(target x n_impostor) in integers, the target being the decimal of its repr."""
    exact = _exact(target)
    return exact.numerator * n_impostor // exact.denominator


@functools.cache
def _exact(target: float) -> Fraction:
    return Fraction(repr(target))


def find_sorted(impostor: NDArray[np.float64], genuine: NDArray[np.float64], allowed: int) -> Found:
    """Divide scores that are all known.

    Parameters
    ----------
    impostor, genuine
        ``[m]`` float64, ascending.
    """
    if allowed >= len(impostor):
        lowest = [float(s[0]) for s in (impostor, genuine) if len(s)]
        return Found(None, min(lowest, default=None), len(impostor), len(genuine))
    blocker = float(impostor[len(impostor) - 1 - allowed])
    above_i, above_g = above(impostor, blocker), above(genuine, blocker)
    return Found(blocker, least(above_i, above_g), len(above_i), len(above_g))


def above(scores: NDArray[np.float64], bound: float) -> NDArray[np.float64]:
    """Return the part of ascending scores that is greater than a bound."""
    return scores[np.searchsorted(scores, bound, side="right") :]


def least(*ascending: NDArray[np.float64]) -> float | None:
    """Return the lowest of some ascending scores."""
    return min((float(scores[0]) for scores in ascending if len(scores)), default=None)


def to_point(target: float, allowed: int, found: Found, n_genuine: int, n_impostor: int) -> Point:
    """Turn a division of the scores into rates and flags."""
    if n_impostor == 0:
        return Point(target, 0, None, None, None, None, None, None, (Flag.NO_IMPOSTORS,))
    flags = {
        Flag.UNRESOLVED: allowed == 0,
        Flag.FEW_ERRORS: allowed < FEW_ERRORS,
        Flag.TIED: found.false_positives < allowed,
        Flag.NOTHING_ACCEPTED: found.threshold is None,
        Flag.NO_GENUINE: n_genuine == 0,
    }
    return Point(
        target=target,
        allowed=allowed,
        fpr=found.false_positives / n_impostor,
        tpr=found.true_positives / n_genuine if n_genuine else None,
        threshold=found.threshold,
        next_impostor_score=found.blocker,
        false_positives=found.false_positives,
        true_positives=found.true_positives,
        flags=tuple(flag for flag, holds in flags.items() if holds),
    )
