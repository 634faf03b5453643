"""What figures of verifications are drawn from: curves and distributions of the models, best first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evaljobs.report.figures.canvas import FOLDER
from evaljobs.report.figures.roc import RocCurve
from evaljobs.report.results import OK, Document
from evaljobs.report.section import Found
from evaljobs.report.tables.leaderboard import chosen_fpr, leaderboard_rows

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


class Scores(NamedTuple):
    """The distribution of a model's scores.

    Attributes
    ----------
    edges
        ``[b + 1]`` float64, ascending: of the bins.
    genuine, impostor
        ``[b]`` int64: pairs in each bin.
    """

    edges: Float64
    genuine: Int64
    impostor: Int64


def picture_stem(found: Found, name: str) -> Path:
    """Return where a picture of a section is written, without the suffix."""
    return found.folder / FOLDER / f"{found.prefix}{name}"


def targets_of(found: Found) -> list[float]:
    """Return the target FPRs of all models, ascending."""
    results = [e["result"] for e in found.group.evaluations.values() if e["status"] == OK]
    return sorted({float(point["target"]) for result in results for point in result["points"]})


def ranking_fpr(found: Found, fpr: float | None) -> float:
    """Return the FPR by which models are ordered: the given one, or the usual one of these results."""
    chosen = chosen_fpr(found.group) if fpr is None else fpr
    return 1.0 if chosen is None else chosen


def results_of(found: Found, fpr: float | None = None) -> dict[str, Document]:
    """Return the results by model, best first."""
    rows = leaderboard_rows(found.results, found.group, ranking_fpr(found, fpr))
    return {row["model"]["name"]: row["result"] for row in rows if row["status"] == OK}


def curves_of(found: Found, fpr: float | None = None) -> dict[str, RocCurve]:
    """Return the curves that can be drawn by model, best first."""
    curves: dict[str, RocCurve] = {}
    for name, result, table in _with_table(found, fpr, "roc"):
        rates, shares = (_floats(table, column) for column in ("fpr", "tpr"))
        # Without genuine or impostor pairs a rate is undefined: there is no curve.
        if len(rates) and np.isfinite(rates).all() and np.isfinite(shares).all():
            curves[name] = RocCurve(rates, shares, int(result["n_impostor"]), int(result["n_genuine"]))
    return curves


def scores_of(found: Found, fpr: float | None = None) -> dict[str, Scores]:
    """Return the distributions that can be drawn by model, best first: those with pairs of both kinds."""
    scores = {name: scores_of_model(found, name) for name in results_of(found, fpr)}
    return {name: one for name, one in scores.items() if one is not None}


def scores_of_model(found: Found, name: str) -> Scores | None:
    """Return the distribution of one model; None where it has not pairs of both kinds."""
    table = found.tables.get(name, {}).get("scores")
    if table is None or not len(table):
        return None
    low, high = (_floats(table, f"score_{end}") for end in ("low", "high"))
    genuine, impostor = (table.column(kind).to_numpy() for kind in ("genuine", "impostor"))
    return Scores(np.append(low, high[-1:]), genuine, impostor) if genuine.any() and impostor.any() else None


def _with_table(found: Found, fpr: float | None, name: str) -> Iterator[tuple[str, Document, pa.Table]]:
    for model, result in results_of(found, fpr).items():
        table = found.tables.get(model, {}).get(name)
        if table is not None:
            yield model, result, table


def _floats(table: pa.Table, column: str) -> Float64:
    return np.asarray(table.column(column).to_numpy(), np.float64)
