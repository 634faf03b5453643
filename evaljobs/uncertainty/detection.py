"""How well uncertainty tells images of one kind from others. The positive ones are those that should be less certain.

Every count is an integer and ties are exact: an AUROC counts a tie one half, and a block of equal values is flagged as
a whole or not at all. Flagged is whatever is at least as uncertain as the threshold.
"""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs.intervals import auroc_ends, interval
from evaljobs.uncertainty.blocks import Blocks, Float64, Int64, order, tally

# Hendrycks and Gimpel (2017), Liang et al. (2018): the false positives where 95% of the positives are found.
TARGET_TPR: Final = Fraction(95, 100)


@dataclasses.dataclass(frozen=True)
class AtTpr:
    """The highest threshold at which at least the target share of the positives is flagged."""

    target: float
    threshold: float
    true_positives: int
    false_positives: int
    tpr: float
    fpr: float


@dataclasses.dataclass(frozen=True)
class Detection:
    """Telling positive from negative images by one measure.

    Attributes
    ----------
    n_positive, n_negative
        Images of both kinds.
    auroc, auroc_ci
        The chance that a positive image is less certain than a negative one, ties one half; its 95% interval.
    replicates
        The AUROC without each of the groups of images; empty where none are made.
    aupr
        Average precision with the positives as positive: ``sum_b (R_b - R_{b-1}) P_b`` over falling thresholds.
    aupr_negative
        The same with the negatives as positive, and certainty in place of uncertainty.
    at_tpr
        False positives at a given share of true ones.
    """

    n_positive: int
    n_negative: int
    auroc: float
    auroc_ci: tuple[float, float] | None
    replicates: tuple[float | None, ...]
    aupr: float
    aupr_negative: float
    at_tpr: AtTpr

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in results.json."""
        return {
            **dataclasses.asdict(self),
            "auroc_ci": None if self.auroc_ci is None else list(self.auroc_ci),
            "replicates": list(self.replicates),
        }


@dataclasses.dataclass(frozen=True)
class Sides:
    """The values of positive and negative images, ``[n]`` each, and which group each is of, from 0.

    `n_groups` is 0 where no groups are made: then there is no interval.
    """

    positive: Float64
    negative: Float64
    groups_positive: Int64 | None = None
    groups_negative: Int64 | None = None
    n_groups: int = 0


def detect(sides: Sides) -> Detection:
    """Return how well the values tell both kinds apart; at least one image of each is needed."""
    ordered = order(np.concatenate([sides.positive, sides.negative]))
    positive = np.arange(len(sides.positive) + len(sides.negative)) < len(sides.positive)
    blocks = tally(ordered, positive)
    area = twice_in_order(blocks) / (2 * len(sides.positive) * len(sides.negative))
    replicates = tuple(auroc(tally(ordered, positive, kept)) for kept in _without(sides))
    turned = Blocks(-blocks.value[::-1], blocks.negative[::-1], blocks.positive[::-1])
    return Detection(
        n_positive=len(sides.positive),
        n_negative=len(sides.negative),
        auroc=area,
        auroc_ci=interval(area, replicates, auroc_ends),
        replicates=replicates,
        aupr=average_precision(blocks),
        aupr_negative=average_precision(turned),
        at_tpr=at_tpr(blocks, TARGET_TPR),
    )


def _without(sides: Sides) -> list[NDArray[np.bool_]]:
    """Return for each group which images are not of it."""
    if sides.groups_positive is None or sides.groups_negative is None:
        return []
    groups = np.concatenate([sides.groups_positive, sides.groups_negative])
    return [groups != number for number in range(sides.n_groups)]


def auroc(blocks: Blocks) -> float | None:
    """Return the share of (positive, negative) pairs in the right order, ties one half; None where there is no pair.

    The pairs are counted in integers, and divided once.
    """
    n_positive, n_negative = int(blocks.positive.sum()), int(blocks.negative.sum())
    if not n_positive or not n_negative:
        return None
    return twice_in_order(blocks) / (2 * n_positive * n_negative)


def twice_in_order(blocks: Blocks) -> int:
    """Return twice the number of (positive, negative) pairs in the right order, ties one half."""
    above = np.cumsum(blocks.positive) - blocks.positive
    return int((blocks.negative * (2 * above + blocks.positive)).sum())


def average_precision(blocks: Blocks) -> float:
    """Return the mean precision over the positives, each at the block where it is found; summed without rounding."""
    found = np.cumsum(blocks.positive)
    flagged = found + np.cumsum(blocks.negative)
    return math.fsum((blocks.positive * (found / flagged)).tolist()) / int(found[-1])


def at_tpr(blocks: Blocks, target: Fraction) -> AtTpr:
    """Return the false positives at the highest threshold whose true positives reach a share."""
    found, wrong = np.cumsum(blocks.positive), np.cumsum(blocks.negative)
    n_positive, n_negative = int(found[-1]), int(wrong[-1])
    place = int(np.searchsorted(found, math.ceil(target * n_positive)))
    tp, fp = int(found[place]), int(wrong[place])
    return AtTpr(float(target), float(blocks.value[place]), tp, fp, tp / n_positive, fp / n_negative)


def roc_points(blocks: Blocks, most: int) -> tuple[Float64, Int64, Int64]:
    """Return thresholds with the false and true positives there, at most so many, the ends among them.

    Returns
    -------
    tuple
        ``[m]`` each, by falling threshold: at each, whatever is at least as uncertain is flagged.
    """
    true, false = np.cumsum(blocks.positive), np.cumsum(blocks.negative)
    # Corners of the curve alone: where the steps before and behind are parallel, the line between the others is the
    # curve. Then evenly along the path, so that no part of it is left out.
    bends = blocks.positive[:-1] * blocks.negative[1:] != blocks.negative[:-1] * blocks.positive[1:]
    step = np.flatnonzero(np.append(bends, [True]))
    if len(step) > most:
        path = (true / max(1, true[-1]) + false / max(1, false[-1]))[step]
        chosen = np.unique(np.searchsorted(path, np.linspace(0, 2, most)).clip(max=len(step) - 1))
        step = step[chosen]
    return blocks.value[step], false[step].astype(np.int64), true[step].astype(np.int64)
