"""The tables of audits: findings, models, fields, duplicates, labels that are likely wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from evaljobs.report.audits import by_verdict, duplicate_rows, evidence_of, falls, of_models, rows_of, suspect_rows
from evaljobs.report.results import OK, Document, Group, group_rows
from evaljobs.report.section import Found, Table
from evaljobs.report.tables.columns import Column, Kind, Row, count_column, number_column

# Rows of the page; the tables of the run have all.
_MOST = 300


def findings_table(group: Group) -> Table:
    """Return all findings, the worst first."""
    rows = [{"model": {"name": name} if name else None, **finding} for name, finding in by_verdict(group)]
    return Table("findings", "Findings", _FINDINGS, rows, [_VERDICTS])


def models_table(found: Found) -> Table:
    """Return a row for each model: what re-encoding does to it, and its likely label errors."""
    rows = [
        {**row, "fell": dict(falls(row["result"])), "suspects": evidence_of(row["result"], "label_errors")}
        if row["status"] == OK
        else {**row, "fell": {}, "suspects": None}
        for row in group_rows(found.results, found.group)
    ]
    titles = list(dict.fromkeys(title for row in rows for title in row["fell"]))
    columns = [*_MODELS, *(column for title in titles for column in _moved_columns(title)), _SUSPECTS]
    return Table("models", "Models when all images are encoded alike", columns, rows, [_CERTAIN])


def fields_table(found: Found) -> Table:
    """Return what each field of the files tells by itself."""
    return Table("fields", "What files tell", _FIELDS, rows_of(found.tables, None, "fields"), [_FIELD_NOTE])


def duplicates_table(found: Found) -> Table:
    """Return duplicates as a table."""
    rows = duplicate_rows(found.tables)
    left = [f"{len(rows) - _MOST:,} more pairs in `tables/`."] if rows[_MOST:] else []
    return Table("duplicates", "Images that are there twice", _DUPLICATES, rows[:_MOST], left)


def suspects_table(found: Found) -> Table:
    """Return images whose labels are likely wrong, of all models together."""
    return Table(
        "label-errors",
        "Labels that are likely wrong",
        _LABELS,
        suspect_rows(found.tables, of_models(found.group))[:_MOST],
        [_LABEL_NOTE],
    )


def model_tables(found: Found, name: str) -> Iterator[Table]:
    """Yield the tables of one model."""
    named = (
        ("counterfactual", "When all images are encoded alike", _MOVED),
        ("by_format", "By the formats of both files", _BY_FORMAT),
        ("label_errors", "Labels that are likely wrong", _LABELS),
    )
    for table, title, columns in named:
        rows = rows_of(found.tables, name, table)
        rows = [{**row, "n_models": None} for row in rows] if table == "label_errors" else rows
        if rows:
            yield Table(table.replace("_", "-"), title, columns, rows[:_MOST])


def _moved_columns(title: str) -> Sequence[Column]:
    said = number_column(f"auroc {title}", f"all {title}", partial(_fell, title, "b"))
    return (
        said,
        number_column(f"difference {title}", "difference", partial(_fell, title, "difference"), "+.4f"),
        _sure(title),
    )


def _sure(title: str) -> Column:
    return Column(f"certain {title}", "more than noise", partial(_certain, title), Kind.TEXT)


def _fell(title: str, key: str, row: Row) -> float | None:
    found: Mapping[str, Any] = row["fell"].get(title) or {}
    return found.get(key)


def _certain(title: str, row: Row) -> str | None:
    inside = (row["fell"].get(title) or {}).get("zero_inside")
    return None if inside is None else "no" if inside else "yes"


def _digits(value: Document | None) -> Any:
    return None if value is None else value["n_labels"]


_VERDICTS = (
    "leak: files tell labels, and numbers cannot be believed. suspicious: look before you believe. unknown: it could "
    "not be asked, and the claim says why. clean: asked, and nothing found."
)
_CERTAIN = (
    "AUROC as the images are, and when all of them are encoded in one way. More than noise: the 95% interval of the "
    "difference, over groups of labels left out in turn, does not hold 0."
)
_FIELD_NOTE = (
    "AUROC of a field by itself: for labels (mean over labels), for the label that it tells best, and for whether two "
    "images have one label. p: how often chance does as well with the best of all fields."
)
_LABEL_NOTE = (
    "Images that models accept as another label's and as none of their own, from the hardest pairs. They are "
    "suggestions: nothing was removed."
)
_FINDINGS = (
    Column("verdict", "verdict", "verdict", Kind.TEXT),
    Column("model", "model", "model.name", Kind.TEXT),
    Column("check", "asked", "check", Kind.TEXT),
    Column("claim", "found", "claim", Kind.TEXT),
    Column("advice", "what to do", lambda row: row["advice"] or None, Kind.TEXT),
)
_MODELS = (
    Column("model", "model", "model.name", Kind.TEXT),
    Column("status", "status", lambda row: None if row["status"] == OK else row["status"], Kind.TEXT),
    Column("verdict", "verdict", "result.verdict", Kind.TEXT),
    number_column("auroc", "AUROC", "result.auroc"),
)
_SUSPECTS = Column(
    "label_errors", "likely label errors", lambda row: _digits(row["suspects"]), Kind.INTEGER, format=",d"
)
_FIELDS = (
    Column("field", "field", "field", Kind.TEXT),
    Column("verdict", "verdict", "verdict", Kind.TEXT),
    number_column("auroc", "labels", "auroc", ".3f"),
    Column("label", "told best", "label", Kind.TEXT),
    number_column("label_auroc", "that label", "label_auroc", ".3f"),
    number_column("pair_auroc", "genuine pairs", "pair_auroc", ".3f"),
    number_column("p", "p", "p", ".3g"),
    count_column("n_values", "values"),
    count_column("n_known", "images that have it"),
)
_DUPLICATES = (
    Column("where", "with", lambda row: "training" if row["where"] == "training" else "the set", Kind.TEXT),
    Column("id_a", "image", "id_a", Kind.TEXT),
    Column("label_a", "label", "label_a", Kind.TEXT),
    Column("id_b", "and", "id_b", Kind.TEXT),
    Column("label_b", "label", "label_b", Kind.TEXT),
    Column("distance", "bits that differ", "distance", Kind.INTEGER),
)
_LABELS = (
    Column("id_a", "image", "id_a", Kind.TEXT),
    Column("label", "label", "label", Kind.TEXT),
    Column("suggested", "likely", "suggested", Kind.TEXT),
    count_column("n_models", "models"),
    number_column("score", "similarity", "score"),
    number_column("own_score", "to its own", "own_score"),
    Column("id_b", "most similar", "id_b", Kind.TEXT),
)
_MOVED = (
    Column("recoding", "all as", "recoding", Kind.TEXT),
    Column("metric", "number", "metric", Kind.TEXT),
    number_column("target", "FPR", "target", "g"),
    number_column("before", "before", "before"),
    number_column("after", "after", "after"),
    number_column("difference", "difference", "difference", "+.4f"),
    number_column("low", "95% from", "low", "+.4f"),
    number_column("high", "to", "high", "+.4f"),
    Column("certain", "more than noise", "certain", Kind.BOOLEAN),
    Column("flags_after", "flags", lambda row: row["flags_after"] or None, Kind.TEXT),
)
_BY_FORMAT = (
    number_column("target", "FPR", "target", "g"),
    Column("format_a", "format", "format_a", Kind.TEXT),
    Column("format_b", "and", "format_b", Kind.TEXT),
    number_column("tpr", "TPR", "tpr"),
    count_column("true_positives", "TP"),
    count_column("n_genuine", "genuine"),
    number_column("fpr", "FPR", "fpr", ".3g"),
    count_column("false_positives", "FP"),
    count_column("n_impostor", "impostor"),
    Column("flags", "flags", lambda row: row["flags"] or None, Kind.TEXT),
)
