"""The tables of an evaluation: each image, the curves, the histogram."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evaljobs.uncertainty.blocks import Float64, order, tally
from evaljobs.uncertainty.coverage import Coverage, thinned
from evaljobs.uncertainty.detection import roc_points

# Points of a curve that a picture can show.
MOST_POINTS = 1000


def histogram_table(values: Mapping[str, Mapping[str, Float64]], bins: int) -> pa.Table:
    """Return how many images of each set fall into bins of equal width, from the least to the greatest value of all.

    Parameters
    ----------
    values
        By measure and role: ``[n]``.

    Returns
    -------
    Columns measure, role, from, to (the upper end belongs to the last bin alone), n_samples.
    """
    rows: list[tuple[str, str, float, float, int]] = []
    for measure, by_role in values.items():
        low = min(float(v.min()) for v in by_role.values())
        high = max(float(v.max()) for v in by_role.values())
        edges = np.linspace(low, high if high > low else low + 1.0, bins + 1)
        for role, of_role in by_role.items():
            counts = np.histogram(of_role, edges)[0].tolist()
            rows += [
                (measure, role, *ends) for ends in zip(edges[:-1].tolist(), edges[1:].tolist(), counts, strict=True)
            ]
    return _table(
        rows,
        {
            "measure": pa.string(),
            "role": pa.string(),
            "from": pa.float64(),
            "to": pa.float64(),
            "n_samples": pa.int64(),
        },
    )


def coverage_table(curves: Mapping[str, Mapping[str, Coverage | None]]) -> pa.Table:
    """Return risk-coverage curves: by measure and role, what is kept up to an uncertainty, at most 1,000 points each.

    Returns
    -------
    Columns measure, role, value, n_kept, n_wrong, coverage, risk.
    """
    rows: list[tuple[str, str, float, int, int, float, float]] = []
    for measure, by_role in curves.items():
        for role, found in by_role.items():
            if found is not None:
                for value, kept, wrong in zip(*(c.tolist() for c in thinned(found.curve, MOST_POINTS)), strict=True):
                    rows.append((measure, role, value, kept, wrong, kept / found.n, wrong / kept))
    kinds = {name: pa.float64() for name in ("coverage", "risk")}
    counts = {name: pa.int64() for name in ("n_kept", "n_wrong")}
    return _table(rows, {"measure": pa.string(), "role": pa.string(), "value": pa.float64(), **counts, **kinds})


def roc_table(values: Mapping[str, Mapping[str, Float64]], known: str, foreign: Sequence[str]) -> pa.Table:
    """Return the ROC of foreign sets against the in-distribution set, at most 1,000 points each.

    Returns
    -------
    Columns measure, role, threshold, false_positives, true_positives, fpr, tpr.
    """
    rows: list[tuple[str, str, float, int, int, float, float]] = []
    for measure, by_role in values.items():
        for role in foreign:
            positive, negative = by_role[role], by_role[known]
            both = np.concatenate([positive, negative])
            blocks = tally(order(both), np.arange(len(both)) < len(positive))
            for value, fp, tp in zip(*(c.tolist() for c in roc_points(blocks, MOST_POINTS)), strict=True):
                rows.append((measure, role, value, fp, tp, fp / len(negative), tp / len(positive)))
    rates = {name: pa.float64() for name in ("fpr", "tpr")}
    counts = {name: pa.int64() for name in ("false_positives", "true_positives")}
    return _table(rows, {"measure": pa.string(), "role": pa.string(), "threshold": pa.float64(), **counts, **rates})


def images_table(columns: Mapping[str, Mapping[str, NDArray[np.generic] | Sequence[object] | None]]) -> pa.Table:
    """Return every image: a column for each name, the roles one after the other; null where a role has none.

    Parameters
    ----------
    columns
        By role and name; those of one role have a value for each image. The first role has all names.
    """
    names = list(dict.fromkeys(name for by_name in columns.values() for name in by_name))
    parts = []
    for role, by_name in columns.items():
        n = next(len(values) for values in by_name.values() if values is not None)
        arrays = {name: pa.nulls(n) if (v := by_name.get(name)) is None else pa.array(v) for name in names}
        parts.append(pa.table({"role": pa.array([role] * n, pa.string()), **arrays}))
    return pa.concat_tables(parts, promote_options="permissive").combine_chunks()


def _table(rows: Sequence[tuple[object, ...]], kinds: Mapping[str, pa.DataType]) -> pa.Table:
    columns: Iterator[list[object]] = (
        list(column) for column in (zip(*rows, strict=True) if rows else [[] for _ in kinds])
    )
    return pa.table({name: pa.array(c, kind) for (name, kind), c in zip(kinds.items(), columns, strict=True)})
