"""The operating points once more, by the formats of both files of a pair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evaljobs.audit.finding import Checked, Finding, Verdict
from evaljobs.pairs.by_kind import count_by_kind
from evaljobs.pairs.points import FEW_ERRORS, Flag, Point
from evaljobs.pairs.samples import Samples
from evaljobs.pairs.work import Rounds

CHECK = "by_format"
# Formats with a row of their own; the others are one.
MOST = 6
OTHER = "other"
# How many times as often impostors of one format are accepted as those of two, before it is said: pairs share images,
# so that a rate of 30 errors may well be off by a half.
FACTOR = 3.0
_COLUMNS = {
    "target": pa.float64(),
    "threshold": pa.float64(),
    "format_a": pa.string(),
    "format_b": pa.string(),
    "n_genuine": pa.int64(),
    "true_positives": pa.int64(),
    "tpr": pa.float64(),
    "n_impostor": pa.int64(),
    "false_positives": pa.int64(),
    "fpr": pa.float64(),
    "flags": pa.string(),
}


def by_format(samples: Samples, formats: Sequence[str | None], points: Sequence[Point]) -> Rounds[Checked]:
    """Count true and false positives by pairs of formats, at the thresholds of the whole set, in one exact pass.

    Parameters
    ----------
    samples
        Of the whole set.
    formats
        ``[n]``, by row of the samples: the format of each image's file.
    points
        Its operating points.
    """
    names, kinds = _kinds(formats)
    thresholds = tuple(sorted({point.threshold for point in points if point.threshold is not None}))
    if len(names) < 2:
        claim = f"All {samples.n:,} files are {names[0]}: the format of a file tells nothing here."
        return Checked((Finding(CHECK, Verdict.CLEAN, claim, {"formats": names}),), {CHECK: _table([])})
    if not thresholds:
        claim = "There is no operating point, hence no threshold to split by format."
        return Checked((Finding(CHECK, Verdict.UNKNOWN, claim, {"formats": names}),), {CHECK: _table([])})
    counted = yield from count_by_kind(samples, kinds, len(names), thresholds)
    accepted = [counted.accepted(thresholds.index(p.threshold)) for p in points if p.threshold is not None]
    reached = [point for point in points if point.threshold is not None]
    rows = [row for p, a in zip(reached, accepted, strict=True) for row in _rows(p, names, counted.all(), a)]
    _check(rows, points)
    return Checked((_finding(rows, points, names),), {CHECK: _table(rows)})


def _kinds(formats: Sequence[str | None]) -> tuple[list[str], NDArray[np.int64]]:
    """Return the names of the most frequent formats, and the number of each image's."""
    known = [name or "unknown" for name in formats]
    common = [name for name, _ in sorted(Counter(known).items(), key=lambda item: (-item[1], item[0]))]
    names = common if len(common) <= MOST else [*common[: MOST - 1], OTHER]
    numbers = {name: min(number, len(names) - 1) for number, name in enumerate(common)}
    return names, np.array([numbers[name] for name in known], np.int64)


def _rows(
    point: Point, names: Sequence[str], every: NDArray[np.int64], accepted: NDArray[np.int64]
) -> list[dict[str, Any]]:
    rows = []
    for a, name in enumerate(names):
        for b in range(a, len(names)):
            (n_impostor, n_genuine), (false, true) = every[a, b].tolist(), accepted[a, b].tolist()
            rows.append(
                {
                    "target": point.target,
                    "threshold": point.threshold,
                    "format_a": name,
                    "format_b": names[b],
                    "n_genuine": n_genuine,
                    "true_positives": true,
                    "tpr": true / n_genuine if n_genuine else None,
                    "n_impostor": n_impostor,
                    "false_positives": false,
                    "fpr": false / n_impostor if n_impostor else None,
                    "flags": " ".join(_flags(n_genuine, n_impostor, point.target)),
                }
            )
    return rows


def _flags(n_genuine: int, n_impostor: int, target: float) -> list[str]:
    found = {
        Flag.NO_IMPOSTORS: not n_impostor,
        Flag.FEW_ERRORS: 0 < n_impostor * target < FEW_ERRORS,
        Flag.NO_GENUINE: not n_genuine,
    }
    return [str(flag) for flag, said in found.items() if said]


def _check(rows: Sequence[Mapping[str, Any]], points: Sequence[Point]) -> None:
    for point in points:
        own = [row for row in rows if row["target"] == point.target]
        found = tuple(sum(row[key] for row in own) for key in ("true_positives", "false_positives"))
        if own and found != (point.true_positives, point.false_positives):
            raise AssertionError(f"found {found} accepts by format, and {point} in all")


def _finding(rows: Sequence[Mapping[str, Any]], points: Sequence[Point], names: Sequence[str]) -> Finding:
    evidence: dict[str, Any] = {"formats": list(names), "target": None, "fpr_same": None, "fpr_mixed": None}
    for point in sorted(points, key=lambda point: point.target):
        own = [row for row in rows if row["target"] == point.target]
        same, mixed = (_impostors(own, same=same) for same in (True, False))
        if own and not (same[1] and mixed[1]):
            which = "of two formats" if mixed[1] else "of one format"
            claim = (
                f"Every impostor pair is {which}: no number on this set can tell what a model sees from what the "
                "format says."
            )
            return Finding(CHECK, Verdict.SUSPICIOUS, claim, evidence, "Add images so that each label has each format.")
        if min(same[1], mixed[1]) * point.target < FEW_ERRORS or point.target >= 1 or not own:
            continue
        rates = [accepted / n for accepted, n in (same, mixed)]
        evidence |= {"target": point.target, "fpr_same": rates[0], "fpr_mixed": rates[1]}
        factor = max(rates) / max(min(rates), 1 / max(same[1], mixed[1]))
        claim = (
            f"At FPR {point.target:g}, impostor pairs of one format are accepted at {rates[0]:.2g}, those of two at "
            f"{rates[1]:.2g}"
        )
        if factor >= FACTOR:
            advice = "The threshold holds for this mixture alone: encode all images alike, or set one for each format."
            return Finding(CHECK, Verdict.SUSPICIOUS, f"{claim}.", evidence, advice)
        return Finding(CHECK, Verdict.CLEAN, f"{claim}: no great difference.", evidence)
    claim = f"Too few pairs to compare the rates of impostors of one format and of two ({', '.join(names)})."
    return Finding(CHECK, Verdict.UNKNOWN, claim, evidence, "Take more images, or a larger `fpr`.")


def _impostors(rows: Sequence[Mapping[str, Any]], *, same: bool) -> tuple[int, int]:
    """Return the false positives, and the impostor pairs, of one format or of two."""
    those = [row for row in rows if (row["format_a"] == row["format_b"]) == same]
    return sum(row["false_positives"] for row in those), sum(row["n_impostor"] for row in those)


def _table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    return pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in _COLUMNS.items()})
