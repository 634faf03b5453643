"""The tables of anomaly jobs: a row for each model, operating point, label."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import pyarrow.compute as pc

from evaljobs.report.results import OK, Document, tag_keys
from evaljobs.report.section import Found, Table
from evaljobs.report.tables.columns import Column, Kind, Row, end_columns
from evaljobs.report.tables.flags import flags, flags_text, why_no_rate
from evaljobs.report.tables.numbers import interval_text, next_text, rate_text, share_text, threshold_text
from evaljobs.report.tables.verification import COST_COLUMNS, STATUS_COLUMN, TAG, tag_columns

MEANING: Final = {
    "unresolved": "the target allows not one false alarm with these images: the TPR is that at no false alarm",
    "few_errors": "the target allows fewer than 30 false alarms: the numbers rest on a handful of images",
    "tied": "the next scores are equal and would exceed the target together, so fewer false alarms than allowed",
    "nothing_accepted": "the highest scores are equal and exceed the target together: nothing can be flagged",
}
FLAGGED: Final = (
    "An image is flagged when its score is at or above the threshold: FPR is the share of the normal images that is "
    "flagged, TPR that of the anomalous ones. Thresholds are rounded down only as far as every image of this data "
    "stays on its side; CSV and Parquet keep all digits."
)


def meanings(found: Iterable[str]) -> list[str]:
    """Say what some flags mean, of images."""
    known = {*found}
    return [f"{flag}: {meaning}" for flag, meaning in MEANING.items() if flag in known]


def intervals_note(rows: Iterable[Row]) -> list[str]:
    """Say what the brackets are; nothing where there is no interval."""
    several = [(row.get("result") or {}).get("intervals") for row in rows]
    groups = sorted({intervals["groups"] for intervals in several if intervals})
    return [f"[ ]: 95% interval, from {n} groups of images, each left out in turn" for n in groups]


def board(found: Found, rows: Sequence[Row], fpr: float | None, shown: float | None) -> Table:
    """Return a leaderboard: by the TPR at a target, or by AUROC.

    Parameters
    ----------
    rows
        Of `evaljobs.report.comparing.anomalies.anomaly_rows`.
    fpr
        The target; None: by AUROC.
    shown
        The target whose point the rows have.
    """
    name = "leaderboard" if fpr is None else f"leaderboard-{rate_text(fpr)}"
    title = "Leaderboard by AUROC" if fpr is None else f"Leaderboard by TPR at FPR {rate_text(fpr)}"
    notes = [FLAGGED, *intervals_note(rows), *meanings(flag for row in rows for flag in flags(row["point"]))]
    return Table(name, title, board_columns(found.results, fpr, shown), rows, notes)


def board_columns(results: Document, fpr: float | None, shown: float | None) -> list[Column]:
    """Return the columns of the rows of a leaderboard."""
    rates = [] if shown is None else [tpr_column(f"TPR at FPR {rate_text(shown)}"), _FLAGS]
    leading, *others = [AUROC_COLUMN, *rates] if fpr is None else [*rates, AUROC_COLUMN]
    return [
        Column("rank", "rank", "rank", Kind.INTEGER),
        _MODEL,
        *tag_columns(tag_keys(results), TAG),
        replace(leading, strong=_is_first),
        *others,
        Column("rotation_accuracy", "rotations told", "result.rotation_accuracy.normal", Kind.NUMBER, format=".1%"),
        *COST_COLUMNS,
        STATUS_COLUMN,
    ]


def points_table(rows: Iterable[Row], title: str, *, of_one: bool = False) -> Table:
    """Return every operating point of some models, or of one, which the title names."""
    points = [{**row, "point": point} for row in rows if row["status"] == OK for point in row["result"]["points"]]
    notes = [FLAGGED, *intervals_note(points), *meanings(flag for row in points for flag in flags(row["point"]))]
    return Table("thresholds", title, POINT_COLUMNS[1:] if of_one else POINT_COLUMNS, points, notes)


def labels_table(found: Found, model: str, fpr: float | None, title: str) -> Table | None:
    """Return the labels as a model sees them, worst told first, the normal ones last; None without a table of them."""
    tables = found.tables.get(model, {})
    if "labels" not in tables or "label_points" not in tables:
        return None
    flagged = tables["label_points"]
    at = (
        {}
        if fpr is None
        else {row["label"]: row for row in flagged.filter(pc.equal(flagged["target"], fpr)).to_pylist()}
    )
    rows = [{**row, "at": at.get(row["label"])} for row in tables["labels"].to_pylist()]
    rows.sort(key=lambda row: (not row["anomalous"], row["auroc"] or 0.0, row["label"]))
    columns = list(_LABEL_COLUMNS)
    if fpr is not None:
        columns += [
            Column("n_flagged", f"flagged at FPR {rate_text(fpr)}", "at.n_flagged", Kind.INTEGER, format=",d"),
            Column("share_flagged", "share", "at.share_flagged", Kind.NUMBER, format=".2%"),
        ]
    return Table("labels", title, columns, rows, ["AUROC: of the images of a label against all normal images."])


def rotations_table(model: str, result: Document) -> Table | None:
    """Return what a model takes the rotations of normal images for; None where it tells none."""
    if result["confusion"] is None:
        return None
    degrees = [f"{rotation:g}" for rotation in result["rotations"]]
    rows = [
        {"rotation": degree, "counts": dict(zip(degrees, counts, strict=True)), "share": counts[place] / sum(counts)}
        for place, (degree, counts) in enumerate(zip(degrees, result["confusion"], strict=True))
    ]
    columns = [
        Column("rotation", "turned by", "rotation", Kind.TEXT, "degrees"),
        *(
            Column(f"told_{degree}", f"taken for {degree}", partial(_count, degree), Kind.INTEGER, format=",d")
            for degree in degrees
        ),
        Column("share", "right", "share", Kind.NUMBER, format=".1%"),
    ]
    note = "A rotation that is taken for another one throughout: the model may have been trained in another order."
    return Table("rotations", f"How {model} tells rotations of normal images", columns, rows, [note])


def _count(degree: str, row: Row) -> int:
    return int(row["counts"][degree])


def _auroc_text(row: Row) -> str:
    return interval_text(row["result"]["auroc"], row["result"]["auroc_ci"])


def _tpr_text(row: Row) -> str:
    return interval_text(row["point"]["tpr"], row["point"]["tpr_ci"])


def tpr_column(title: str) -> Column:
    """Return the column of the TPR."""
    ends = end_columns("tpr_ci", "point.tpr_ci", "TPR")
    return Column("tpr", title, "point.tpr", Kind.NUMBER, format=_tpr_text, beside=ends)


def threshold_words(row: Row) -> str:
    """Write the threshold of a row's point."""
    return threshold_text(row["point"]["threshold"], row["point"]["next_normal_score"])


def _next_text(row: Row) -> str:
    return next_text(row["point"]["next_normal_score"], row["point"]["threshold"])


def _of_text(count: str, total: str, row: Row) -> str:
    return f"{row['point'][count]:,} / {row['result'][total]:,}"


def _of_column(count: str, total: str, title: str, whole: str) -> Column:
    beside = (Column(total, whole, f"result.{total}", Kind.INTEGER),)
    text = partial(_of_text, count, total)
    return Column(count, f"{title} / {whole}", f"point.{count}", Kind.INTEGER, format=text, beside=beside)


def _flags_or_none(row: Row) -> str | None:
    return flags_text(row) or None


def _target_text(row: Row) -> str:
    return rate_text(float(row["point"]["target"]))


def _fpr_text(row: Row) -> str:
    return share_text(row["point"]["fpr"])


def _is_first(row: Row) -> bool:
    return bool(row.get("rank") == 1)


_MODEL: Final = Column("model", "model", "model.name", Kind.TEXT)
_FLAGS: Final = Column("flags", "flags", _flags_or_none, Kind.TEXT)
AUROC_COLUMN: Final = Column(
    "auroc",
    "AUROC",
    "result.auroc",
    Kind.NUMBER,
    format=_auroc_text,
    beside=end_columns("auroc_ci", "result.auroc_ci", "AUROC"),
)
POINT_COLUMNS: Final[Sequence[Column]] = (
    _MODEL,
    Column("target", "target FPR", "point.target", Kind.NUMBER, format=_target_text),
    Column("fpr", "FPR", "point.fpr", Kind.NUMBER, format=_fpr_text),
    tpr_column("TPR"),
    Column("tpr_balanced", "TPR, labels alike", "point.tpr_balanced", Kind.NUMBER, format=".4f"),
    Column("threshold", "threshold", "point.threshold", Kind.NUMBER, "", threshold_words, why_no_rate),
    Column("next_normal_score", "next normal", "point.next_normal_score", Kind.NUMBER, format=_next_text),
    Column("allowed", "allowed", "point.allowed", Kind.INTEGER, format=",d"),
    _of_column("false_positives", "n_normal", "flagged", "normal images"),
    _of_column("true_positives", "n_anomalous", "flagged", "anomalous images"),
    _FLAGS,
)
_LABEL_COLUMNS: Final[Sequence[Column]] = (
    Column("label", "label", "label", Kind.TEXT),
    Column("kind", "kind", lambda row: "anomalous" if row["anomalous"] else "normal", Kind.TEXT),
    Column("n_samples", "images", "n_samples", Kind.INTEGER, format=",d"),
    Column("mean", "mean score", "mean", Kind.NUMBER, format=".4g"),
    Column("median", "median", "median", Kind.NUMBER, format=".4g"),
    Column("auroc", "AUROC", "auroc", Kind.NUMBER, format=".4f"),
)
