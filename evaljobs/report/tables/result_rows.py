"""results.csv and results.parquet: what every model of every job that ranks its models has come to."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from evaljobs.report.comparing.measures import ACCURACY, BALANCED, MACRO_F1, OF_UNCERTAINTY, interval_of, value_of
from evaljobs.report.results import (
    ANOMALY,
    CLASSIFICATION,
    RANKED,
    UNCERTAINTY,
    Document,
    failed_rows,
    group_rows,
    groups_of,
    kind_of,
)
from evaljobs.report.tables.columns import Column, Kind, Row, end_columns
from evaljobs.report.tables.flags import flags_text
from evaljobs.report.tables.verification import TAG, half_threshold, tag_columns


def result_rows(results: Document) -> list[dict[str, Any]]:
    """Return a row per operating point, and one for each model that has none; of each model where no job has any.

    Returns
    -------
    list of dict
        As `group_rows`, with ``kind`` of the job and ``point``.
    """
    rows: list[dict[str, Any]] = []
    groups = groups_of(results, *RANKED)
    for group in groups:
        kind = kind_of(group)
        for row in group_rows(results, group):
            points = (row["result"] or {}).get("points") or [None]
            rows += [{**row, "kind": kind, "point": point} for point in points]
    return rows if groups else [{**row, "kind": None, "point": None} for row in failed_rows(results)]


def result_columns(tags: Sequence[str]) -> list[Column]:
    """Return the columns of these rows."""
    number, integer, text = Kind.NUMBER, Kind.INTEGER, Kind.TEXT
    return [
        Column("job", "job", "job", text),
        Column("kind", "kind of job", "kind", text),
        Column("set", "set", "set", text),
        Column("model", "model", "model.name", text),
        *tag_columns(tags, TAG),
        Column("status", "status", "status", text),
        Column("error", "error", "error.kind", text),
        Column("protocol", "protocol", "result.protocol", text),
        Column("n_samples", "samples", "result.n_samples", integer),
        Column("n_genuine", "genuine pairs", "result.n_genuine", integer),
        Column("n_impostor", "impostor pairs", "result.n_impostor", integer),
        Column("n_anomalous", "anomalous images", "result.n_anomalous", integer),
        Column("n_normal", "normal images", "result.n_normal", integer),
        *_point_columns(),
        Column("auroc", "AUROC", "result.auroc", number),
        Column("auroc_exact", "AUROC is exact", "result.auroc_exact", Kind.BOOLEAN),
        *end_columns("auroc_bounds", "result.auroc_bounds", "AUROC bounds"),
        *end_columns("auroc_ci", "result.auroc_ci", "AUROC"),
        *(column for one in (ACCURACY, BALANCED, MACRO_F1) for column in _measured(*one, CLASSIFICATION)),
        Column("measure", "measure of uncertainty", "result.measure", text),
        *(column for one in OF_UNCERTAINTY for column in _measured(*one, UNCERTAINTY)),
        Column("size_mb", "size", "model.cost.size_mb", number, "MB"),
        Column("params", "parameters", "model.cost.params", integer),
        Column("gmacs", "GMACs", "model.cost.gmacs", number),
        Column("gflops", "GFLOPs", "model.cost.gflops", number),
    ]


def _point_columns() -> list[Column]:
    number, integer = Kind.NUMBER, Kind.INTEGER
    return [
        Column("target", "target FPR", "point.target", number),
        Column("allowed", "allowed false positives", "point.allowed", integer),
        Column("false_positives", "false positives", "point.false_positives", integer),
        Column("fpr", "FPR", "point.fpr", number),
        Column("true_positives", "true positives", "point.true_positives", integer),
        Column("tpr", "TPR", "point.tpr", number),
        *end_columns("tpr_ci", "point.tpr_ci", "TPR"),
        Column("tpr_balanced", "TPR, labels alike", "point.tpr_balanced", number),
        Column("threshold", "threshold (cosine, or score)", "point.threshold", number),
        Column("threshold_half", "threshold ((cosine + 1) / 2)", _half_threshold, number),
        Column("next_impostor_score", "next impostor score (cosine)", "point.next_impostor_score", number),
        Column("next_normal_score", "next normal score", "point.next_normal_score", number),
        Column("flags", "flags", flags_text, Kind.TEXT),
    ]


def _half_threshold(row: Row) -> float | None:
    # Scores of anomalies are no cosines.
    return None if row["kind"] == ANOMALY else half_threshold(row)


def _measured(name: str, title: str, kind: str) -> list[Column]:
    """Return the columns of a measure of one kind of jobs, and of the ends of its interval."""
    ends = [
        Column(f"{name}_ci_{end}", f"{title} {end} end", partial(_end, name, kind, place), Kind.NUMBER)
        for place, end in enumerate(("lower", "upper"))
    ]
    return [Column(name, title, partial(_value, name, kind), Kind.NUMBER), *ends]


def _value(name: str, kind: str, row: Row) -> float | None:
    return value_of(row["result"], name) if row["kind"] == kind else None


def _end(name: str, kind: str, place: int, row: Row) -> float | None:
    ends = interval_of(row["result"], name) if row["kind"] == kind else None
    return None if ends is None else ends[place]
