"""What uncertainty is compared by in factor tables and fronts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evaljobs.report.comparing.differences import Side, difference_row, mean_sides
from evaljobs.report.comparing.uncertainties import (
    Number,
    aurc_number,
    foreign_auroc,
    foreign_number,
    side_of,
    title_of,
    uncertainty_rows,
)
from evaljobs.report.results import Document
from evaljobs.report.section import Found
from evaljobs.report.tables.columns import Column, Kind, Row, end_columns
from evaljobs.report.tables.numbers import interval_text
from evaljobs.report.tables.quality import Blocks, Metric, Quality


class UncertaintyQuality(Quality):
    """How well a measure tells foreign images from known ones; without foreign sets, the area under risk and coverage.

    Parameters
    ----------
    found
        The evaluations of one job.
    measure
        Of uncertainty.
    """

    def __init__(self, found: Found, measure: str) -> None:
        self._measure = measure
        results = (entry["result"] for entry in found.group.evaluations.values())
        foreign = any(foreign_auroc(self._found(result)) is not None for result in results)
        self.less_is_better = not foreign
        what = Metric("auroc", "AUROC of foreign images") if foreign else Metric("aurc", "AURC")
        self.metrics = [what]
        self.title = f"{what.title} by {title_of(measure)}"

    def rows(self, found: Found) -> list[dict[str, Any]]:
        """Return the leaderboard by the measure, with the interval of its number."""
        rows = uncertainty_rows(found.results, found.group, self._measure)
        return [{**row, "quality_ci": self._number(row["result"]).interval} for row in rows]

    def number(self, row: Row) -> float | None:
        """Return the mean AUROC over foreign sets, or the area."""
        value: float | None = row[self.metric.name]
        return value

    def interval(self, row: Row) -> Sequence[float] | None:
        """Return the interval of the number; of a mean over several foreign sets there is none."""
        ends: Sequence[float] | None = row["quality_ci"]
        return ends

    def columns(self) -> list[Column]:
        """Return the number."""
        name, title = self.metric
        ends = end_columns(f"{name}_ci", "quality_ci")
        return [Column(name, title, name, Kind.NUMBER, format=self._text, beside=ends)]

    def known(self, result: Document | None) -> bool:
        """Return whether the number is defined."""
        return self._number(result).value is not None

    def difference(self, reference: Document, model: Document) -> dict[str, Any]:
        """Return the difference in the number."""
        return difference_row(self.metric.name, None, self._side(reference), self._side(model))

    def mean_differences(self, blocks: Blocks) -> list[dict[str, Any]]:
        """Return the mean difference in the number."""
        return [difference_row(self.metric.name, None, *mean_sides(blocks, self._side))]

    def _text(self, row: Row) -> str:
        return interval_text(row[self.metric.name], row["quality_ci"])

    def _found(self, result: Document | None) -> Document | None:
        return None if result is None else result["measures"].get(self._measure)

    def _number(self, result: Document | None) -> Number:
        found = self._found(result)
        return aurc_number(found) if self.less_is_better else foreign_number(found)

    def _side(self, result: Document) -> Side:
        return side_of(result, self._number(result))
