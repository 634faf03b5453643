"""What anomaly jobs are compared by in factor tables and fronts: the AUROC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evaljobs.report.comparing.anomalies import anomaly_rows, auroc_of
from evaljobs.report.comparing.differences import differences, mean_differences
from evaljobs.report.results import Document
from evaljobs.report.section import Found
from evaljobs.report.tables.anomaly import AUROC_COLUMN
from evaljobs.report.tables.columns import Column, Row
from evaljobs.report.tables.quality import Blocks, Metric, Quality


class AnomalyQuality(Quality):
    """How well scores tell anomalous from normal images, whatever the threshold."""

    metrics = (Metric("auroc", "AUROC"),)
    title = "AUROC"

    def rows(self, found: Found) -> list[dict[str, Any]]:
        """Return the leaderboard."""
        return anomaly_rows(found.results, found.group)

    def number(self, row: Row) -> float | None:
        """Return the AUROC."""
        return auroc_of(row["result"])

    def interval(self, row: Row) -> Sequence[float] | None:
        """Return its interval."""
        ends: Sequence[float] | None = (row["result"] or {}).get("auroc_ci")
        return ends

    def columns(self) -> list[Column]:
        """Return the number."""
        return [AUROC_COLUMN]

    def known(self, result: Document | None) -> bool:
        """Return whether there is a result."""
        return result is not None

    def difference(self, reference: Document, model: Document) -> dict[str, Any]:
        """Return the difference in AUROC."""
        return next(differences(reference, model, []))

    def mean_differences(self, blocks: Blocks) -> list[dict[str, Any]]:
        """Return the mean difference in AUROC."""
        return list(mean_differences(blocks, []))
