"""Models by how well they tell anomalous from normal images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from evaljobs.report.comparing.differences import group_differences
from evaljobs.report.results import ANOMALY, OK, Document, Group, group_rows, groups_of
from evaljobs.report.section import Found
from evaljobs.report.tables.leaderboard import find_point, leaderboard_rows

# What stands in the place of pairs.
_COUNTS: Final = {"n_normal": "n_impostor", "n_anomalous": "n_genuine"}
_POINT: Final = {"next_normal_score": "next_impostor_score"}
_SCORES: Final = {"normal": "impostor", "anomalous": "genuine"}


def anomaly_groups(results: Document) -> list[Group]:
    """Return the anomaly jobs of a run."""
    return groups_of(results, ANOMALY)


def anomaly_rows(results: Document, group: Group, fpr: float | None = None) -> list[dict[str, Any]]:
    """Return a row for each model, best first: by AUROC, or by the TPR at a target; those that failed last.

    Returns
    -------
    list of dict
        As `group_rows`, with ``rank`` (models of one value share it) and ``point``: that of the target or, by AUROC, of
        the target that `shown_fpr` names.
    """
    if fpr is not None:
        return leaderboard_rows(results, group, fpr)
    shown = shown_fpr(group)
    rows: list[dict[str, Any]] = [
        {**row, "rank": None, "point": None if shown is None else find_point(row["result"], shown)}
        for row in group_rows(results, group)
    ]
    rows.sort(key=_order)
    values = [auroc_of(row["result"]) for row in rows]
    for row, value in zip(rows, values, strict=True):
        row["rank"] = None if value is None else values.index(value) + 1
    return rows


def shown_fpr(group: Group) -> float | None:
    """Return the target whose TPR stands beside the AUROC.

    The smallest that allows 30 false alarms; else, of sets so small, the largest below 1; None where there is no
    target. Sets of anomalies are small, and a TPR at a handful of false alarms says little.
    """
    results = [entry["result"] for entry in group.evaluations.values() if entry["status"] == OK]
    points = [point for result in results for point in result["points"]]
    targets = {float(point["target"]) for point in points}
    safe = {float(point["target"]) for point in points if "few_errors" not in point["flags"]} - {1.0}
    return min(safe) if safe else max(targets - {1.0} or targets, default=None)


def auroc_of(result: Document | None) -> float | None:
    """Return the AUROC of a result."""
    return None if result is None else float(result["auroc"])


def _order(row: Mapping[str, Any]) -> tuple[Any, ...]:
    value = auroc_of(row["result"])
    return row["status"] != OK, 0.0 if value is None else -value, row["model"]["name"]


def ranked(results: Document, group: Group) -> list[str]:
    """Return the models that have a result, best first by AUROC."""
    return [row["model"]["name"] for row in anomaly_rows(results, group) if row["status"] == OK]


def anomaly_differences(results: Document) -> Iterator[dict[str, Any]]:
    """Yield every model against the first one of its job: TPR at each target, then AUROC."""
    for group in anomaly_groups(results):
        yield from group_differences(results, group)


def like_pairs(found: Found) -> Found:
    """Return the same in the words of pairs, which figures of verifications speak: normal images are impostors.

    The bins of the table `scores` are those of the score's logarithm to base 10.
    """
    evaluations = {name: _entry(entry) for name, entry in found.group.evaluations.items()}
    tables = {name: _tables(named) for name, named in found.tables.items()}
    return found._replace(group=found.group._replace(evaluations=evaluations), tables=tables)


def _entry(entry: Document) -> Document:
    if entry["status"] != OK:
        return entry
    result = _renamed(entry["result"], _COUNTS)
    return {**entry, "result": {**result, "points": [_renamed(point, _POINT) for point in result["points"]]}}


def _renamed(found: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in found.items()}


def _tables(named: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    tables = dict(named)
    if "scores" in tables:
        scores = tables["scores"]
        # Their bins are equal on the scale of the logarithm.
        columns = {_SCORES.get(name, name): scores[name] for name in scores.column_names}
        columns |= {end: pc.log10(scores[end]) for end in ("score_low", "score_high")}
        tables["scores"] = pa.table(columns)
    return tables
