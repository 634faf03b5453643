"""What classifications are compared by in factor tables and fronts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from evaljobs.report.comparing import measures
from evaljobs.report.comparing.differences import difference_row, mean_sides
from evaljobs.report.results import Document
from evaljobs.report.section import Found
from evaljobs.report.tables.class_boards import measure_column
from evaljobs.report.tables.columns import Column, Row
from evaljobs.report.tables.quality import Blocks, Metric, Quality


class ClassQuality(Quality):
    """A measure of classifications, and balanced accuracy beside the accuracy."""

    def __init__(self, measure: measures.Measure) -> None:
        self._several = list(dict.fromkeys((measure, measures.BALANCED)))
        self.title = measure.title
        self.metrics = [Metric(*one) for one in self._several]

    def rows(self, found: Found) -> list[dict[str, Any]]:
        """Return the leaderboard by the measure."""
        return measures.class_rows(found.results, found.group, self._several[0])

    def number(self, row: Row) -> float | None:
        """Return the measure."""
        return measures.value_of(row["result"], self.metric.name)

    def interval(self, row: Row) -> Sequence[float] | None:
        """Return the measure's interval."""
        return measures.interval_of(row["result"], self.metric.name)

    def columns(self) -> list[Column]:
        """Return the measures."""
        return [measure_column(measure) for measure in self._several]

    def known(self, result: Document | None) -> bool:
        """Return whether the measure is defined."""
        return measures.value_of(result, self.metric.name) is not None

    def difference(self, reference: Document, model: Document) -> dict[str, Any]:
        """Return the difference in the measure."""
        return measures.measure_difference(reference, model, self.metric.name)

    def mean_differences(self, blocks: Blocks) -> list[dict[str, Any]]:
        """Return the mean differences in the measures."""
        names = [metric.name for metric in self.metrics]
        return [difference_row(name, None, *mean_sides(blocks, partial(measures.side_of, name=name))) for name in names]
