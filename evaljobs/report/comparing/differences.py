"""Whether one model is better than another: paired differences with their 95% intervals, from two results.

The results hold replicates: the same numbers with one group of identities left out in turn. Two models on the same
images leave out the same groups, so their replicates together say how far the difference itself is certain.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from evaljobs.pairs.intervals import Ends, auroc_ends, difference, even_ends
from evaljobs.report.results import Document, Group, result_of, verification_groups
from evaljobs.report.tables.flags import flags


class Verdict(enum.StrEnum):
    """What the interval of a difference says."""

    REAL = "real"
    NOT_CERTAIN = "not certain"
    UNKNOWN = "unknown"


class Metric(enum.StrEnum):
    """What is compared."""

    TPR = "tpr"
    AUROC = "auroc"


_AUROCS = (Metric.AUROC, "foreign_auroc")  # the second is a measure of uncertainty


class Side(NamedTuple):
    """One number of one model, its replicates if there are any, and how far the number itself may be off.

    Sides whose ``images`` differ were not judged on the same ones.
    """

    value: float | None
    grouping: dict[str, Any]
    replicates: Sequence[float | None] | None
    flags: tuple[str, ...] = ()
    error: float = 0.0
    images: str | None = None


class _Found(NamedTuple):
    """A 95% interval, or why there is none."""

    ends: tuple[float, float] | None
    reason: str = ""


def targets_of(result: Document) -> list[float]:
    """Return the target FPRs of a verification, in the order of its points."""
    return [float(point["target"]) for point in result["points"]]


def differences(reference: Document, model: Document, targets: Sequence[float]) -> Iterator[dict[str, Any]]:
    """Yield the difference of TPR at each target, then that of AUROC.

    Parameters
    ----------
    reference, model
        Results of verifications of the same images; each has a point for each target.
    targets
        FPRs.

    Yields
    ------
    dict
        ``metric``, ``target`` (null for AUROC), ``a`` and ``b`` (the numbers of the reference and of the model),
        ``difference`` (b - a), ``ci`` (its 95% interval, or null), ``zero_inside`` (null without interval),
        ``verdict``, ``reason`` (why there is no interval), ``flags_a``, ``flags_b``, ``unit`` and ``groups``.
    """
    for target in targets:
        yield difference_row(Metric.TPR, target, _tpr(reference, target), _tpr(model, target))
    yield difference_row(Metric.AUROC, None, _auroc(reference), _auroc(model))


def mean_differences(
    blocks: Sequence[tuple[Sequence[Document], Sequence[Document]]], targets: Sequence[float]
) -> Iterator[dict[str, Any]]:
    """Yield the mean over blocks of the difference between two kinds of models: as `differences` does.

    The groups that replicates leave out are those of all models, so the mean has replicates of its own, and from them
    its interval: how far the mean is certain for these very models, on other images.

    Parameters
    ----------
    blocks
        For each: the results of the reference, and of the models against it; at least one of both. Each model of a
        block counts alike, and each block counts alike.
    targets
        FPRs; each result has a point for each of them.
    """
    for target in targets:
        yield difference_row(Metric.TPR, target, *mean_sides(blocks, partial(_tpr, target=target)))
    yield difference_row(Metric.AUROC, None, *mean_sides(blocks, _auroc))


def mean_sides(
    blocks: Sequence[tuple[Sequence[Document], Sequence[Document]]], side: Callable[[Document], Side]
) -> tuple[Side, Side]:
    """Return the means over blocks of both kinds of models, of whatever number `side` gives of a result."""
    a, b = ([_mean([side(result) for result in both[i]]) for both in blocks] for i in (0, 1))
    return _mean(a), _mean(b)


def _mean(sides: Sequence[Side]) -> Side:
    """Return the mean of numbers and, group by group, that of their replicates; undefined where one of them is."""
    if len(sides) == 1:
        return sides[0]
    replicates = [side.replicates for side in sides if side.replicates is not None]
    alike = len(replicates) == len(sides) and all(side.grouping == sides[0].grouping for side in sides)
    return Side(
        _mean_value([side.value for side in sides]),
        sides[0].grouping if alike else grouping(None),
        [_mean_value(group) for group in zip(*replicates, strict=True)] if alike else None,
        tuple(dict.fromkeys(flag for side in sides for flag in side.flags)),
        math.fsum(side.error for side in sides) / len(sides),
        " ".join(sorted({side.images for side in sides if side.images is not None})) or None,
    )


def _mean_value(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if len(known) == len(values) else None


def _tpr(result: Document, target: float) -> Side:
    place = targets_of(result).index(target)
    point, intervals = result["points"][place], result.get("intervals")
    replicates = intervals["replicates"]["tpr"][place] if intervals else None
    return Side(point["tpr"], grouping(result), replicates, tuple(flags(point)))


def _auroc(result: Document) -> Side:
    intervals, bounds = result.get("intervals"), result.get("auroc_bounds")
    error = 0.0 if result["auroc_exact"] or bounds is None else (bounds[1] - bounds[0]) / 2
    replicates = intervals["replicates"]["auroc"] if intervals else None
    return Side(result["auroc"], grouping(result), replicates, error=error)


def difference_row(metric: str, target: float | None, a: Side, b: Side) -> dict[str, Any]:
    """Return the difference b - a of two numbers of two models, as `differences` yields it."""
    found = _interval(a, b, auroc_ends if metric in _AUROCS else even_ends)
    zero_inside = None if found.ends is None else found.ends[0] <= 0 <= found.ends[1]
    return {
        "metric": str(metric),
        "target": target,
        "a": a.value,
        "b": b.value,
        "difference": None if a.value is None or b.value is None else b.value - a.value,
        "ci": None if found.ends is None else list(found.ends),
        "zero_inside": zero_inside,
        "verdict": str(_verdict(zero_inside)),
        "reason": found.reason,
        "flags_a": list(a.flags),
        "flags_b": list(b.flags),
        **(b.grouping if a.grouping == b.grouping else grouping(None)),
    }


def grouping(result: Document | None) -> dict[str, Any]:
    """Return what was left out for each replicate (``unit``) and how many replicates there are; null without any."""
    intervals = (result or {}).get("intervals") or {}
    return {"unit": intervals.get("unit"), "groups": intervals.get("groups")}


def _verdict(zero_inside: bool | None) -> Verdict:
    if zero_inside is None:
        return Verdict.UNKNOWN
    return Verdict.NOT_CERTAIN if zero_inside else Verdict.REAL


def _interval(a: Side, b: Side, ends: Ends) -> _Found:
    """Return the 95% interval of b - a; wider by what the certified bounds leave open of an AUROC that is not exact."""
    if reason := _not_comparable(a, b):
        return _Found(None, reason)
    found = difference(b.value, a.value, b.replicates or (), a.replicates or (), ends)
    if found is None:
        return _Found(None, "too few replicates")
    if found.low is None or found.high is None:
        return _Found(None, "the replicates do not vary")
    error = a.error + b.error
    return _Found((max(-1.0, found.low - error), min(1.0, found.high + error)))


def _not_comparable(a: Side, b: Side) -> str:
    """Say why there can be no interval; empty where there may be one."""
    if a.value is None or b.value is None:
        return "a number is undefined"
    if a.images != b.images:
        return "judged on other images"
    if a.replicates is None or b.replicates is None:
        return "no replicates in the results"
    if a.grouping != b.grouping:
        return "replicates of other groups"
    return "a replicate is undefined" if None in a.replicates or None in b.replicates else ""


def first_model(results: Document, group: Group) -> str | None:
    """Return the first model, in the order of the results, that has a result in a group."""
    return next((model["name"] for model in results["models"] if result_of(group, model["name"])), None)


def group_differences(results: Document, group: Group) -> list[dict[str, Any]]:
    """Return every model of a group against its first one: in the order of the models."""
    reference = first_model(results, group)
    if reference is None:
        return []
    others = [model["name"] for model in results["models"] if model["name"] != reference]
    return [row for name in others for row in pair_rows(group, group, reference, name)]


def pair_rows(
    group_a: Group, group_b: Group, reference: str, model: str, targets: Sequence[float] | None = None
) -> list[dict[str, Any]]:
    """Return the rows of one model against another; none where one of them has no result.

    Parameters
    ----------
    group_a, group_b
        The groups in which the reference and the model stand: equal jobs on equal images.
    reference, model
        Names.
    targets
        FPRs that both have; all that both have by default.
    """
    a, b = result_of(group_a, reference), result_of(group_b, model)
    if a is None or b is None:
        return []
    if targets is None:
        targets = [target for target in targets_of(a) if target in targets_of(b)]
    where = {"job": group_b.job, "set": group_b.set, "reference": reference, "model": model}
    return [{**where, **row} for row in differences(a, b, targets)]


def run_differences(results: Document) -> list[dict[str, Any]]:
    """Return the rows of all groups of a run."""
    return [row for group in verification_groups(results) for row in group_differences(results, group)]
