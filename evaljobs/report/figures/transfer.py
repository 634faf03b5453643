"""Threshold transfer: what a threshold that was set on one set of images does on another.

The rates on the other set are read from its exact operating points and its ROC table. Where the threshold lies between
two rows of it, its rates lie between theirs: a bracket is given, never an interpolation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evaljobs.report.figures.found import results_of
from evaljobs.report.results import Document
from evaljobs.report.section import Found, Table
from evaljobs.report.tables.columns import Column, Kind, Row
from evaljobs.report.tables.flags import flags
from evaljobs.report.tables.naming import file_name
from evaljobs.report.tables.numbers import rate_text, share_text, threshold_text

Float64 = NDArray[np.float64]


class Bracket(NamedTuple):
    """Ends between which a rate certainly lies, both included; the rate itself where they are equal."""

    low: float
    high: float


class Rates(NamedTuple):
    """The rates of a set at a threshold; None where it has no such pairs."""

    fpr: Bracket | None
    tpr: Bracket | None


class _Steps(NamedTuple):
    """What is known of one rate, which rises where the threshold falls.

    ``above`` holds (threshold, rate) such that the rate is at least that for every threshold up to it; ``below`` such
    that it is at most that for every threshold from it on. Both ``[m, 2]`` float64.
    """

    above: Float64
    below: Float64

    def at(self, threshold: float) -> Bracket:
        """Return the bracket at a threshold."""
        low = self.above[self.above[:, 0] >= threshold, 1].max(initial=0.0)
        high = self.below[self.below[:, 0] <= threshold, 1].min(initial=1.0)
        return Bracket(float(low), float(high))


def rates_at(result: Document, table: pa.Table | None, thresholds: Sequence[float]) -> list[Rates]:
    """Return the rates of a verification at any thresholds.

    Parameters
    ----------
    result
        Of the verification: its operating points are exact.
    table
        Its table ``roc``: rates at further thresholds, whose scores are off by at most the result's ``curve_error``.
    thresholds
        Of another verification with the same model.
    """
    known = [_steps(result, table, rate) if result[n] else None for rate, n in _PAIRS.items()]
    fpr, tpr = ([None if steps is None else steps.at(t) for t in thresholds] for steps in known)
    return [Rates(*both) for both in zip(fpr, tpr, strict=True)]


_PAIRS = {"fpr": "n_impostor", "tpr": "n_genuine"}


def _steps(result: Document, table: pa.Table | None, rate: str) -> _Steps:
    above, below = [np.empty((0, 2))], [np.empty((0, 2))]
    error = result.get("curve_error", 0.0 if result["auroc_exact"] else None)
    if table is not None and len(table) and error is not None:
        scores, rates = (table.column(name).to_numpy() for name in ("threshold", rate))
        above.append(np.column_stack((scores - error, rates)))
        below.append(np.column_stack((scores + error, rates)))
    for point in result["points"]:
        threshold, rejected, value = point["threshold"], point["next_impostor_score"], point[rate]
        if value is None or threshold is None:
            continue
        above.append(np.array([[threshold, value]]))
        # No score lies between the highest rejected one and the threshold: all between make the same decisions.
        from_ = threshold if rejected is None else np.nextafter(rejected, np.inf)
        below.append(np.array([[min(from_, threshold), value]]))
    return _Steps(np.concatenate(above), np.concatenate(below))


def transfer_rows(found_a: Found, found_b: Found, fpr: float | None = None) -> Iterator[dict[str, Any]]:
    """Yield a row for each model of both and each target: what A's threshold does on B; best models on A first.

    Yields
    ------
    dict
        ``model``, ``target``, ``point`` (A's operating point), ``n_impostor`` and ``n_genuine`` (of B), ``fpr`` and
        ``tpr`` (on B: a `Bracket`, or None).
    """
    others = results_of(found_b, fpr)
    for model, result in results_of(found_a, fpr).items():
        other = others.get(model)
        points = [point for point in result["points"] if point["threshold"] is not None]
        if other is None:
            continue
        table = found_b.tables.get(model, {}).get("roc")
        thresholds = [float(point["threshold"]) for point in points]
        for point, rates in zip(points, rates_at(other, table, thresholds), strict=True):
            yield {
                "model": model,
                "target": float(point["target"]),
                "point": point,
                "n_impostor": other["n_impostor"],
                "n_genuine": other["n_genuine"],
                **rates._asdict(),
            }


def _end(rate: str, end: str, row: Row) -> float | None:
    bracket = row[rate]
    return None if bracket is None else float(getattr(bracket, end))


def _bracket_text(rate: str, row: Row) -> str:
    low, high = (share_text(end) for end in row[rate])
    return low if low == high else f"between {low} and {high}"


def _times(end: str, row: Row) -> float | None:
    rate = _end("fpr", end, row)
    return None if rate is None else rate / float(row["target"])


def _times_text(row: Row) -> str:
    low, high = (f"{rate / row['target']:.3g}" for rate in row["fpr"])
    return low if low == high else f"{low} to {high}"


def _why(pairs: str, row: Row) -> str:
    return "" if row[f"n_{pairs}"] else f"no {pairs} pairs"


def _threshold_text(row: Row) -> str:
    return threshold_text(row["point"]["threshold"], row["point"]["next_impostor_score"])


def _target_text(row: Row) -> str:
    return rate_text(row["target"])


def _fpr_text(row: Row) -> str:
    return share_text(row["point"]["fpr"])


def _flags(row: Row) -> str | None:
    return " ".join(flags(row["point"])) or None


def transfer_columns(set_a: str, set_b: str) -> list[Column]:
    """Return the columns of the table; the ends of a bracket stand in one cell for people, in two for machines."""

    def rate(name: str, title: str, pairs: str) -> Column:
        high = Column(f"{name}_high", "", partial(_end, name, "high"), Kind.NUMBER)
        text, why = partial(_bracket_text, name), partial(_why, pairs)
        return Column(f"{name}_low", title, partial(_end, name, "low"), Kind.NUMBER, "", text, why, beside=(high,))

    most = Column("times_high", "", partial(_times, "high"), Kind.NUMBER)
    return [
        Column("model", "model", "model", Kind.TEXT),
        Column("target", "target FPR", "target", Kind.NUMBER, format=_target_text),
        Column("threshold", f"threshold set on {set_a} (cosine)", "point.threshold", Kind.NUMBER, "", _threshold_text),
        Column("fpr_set", f"FPR on {set_a}", "point.fpr", Kind.NUMBER, format=_fpr_text),
        rate("fpr", f"real FPR on {set_b}", "impostor"),
        Column("times_low", "real / target", partial(_times, "low"), Kind.NUMBER, "", _times_text, beside=(most,)),
        Column("tpr_set", f"TPR on {set_a}", "point.tpr", Kind.NUMBER, format=".4f"),
        rate("tpr", f"TPR on {set_b}", "genuine"),
        Column("n_impostor", f"impostor pairs of {set_b}", "n_impostor", Kind.INTEGER, format=",d"),
        Column("flags", f"flags on {set_a}", _flags, Kind.TEXT),
    ]


def transfer_name(found_b: Found) -> str:
    """Return the name of the table and of the picture: they are of the set that thresholds come from."""
    return f"transfer-{file_name(found_b.group.job)}-{file_name(found_b.group.set)}"


def transfer(found_a: Found, found_b: Found, fpr: float | None = None) -> Table:
    """Return what thresholds that were set on one set do on another: a row for each model of both, and target.

    Parameters
    ----------
    found_a
        The evaluations whose thresholds are taken.
    found_b
        Those on which they are tried.
    fpr
        By the TPR at which models are ordered; the usual one where absent.
    """
    set_a, set_b = found_a.group.set, found_b.group.set
    rows = list(transfer_rows(found_a, found_b, fpr))
    between = sum(row["fpr"] is not None and row["fpr"].low < row["fpr"].high for row in rows)
    note = (
        f"{between:,} of {len(rows):,} real FPRs are told to lie between two rates, which were observed at the "
        "thresholds on either side"
    )
    return Table(
        transfer_name(found_b),
        f"Thresholds set on {set_a}, used on {set_b}",
        transfer_columns(set_a, set_b),
        rows,
        (note,) if between else (),
    )
