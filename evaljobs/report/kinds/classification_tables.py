"""The tables of classifications: calibration, classes, and which class is taken for which."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from evaljobs.report.section import Found, Table
from evaljobs.report.tables.class_boards import ECE_COLUMN
from evaljobs.report.tables.columns import Column, Kind, count_column, number_column

# A panel shows the classes that matter; the tables of each evaluation have all.
MOST_CLASSES, MOST_CONFUSED, MOST_MISTAKES = 20, 20, 20
_ALL = "All of them stand in the evaluation's tables (tables/)."


def table_of(found: Found, model: str, name: str) -> pa.Table | None:
    """Return a table of a model's evaluation; None where it is not there."""
    return found.tables.get(model, {}).get(name)


def calibration_table(found: Found, ranked: Sequence[str]) -> Table | None:
    """Return how sure each model is and how sure it should be; None where no model's scores are known to be either."""
    entries = {model["name"]: model for model in found.results["models"]}
    results = {name: found.group.evaluations[name]["result"] for name in ranked}
    rows = [
        {
            "model": entries[name],
            "result": result,
            "over": result["calibration"]["mean_confidence"] - result["accuracy"],
        }
        for name, result in results.items()
        if result["calibration"]
    ]
    return Table("calibration", "Calibration", _CALIBRATION, rows, [_MEASURES]) if rows else None


def classes_table(found: Found, ranked: Sequence[str]) -> Table | None:
    """Return each class as the best model finds it, beside the recall of all models; hardest first.

    None where there is no model, or no table of it.
    """
    tables = {name: table for name in ranked if (table := table_of(found, name, "classes")) is not None}
    if not tables:
        return None
    best, *_ = tables
    recalls: dict[str, list[float]] = {}
    for table in tables.values():
        for name, recall in zip(table["class"].to_pylist(), table["recall"].to_pylist(), strict=True):
            if recall is not None:
                recalls.setdefault(name, []).append(recall)
    rows = [{**row, "recalls": recalls.get(row["class"], [])} for row in tables[best].to_pylist()]
    rows.sort(key=lambda row: (_median(row) is None, _median(row) or 0.0, row["class"]))
    several = [*_RECALLS] if len(tables) > 1 else []
    title = f"Classes: {best}, and all {len(tables):,} models" if several else f"Classes: {best}"
    return Table("classes", title, [*_CLASS, *several], rows, [_UNDEFINED])


def model_classes_table(found: Found, model: str) -> Table | None:
    """Return the classes of one model, those with the lowest F1 first; of many the first 20."""
    table = table_of(found, model, "classes")
    if table is None:
        return None
    rows = table.sort_by([("f1", "ascending"), ("class", "ascending")]).slice(0, MOST_CLASSES).to_pylist()
    less = len(rows) < table.num_rows
    some = [f"The {MOST_CLASSES} with the lowest F1 of {table.num_rows:,}. {_ALL}"] if less else []
    return Table("classes", f"Classes of {model}", _CLASS, rows, [*some, _UNDEFINED])


def confused_table(found: Found, model: str) -> Table | None:
    """Return which class a model takes for which other one most often; None without a table of it."""
    table = table_of(found, model, "confusion")
    if table is None:
        return None
    wrong = table.filter(pc.not_equal(table["label"], table["predicted"]))
    order = [("count", "descending"), ("label", "ascending"), ("predicted", "ascending")]
    shown = wrong.sort_by(order).slice(0, MOST_CONFUSED)
    rows = [dict(zip((*shown.column_names, "share", "back"), row, strict=True)) for row in _with_both(table, shown)]
    more = f"The {MOST_CONFUSED} most frequent of {wrong.num_rows:,} kinds of mistakes. {_ALL}"
    notes = [more] if wrong.num_rows > MOST_CONFUSED else []
    return Table("confused", f"What {model} takes for what", _CONFUSED, rows, notes)


def _with_both(table: pa.Table, shown: pa.Table) -> Iterator[tuple[str, str, int, float, int]]:
    """Yield cells with their share of the label's images, and how often it is the other way round."""
    summed = (
        table.filter(pc.is_in(table["label"], value_set=shown["label"])).group_by("label").aggregate([("count", "sum")])
    )
    images = dict(zip(summed["label"].to_pylist(), summed["count_sum"].to_pylist(), strict=True))
    turned = pc.and_(
        pc.is_in(table["label"], value_set=shown["predicted"]), pc.is_in(table["predicted"], value_set=shown["label"])
    )
    back = {(cell["label"], cell["predicted"]): cell["count"] for cell in table.filter(turned).to_pylist()}
    for cell in shown.to_pylist():
        label, predicted, count = cell["label"], cell["predicted"], cell["count"]
        yield label, predicted, count, count / images[label], back.get((predicted, label), 0)


def mistakes_table(found: Found, model: str) -> Table | None:
    """Return the mistakes that a model is most confident of; None without a table of them."""
    table = table_of(found, model, "mistakes")
    if table is None:
        return None
    rows = table.slice(0, MOST_MISTAKES).to_pylist()
    return Table("mistakes", f"Most confident mistakes of {model}", _MISTAKE, rows, [_WRONG_LABELS])


_WRONG_LABELS = "Wrong labels are found here first: look at the images before you believe the accuracy."
_MEASURES = (
    "ECE and MCE: mean and largest distance of confidence from accuracy, over bins of confidence. Brier score: summed "
    "over the classes, 0 to 2. NLL: mean negative log-likelihood; none where the right class of some image has the "
    "probability 0."
)
_UNDEFINED = (
    "Precision of a class that is never predicted, and recall of one without images, are undefined; an average is over "
    "the classes in which it is defined."
)


def _median(row: Any) -> float | None:
    return statistics.median(row["recalls"]) if row["recalls"] else None


def _lowest(row: Any) -> float | None:
    return min(row["recalls"], default=None)


def _highest(row: Any) -> float | None:
    return max(row["recalls"], default=None)


_CLASS = [
    Column("class", "class", "class", Kind.TEXT),
    count_column("n_samples", "images"),
    count_column("n_predicted", "predicted"),
    count_column("n_correct", "right"),
    number_column("precision", "precision", "precision"),
    number_column("recall", "recall", "recall"),
    number_column("f1", "F1", "f1"),
]
_RECALLS = [
    number_column("recall_median", "median recall of all models", _median),
    number_column("recall_lowest", "lowest", _lowest),
    number_column("recall_highest", "highest", _highest),
]
_CONFUSED = [
    Column("label", "label", "label", Kind.TEXT),
    Column("predicted", "taken for", "predicted", Kind.TEXT),
    count_column("count", "images"),
    Column("share", "share of the label's images", "share", Kind.NUMBER, format=".1%"),
    count_column("back", "the other way round"),
]
_MISTAKE = [
    count_column("rank", "rank"),
    Column("id", "image", "id", Kind.TEXT),
    count_column("row", "row"),
    Column("label", "label", "label", Kind.TEXT),
    Column("predicted", "predicted", "predicted", Kind.TEXT),
    number_column("confidence", "confidence", "confidence"),
]
_CALIBRATION = [
    Column("model", "model", "model.name", Kind.TEXT),
    number_column("accuracy", "accuracy", "result.accuracy"),
    number_column("mean_confidence", "mean confidence", "result.calibration.mean_confidence"),
    number_column("overconfidence", "confidence - accuracy", "over", "+.4f"),
    ECE_COLUMN,
    number_column("mce", "MCE", "result.calibration.mce"),
    number_column("brier", "Brier score", "result.calibration.brier"),
    Column("nll", "NLL", "result.calibration.nll", Kind.NUMBER, "nats", ".4f"),
]
