"""The pictures of classifications: confusion matrix and classes of the best model, reliability of the best few."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from evaljobs.report.figures.bars import bars_figure
from evaljobs.report.figures.confusion import confusion_figure
from evaljobs.report.figures.found import picture_stem
from evaljobs.report.figures.mistake_sheet import mistake_sheet
from evaljobs.report.figures.reliability import ReliabilityBin, reliability_figure
from evaljobs.report.kinds.classification_tables import table_of
from evaljobs.report.section import Found, Picture
from evaljobs.report.tables.naming import file_name

# Of more classes nothing can be seen, and the matrix grows with their square.
MAX_CLASSES = 1000
# Models that have a reliability diagram.
_RELIABLE = 3


def pictures(found: Found, ranked: Sequence[str]) -> list[Picture]:
    """Draw what can be drawn of the best models.

    Parameters
    ----------
    ranked
        The models that have a result, best first.

    Raises
    ------
    RunFailedError
        If a picture cannot be written.
    """
    made = [make(found, name) for name in ranked[:1] for make in (_confusion, _classes, mistake_sheet)]
    made += list(_reliability(found, ranked))
    return [picture for picture in made if picture is not None]


def _confusion(found: Found, model: str) -> Picture | None:
    classes, cells = table_of(found, model, "classes"), table_of(found, model, "confusion")
    if classes is None or cells is None or classes.num_rows > MAX_CLASSES:
        return None
    names = classes["class"].to_pylist()
    place = {name: number for number, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)), np.int64)
    for cell in cells.to_pylist():
        counts[place[cell["label"]], place[cell["predicted"]]] += cell["count"]
    written = confusion_figure(counts, names, picture_stem(found, "confusion"), model)
    right, n = int(counts.trace()), int(counts.sum())
    return Picture(
        name="confusion",
        title=f"Confusion matrix: {model}",
        alt=f"Images by label (rows) and by the class that {model} predicts (columns): {right:,} of {n:,} are right",
        files=written,
        caption="Each row is shaded by the share of its label's images, on a scale that shows small shares: what is "
        "dark beside the diagonal is taken for something else.",
    )


def _classes(found: Found, model: str) -> Picture | None:
    table = table_of(found, model, "classes")
    if table is None or table.num_rows > MAX_CLASSES:
        return None
    rows = sorted(table.to_pylist(), key=lambda row: (row["recall"] is None, row["recall"] or 0.0, row["class"]))
    series = {name: [row[name.lower()] for row in rows] for name in ("recall", "precision", "F1")}
    names = [row["class"] for row in rows]
    written = bars_figure(names, series, picture_stem(found, "classes"), "recall, precision and F1 (shares)", model)
    return Picture(
        name="class-bars",
        title=f"Classes: {model}",
        alt=f"Recall, precision and F1 of each class as {model} finds it, lowest recall first",
        files=written,
        caption="Recall: the share of a class's images that are found. Precision: the share of those predicted that "
        "are of it. F1: the harmonic mean of both.",
    )


def _reliability(found: Found, ranked: Sequence[str]) -> Iterator[Picture]:
    for model in ranked[:_RELIABLE]:
        table = table_of(found, model, "reliability")
        if table is None:
            continue
        columns = ("confidence_above", "confidence_up_to", "n_samples", "mean_confidence", "accuracy")
        bins = [ReliabilityBin(*(row[name] for name in columns)) for row in table.to_pylist()]
        calibration = found.group.evaluations[model]["result"]["calibration"]
        name = f"reliability-{file_name(model)}"
        yield Picture(
            name=name,
            title=f"Reliability: {model}",
            alt=f"Accuracy of {model} in bins of its confidence; expected calibration error {calibration['ece']:.4f}",
            files=reliability_figure(bins, picture_stem(found, name), calibration["ece"], model),
            caption="Of the images that a model is 80% sure of, 80% should be right. Bars below the diagonal: it is"
            " surer than it should be.",
        )
