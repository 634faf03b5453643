"""What images that lie nearest to each other share: their label, or how they were saved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa

# Columns beside the label: how an image was saved.
BESIDE = ("format", "mode")


class Neighbours(NamedTuple):
    """How often the nearest image has the same value of a column.

    Attributes
    ----------
    column
        Of the samples.
    same
        Share of images whose nearest has the same value.
    by_chance
        Share of all pairs that have.
    by_labels
        The share that would be expected if the nearest image were drawn anew among the images of its label.
    """

    column: str
    same: float
    by_chance: float
    by_labels: float


def neighbours(table: pa.Table) -> list[Neighbours]:
    """Return what nearest images share, for the label and each further column in which images differ.

    Parameters
    ----------
    table
        Of a map: columns row, nearest_row, label; format and mode where they are known.
    """
    rows = table["row"].to_pylist()
    if len(rows) < 2 or table["nearest_row"].null_count:
        return []
    number = {row: place for place, row in enumerate(rows)}
    nearest = [number[row] for row in table["nearest_row"].to_pylist()]
    labels = table["label"].to_pylist()
    found = []
    for column in ("label", *BESIDE):
        values = table[column].to_pylist() if column in table.column_names else []
        if len(set(values)) > 1:
            found.append(_one(column, values, labels, nearest))
    return found


def _one(column: str, values: Sequence[Any], labels: Sequence[str], nearest: Sequence[int]) -> Neighbours:
    n = len(values)
    same = sum(values[i] == values[j] for i, j in enumerate(nearest))
    pairs = sum(count * (count - 1) for count in Counter(values).values())
    counts = Counter(zip(labels, values, strict=True))
    totals = Counter(labels)
    expected = 0.0
    for i, j in enumerate(nearest):
        # Another image of its label: the image itself is not its own neighbour.
        own = int(labels[i] == labels[j])
        expected += (counts[labels[j], values[i]] - own) / max(totals[labels[j]] - own, 1)
    return Neighbours(column, same / n, pairs / (n * (n - 1)), expected / n)
