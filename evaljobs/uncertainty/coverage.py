"""Risk and coverage: how many of the images that a model keeps are wrong, as it keeps more and more, surest first.

Geifman, Uziel and El-Yaniv, *Bias-reduced uncertainty estimation* (2019).
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, NamedTuple

import numpy as np

from evaljobs.pairs.intervals import interval
from evaljobs.uncertainty.blocks import Blocks, Float64, Int64, order, tally
from evaljobs.uncertainty.detection import auroc


class Curve(NamedTuple):
    """Keeping whatever is at most as uncertain as ``value``: ``[m]`` each, images kept and wrong ones among them."""

    value: Float64
    kept: Int64
    wrong: Int64


@dataclasses.dataclass(frozen=True)
class Coverage:
    """The risk-coverage curve of one measure.

    Attributes
    ----------
    n, n_wrong
        Images, and those that the model is wrong about.
    aurc, aurc_ci
        The mean over i = 1 ... n of the share of wrong images among the i surest; of images that are equally sure, the
        mean over all their orders. The 95% interval.
    aurc_best
        What it would be if each wrong image were less certain than each right one.
    aurc_random
        What it would be if uncertainty told nothing: the share of wrong images.
    auroc_errors
        The chance that a wrong image is less certain than a right one, ties one half; None without both.
    replicates
        `aurc` without each of the groups of images; empty where none are made.
    curve
        At the end of each block of equally sure images.
    """

    n: int
    n_wrong: int
    aurc: float
    aurc_ci: tuple[float, float] | None
    aurc_best: float
    aurc_random: float
    auroc_errors: float | None
    replicates: tuple[float, ...]
    curve: Curve = dataclasses.field(repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in results.json; the curve is a table."""
        names = ("n", "n_wrong", "aurc", "aurc_best", "aurc_random", "auroc_errors")
        return {
            **{name: getattr(self, name) for name in names},
            "aurc_ci": None if self.aurc_ci is None else list(self.aurc_ci),
            "replicates": list(self.replicates),
        }


def risk_coverage(
    values: Float64, right: np.ndarray[tuple[int], np.dtype[np.bool_]], groups: Int64, n_groups: int
) -> Coverage:
    """Return the curve of images with some uncertainty.

    Parameters
    ----------
    values
        ``[n]`` float64, n at least 1.
    right
        ``[n]`` bool: whether the model is right.
    groups, n_groups
        ``[n]`` int64: the group of each, from 0, and how many there are; 0 for no interval.
    """
    ordered = order(values)
    blocks = tally(ordered, ~right)
    area = _area(blocks)
    without = (tally(ordered, ~right, groups != number) for number in range(n_groups))
    # Groups are made of at least twice as many images: none holds all of them.
    replicates = tuple(_area(other) for other in without)
    n, n_wrong = len(values), int((~right).sum())
    wrong, kept = np.cumsum(blocks.positive[::-1]), np.cumsum((blocks.positive + blocks.negative)[::-1])
    return Coverage(
        n=n,
        n_wrong=n_wrong,
        aurc=area,
        aurc_ci=interval(area, replicates),
        aurc_best=math.fsum((i - (n - n_wrong)) / i for i in range(n - n_wrong + 1, n + 1)) / n,
        aurc_random=n_wrong / n,
        auroc_errors=auroc(blocks),
        replicates=replicates,
        curve=Curve(blocks.value[::-1], kept.astype(np.int64), wrong.astype(np.int64)),
    )


def _area(blocks: Blocks) -> float:
    """Return the mean risk over all coverages; there is at least one image.

    Within a block of m equally sure images of which e are wrong, j of them hold ``e j / m`` wrong ones on average.
    """
    wrong, size = blocks.positive[::-1], (blocks.positive + blocks.negative)[::-1]
    n = int(size.sum())
    before, wrong_before = np.cumsum(size) - size, np.cumsum(wrong) - wrong
    block = np.repeat(np.arange(len(size)), size)
    place = np.arange(1, n + 1)
    within = place - before[block]
    risk = (wrong_before[block] + wrong[block] * within / size[block]) / place
    return math.fsum(risk.tolist()) / n


def thinned(curve: Curve, most: int) -> Curve:
    """Return at most so many points of a curve, evenly over the coverage, the last among them."""
    if len(curve.kept) <= most:
        return curve
    steps = np.unique(np.searchsorted(curve.kept, np.linspace(1, curve.kept[-1], most)))
    return Curve(curve.value[steps], curve.kept[steps], curve.wrong[steps])
