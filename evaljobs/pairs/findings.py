"""What is reported beside the points: the hardest pairs, and the errors by label and by pair of labels."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs.closer import Closer, Pairs
from evaljobs.pairs.points import Point
from evaljobs.pairs.samples import Samples

if TYPE_CHECKING:
    import pyarrow as pa

Int64 = NDArray[np.int64]


class Pair(NamedTuple):
    """A pair of samples: their rows, with probes and a gallery each counted in its own table; score and labels."""

    a: int
    b: int
    score: float
    label_a: str | int
    label_b: str | int


@dataclasses.dataclass(frozen=True)
class Findings:
    """What was found beside the points.

    Attributes
    ----------
    hardest_impostor
        The impostor pairs with the highest scores, the highest first; None where they were not asked for, or are too
        many with too similar scores to be told apart.
    hardest_genuine
        The genuine pairs with the lowest scores, the lowest first; likewise.
    """

    hardest_impostor: tuple[Pair, ...] | None
    hardest_genuine: tuple[Pair, ...] | None
    _names: Sequence[str | int] = dataclasses.field(repr=False)
    _n_samples: Int64 = dataclasses.field(repr=False, compare=False)
    _n_genuine: Int64 = dataclasses.field(repr=False, compare=False)
    _closer: Closer = dataclasses.field(repr=False, compare=False)

    def balanced(self, point: int) -> float | None:
        """Return the mean of the labels' TPR at a point, by its number; None where it is not known."""
        accepted = self._closer.accepted[point]
        some = self._n_genuine > 0
        if accepted is None or not some.any():
            return None
        # Summed without rounding, so that the order of the labels, hence their names, does not matter.
        return math.fsum((accepted[some] / self._n_genuine[some]).tolist()) / int(some.sum())

    def spread(self, point: int) -> dict[str, Any] | None:
        """Return how a point's false accepts are spread over pairs of labels, as it stands in results.json."""
        spread = self._closer.spread[point]
        if spread is None or not len(spread.largest):
            return None
        a, b, number = spread.largest[0].tolist()
        labels = [str(self._names[a]), str(self._names[b])]
        return {"n_label_pairs": spread.n_label_pairs, "largest": {"labels": labels, "false_positives": number}}

    def hardest_table(self) -> pa.Table:
        """Return the hardest pairs.

        Columns kind (`impostor`, `genuine`), rank from 1, score, row_a and row_b, label_a and label_b.
        """
        import pyarrow as pa

        kinds = (("impostor", self.hardest_impostor), ("genuine", self.hardest_genuine))
        rows = [(kind, rank, pair) for kind, pairs in kinds for rank, pair in enumerate(pairs or (), start=1)]
        return pa.table(
            {
                "kind": pa.array([kind for kind, _, _ in rows], pa.string()),
                "rank": pa.array([rank for _, rank, _ in rows], pa.int32()),
                "score": pa.array([pair.score for *_, pair in rows], pa.float64()),
                "row_a": pa.array([pair.a for *_, pair in rows], pa.int64()),
                "row_b": pa.array([pair.b for *_, pair in rows], pa.int64()),
                "label_a": pa.array([str(pair.label_a) for *_, pair in rows], pa.string()),
                "label_b": pa.array([str(pair.label_b) for *_, pair in rows], pa.string()),
            }
        )

    def labels_table(self, points: Sequence[Point]) -> pa.Table:
        """Return the errors of each label at each point: a row for each, the labels with the lowest TPR first.

        Columns target, label, n_samples, n_genuine, true_positives, tpr, and false_positives in which the label takes
        part; null where there is none, or it is not known.
        """
        import pyarrow as pa

        names = pa.array([str(name) for name in self._names], pa.string())
        tables = [self._by_label(point.target, number, names) for number, point in enumerate(points)]
        return pa.concat_tables(table for table in tables if table is not None) if any(tables) else _no_labels()

    def label_pairs_table(self, points: Sequence[Point]) -> pa.Table:
        """Return the pairs of labels with the most false accepts at each point, at most 20 for each.

        Columns target, label_a, label_b, false_positives, and their share of all false positives of the point.
        """
        import pyarrow as pa

        rows = [
            (point.target, str(self._names[a]), str(self._names[b]), number, number / (point.false_positives or 1))
            for point, spread in zip(points, self._closer.spread, strict=True)
            if spread is not None
            for a, b, number in spread.largest.tolist()
        ]
        types = {"target": pa.float64(), "label_a": pa.string(), "label_b": pa.string()}
        types |= {"false_positives": pa.int64(), "share": pa.float64()}
        columns = zip(*rows, strict=True) if rows else ((),) * len(types)
        return pa.table({n: pa.array(c, t) for (n, t), c in zip(types.items(), columns, strict=True)})

    def _by_label(self, target: float, number: int, names: pa.Array) -> pa.Table | None:
        import pyarrow as pa

        accepted, spread = self._closer.accepted[number], self._closer.spread[number]
        if accepted is None:
            return None
        with np.errstate(invalid="ignore"):
            tpr = accepted / self._n_genuine
        table = pa.table(
            {
                "target": pa.array(np.full(len(names), target)),
                "label": names,
                "n_samples": pa.array(self._n_samples),
                "n_genuine": pa.array(self._n_genuine),
                "true_positives": pa.array(accepted),
                "tpr": pa.array(tpr, mask=self._n_genuine == 0),
                "false_positives": pa.nulls(len(names), pa.int64()) if spread is None else pa.array(spread.by_label),
            }
        )
        return table.take(np.lexsort((np.arange(len(names)), -self._n_genuine, np.nan_to_num(tpr, nan=2.0))))


def _no_labels() -> pa.Table:
    import pyarrow as pa

    floats, counts = ("target", "tpr"), ("n_samples", "n_genuine", "true_positives", "false_positives")
    types = dict.fromkeys(floats, pa.float64()) | dict.fromkeys(counts, pa.int64()) | {"label": pa.string()}
    order = ("target", "label", "n_samples", "n_genuine", "true_positives", "tpr", "false_positives")
    return pa.table({name: pa.array([], types[name]) for name in order})


def findings_of(samples: Samples, closer: Closer) -> Findings:
    """Take what is to be reported from what was found; the samples need not be kept for it."""
    return Findings(
        _pairs(samples, closer.hardest_impostor),
        _pairs(samples, closer.hardest_genuine),
        samples.names,
        np.bincount(samples.labels, minlength=samples.n_labels),
        samples.genuine_by_label,
        closer,
    )


def _pairs(samples: Samples, found: Pairs | None) -> tuple[Pair, ...] | None:
    if found is None:
        return None
    label = np.empty(samples.n, np.int64)
    label[samples.order] = samples.labels
    return tuple(
        Pair(a, b - samples.gallery, score, samples.names[label[a]], samples.names[label[b]])
        for a, b, score in zip(found.a.tolist(), found.b.tolist(), found.score.tolist(), strict=True)
    )
