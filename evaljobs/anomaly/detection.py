"""Telling anomalous from normal images by one score: operating points, AUROC and intervals, exactly.

The anomalous images are the positives, and the points are those of verification (`evaljobs.pairs`): normal images stand
where impostor pairs do, anomalous ones where genuine pairs do. Flagged is whatever has at least the threshold.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaljobs.anomaly.groups import both_kinds
from evaljobs.classification.groups import Groups, keys_of_ids
from evaljobs.config import DEFAULT_TARGETS
from evaljobs.errors import InputError
from evaljobs.pairs import auroc, curve, given
from evaljobs.pairs.intervals import auroc_ends, interval
from evaljobs.pairs.points import Point, allowed_at, find_sorted, to_point
from evaljobs.pairs.verification import GROUPS, Intervals, targets_of
from evaljobs.uncertainty.blocks import checked

Float64 = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class Anomalies:
    """How well scores tell anomalous from normal images.

    Attributes
    ----------
    n_normal, n_anomalous
        Images of both kinds.
    points
        An operating point for each target FPR, by rising target: the false positives are normal images with at least
        the threshold, the true positives anomalous ones; `next_impostor_score` is the highest score of a normal image
        below it.
    auroc, auroc_ci
        The chance that an anomalous image has a higher score than a normal one, ties one half, exactly; its 95%
        interval.
    intervals
        What the intervals follow from; None where there are none.
    curve
        The ROC curve, for drawing.
    """

    n_normal: int
    n_anomalous: int
    points: tuple[Point, ...]
    auroc: float
    auroc_ci: tuple[float, float] | None
    intervals: Intervals | None
    curve: curve.Curve = dataclasses.field(compare=False, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in results.json."""
        return {
            "n_samples": self.n_normal + self.n_anomalous,
            "n_normal": self.n_normal,
            "n_anomalous": self.n_anomalous,
            "auroc": self.auroc,
            "auroc_exact": True,
            "auroc_ci": None if self.auroc_ci is None else list(self.auroc_ci),
            "points": [_point_json(point) for point in self.points],
            "intervals": None if self.intervals is None else self.intervals.to_json(),
        }


def _point_json(point: Point) -> dict[str, Any]:
    """Return a point in the words of images."""
    names = {"next_impostor_score": "next_normal_score"}
    return {names.get(key, key): value for key, value in point.to_json().items()}


def detect_anomalies(
    scores: object,
    anomalous: object,
    fpr: object = DEFAULT_TARGETS,
    *,
    ids: Sequence[object] | None = None,
    groups: int = GROUPS,
) -> Anomalies:
    """Return how well scores tell anomalous from normal images.

    Parameters
    ----------
    scores
        ``[n]`` finite real numbers: the larger, the more anomalous.
    anomalous
        ``[n]`` bool: which images are; at least one of each kind.
    fpr
        Target false-positive rates above 0, up to 1, as written decimals (`"1e-3"`) or floats; several, or one.
    ids
        ``[n]``: images of equal ids are one image, and models that are judged on the same ids have the same groups.
        Left out: the places.
    groups
        Of how many groups of images one is left out at a time for the 95% intervals; 0: no intervals.

    Raises
    ------
    InputError, UsageError
        If they are not that.
    """
    values = checked(scores, "scores")
    kinds = given.array(anomalous, "`anomalous`", "true or false for each score")
    if kinds.dtype != np.bool_ or kinds.shape != values.shape:
        raise InputError(
            f"found `anomalous` of {kinds.dtype} with shape {kinds.shape}; expected true or false for each of "
            f"{len(values):,} scores"
        )
    named = range(len(values)) if ids is None else given.values(ids, "ids")
    if len(named) != len(values):
        raise InputError(f"found {len(named):,} ids for {len(values):,} scores; expected one for each")
    groups = given.checked_groups(groups)
    return detect(values, kinds, targets_of(fpr), both_kinds(keys_of_ids(named), kinds, groups))


def detect(scores: Float64, anomalous: Mask, targets: tuple[float, ...], groups: Groups) -> Anomalies:
    """Return the same of what is checked.

    Parameters
    ----------
    scores, anomalous
        ``[n]``; finite.
    targets
        By rising rate.
    groups
        What is left out in turn.

    Raises
    ------
    InputError
        If there is no image of a kind.
    """
    order = np.argsort(scores, kind="stable")
    ranked, kinds, of = scores[order], anomalous[order], groups.of[order]
    normal, positive = ranked[~kinds], ranked[kinds]
    area = auroc.from_sorted(normal, positive)
    if area is None:
        raise InputError(f"found {len(normal):,} normal and {len(positive):,} anomalous images; expected some of each")
    left = [_without(ranked, kinds, of == group, targets) for group in range(groups.n)]
    points = _points(normal, positive, targets)
    if not left:
        return Anomalies(
            len(normal), len(positive), points, area.value, None, None, curve.from_sorted(normal, positive, points)
        )
    areas = tuple(value for value, _ in left)
    rates = tuple(tuple(one[place] for _, one in left) for place in range(len(targets)))
    points = tuple(
        dataclasses.replace(point, tpr_ci=interval(point.tpr, rates[place])) for place, point in enumerate(points)
    )
    return Anomalies(
        len(normal),
        len(positive),
        points,
        area.value,
        interval(area.value, areas, auroc_ends),
        Intervals("sample", groups.n, areas, rates),
        curve.from_sorted(normal, positive, points),
    )


def _points(normal: Float64, positive: Float64, targets: Sequence[float]) -> tuple[Point, ...]:
    """Return the operating points of scores ``[m]``, ascending."""
    allowed = [allowed_at(target, len(normal)) for target in targets]
    return tuple(
        to_point(target, most, find_sorted(normal, positive, most), len(positive), len(normal))
        for target, most in zip(targets, allowed, strict=True)
    )


def _without(
    ranked: Float64, kinds: Mask, out: Mask, targets: Sequence[float]
) -> tuple[float | None, tuple[float | None, ...]]:
    """Return AUROC and TPRs without a group: each finds thresholds of its own."""
    normal, positive = ranked[~kinds & ~out], ranked[kinds & ~out]
    area = auroc.from_sorted(normal, positive)
    return None if area is None else area.value, tuple(point.tpr for point in _points(normal, positive, targets))
