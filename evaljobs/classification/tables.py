"""The tables of a classification, as Arrow: undefined is null."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evaljobs.classification.calibration import Calibration
from evaljobs.classification.count import Cells, Mistakes
from evaljobs.classification.metrics import PerClass

if TYPE_CHECKING:
    import pyarrow as pa


def classes_table(classes: Sequence[str], found: PerClass) -> pa.Table:
    """Return a row for each class, in the order of the scores.

    Columns class, n_samples, n_predicted, n_correct, precision, recall, f1.
    """
    import pyarrow as pa

    counts = {name: pa.array(getattr(found, name), pa.int64()) for name in ("n_samples", "n_predicted", "n_correct")}
    rates = {name: _rates(getattr(found, name)) for name in ("precision", "recall", "f1")}
    return pa.table({"class": _names(classes, np.arange(len(classes))), **counts, **rates})


def confusion_table(classes: Sequence[str], cells: Cells) -> pa.Table:
    """Return a row for each cell that is not 0, by right class, then by predicted class.

    Columns label (the right class), predicted, count.
    """
    import pyarrow as pa

    label, predicted = np.divmod(cells.number, len(classes))
    columns = {"label": _names(classes, label), "predicted": _names(classes, predicted)}
    return pa.table({**columns, "count": pa.array(cells.count, pa.int64())})


def reliability_table(found: Calibration) -> pa.Table:
    """Return a row for each bin of confidence, empty ones included.

    Columns confidence_above, confidence_up_to (the edges), n_samples, n_correct, mean_confidence, accuracy.
    """
    import pyarrow as pa

    return pa.table(
        {
            "confidence_above": pa.array(found.edges[:-1]),
            "confidence_up_to": pa.array(found.edges[1:]),
            "n_samples": pa.array(found.n_samples, pa.int64()),
            "n_correct": pa.array(found.n_correct, pa.int64()),
            "mean_confidence": _rates(found.confidence),
            "accuracy": _rates(found.accuracy),
        }
    )


def mistakes_table(classes: Sequence[str], found: Mistakes) -> pa.Table:
    """Return the most confident mistakes, most confident first.

    Columns rank from 1, row, label (the right class), predicted, confidence.
    """
    import pyarrow as pa

    return pa.table(
        {
            "rank": pa.array(range(1, len(found.row) + 1), pa.int32()),
            "row": pa.array(found.row, pa.int64()),
            "label": _names(classes, found.truth),
            "predicted": _names(classes, found.predicted),
            "confidence": pa.array(found.confidence, pa.float64()),
        }
    )


def _rates(values: NDArray[np.float64]) -> pa.Array:
    import pyarrow as pa

    return pa.array(values, pa.float64(), mask=np.isnan(values))


def _names(classes: Sequence[str], numbers: NDArray[np.int64]) -> pa.Array:
    """Return names by number; a lone surrogate, which Arrow cannot hold, as an escape."""
    import pyarrow as pa

    names = pa.array([name.encode(errors="backslashreplace").decode() for name in classes], pa.string())
    return names.take(pa.array(numbers))
