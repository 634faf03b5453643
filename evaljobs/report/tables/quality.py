"""What models of one job on one set are compared by: of it factor tables and fronts are made, for any kind of job."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, NamedTuple

from evaljobs.report.comparing.differences import differences, mean_differences, targets_of
from evaljobs.report.results import Document
from evaljobs.report.section import Found
from evaljobs.report.tables.columns import Column, Row
from evaljobs.report.tables.flags import flags
from evaljobs.report.tables.leaderboard import leaderboard_rows
from evaljobs.report.tables.numbers import interval_text, rate_text
from evaljobs.report.tables.verification import quality_columns

# Of two groups of models each: the results of the reference, and of the models against it.
Blocks = Sequence[tuple[Sequence[Document], Sequence[Document]]]


class Metric(NamedTuple):
    """A number that models differ in; ``name`` in files, ``title`` for people."""

    name: str
    title: str


class Quality(abc.ABC):
    """A number of each model by which it is better or worse, and how certain its differences are.

    Attributes
    ----------
    title
        In full: ``TPR at FPR 1e-4``.
    metrics
        The number itself, then others in which models are compared beside it.
    target
        The FPR that it is of; None where it has none.
    less_is_better
        Whether models with a smaller number are the better ones.
    """

    title: str
    metrics: Sequence[Metric]
    target: float | None = None
    less_is_better: bool = False

    @property
    def metric(self) -> Metric:
        """The number itself."""
        return self.metrics[0]

    @property
    def heading(self) -> str:
        """The title at the start of a line."""
        return self.title[:1].upper() + self.title[1:]

    @abc.abstractmethod
    def rows(self, found: Found) -> list[dict[str, Any]]:
        """Return the rows of the leaderboard, best first."""

    @abc.abstractmethod
    def number(self, row: Row) -> float | None:
        """Return the number by which a row of the leaderboard is ranked; None where it is not."""

    @abc.abstractmethod
    def interval(self, row: Row) -> Sequence[float] | None:
        """Return the number's 95% interval."""

    @abc.abstractmethod
    def columns(self) -> list[Column]:
        """Return the number's column, then those that stand beside it."""

    @abc.abstractmethod
    def known(self, result: Document | None) -> bool:
        """Return whether a result has the number, so that `difference` can be asked of it."""

    @abc.abstractmethod
    def difference(self, reference: Document, model: Document) -> dict[str, Any]:
        """Return how the number of a model differs from a reference's, as `differences` has it."""

    @abc.abstractmethod
    def mean_differences(self, blocks: Blocks) -> list[dict[str, Any]]:
        """Return the mean over blocks of the difference in each of the metrics, as `mean_differences` has it."""

    def goodness(self, row: Row) -> tuple[float, ...]:
        """Return how good a row with a number is, the larger the better, compared number by number."""
        number = self.number(row) or 0.0
        return (-number if self.less_is_better else number,)

    def flags(self, row: Row) -> list[str]:
        """Return what must be known of a row's number."""
        del row
        return []

    def text(self, row: Row) -> str:
        """Return a row's number with its interval."""
        number = self.number(row)
        return "-" if number is None else interval_text(number, self.interval(row))


class TprQuality(Quality):
    """Of verifications: TPR at one target FPR, and AUROC beside it."""

    metrics = (Metric("tpr", "TPR"), Metric("auroc", "AUROC"))

    def __init__(self, fpr: float) -> None:
        self.target: float = fpr
        self.title = f"TPR at FPR {rate_text(fpr)}"

    def rows(self, found: Found) -> list[dict[str, Any]]:
        """Return the leaderboard at the target."""
        return leaderboard_rows(found.results, found.group, self.target)

    def number(self, row: Row) -> float | None:
        """Return the TPR."""
        tpr = (row["point"] or {}).get("tpr")
        return None if tpr is None else float(tpr)

    def interval(self, row: Row) -> Sequence[float] | None:
        """Return the TPR's interval."""
        ends: Sequence[float] | None = (row["point"] or {}).get("tpr_ci")
        return ends

    def columns(self) -> list[Column]:
        """Return TPR, flags and AUROC."""
        return quality_columns(self.target)

    def known(self, result: Document | None) -> bool:
        """Return whether the target is one of the result's."""
        return result is not None and self.target in targets_of(result)

    def difference(self, reference: Document, model: Document) -> dict[str, Any]:
        """Return the difference of TPR."""
        return next(differences(reference, model, [self.target]))

    def mean_differences(self, blocks: Blocks) -> list[dict[str, Any]]:
        """Return the mean differences of TPR and AUROC."""
        return list(mean_differences(blocks, [self.target]))

    def goodness(self, row: Row) -> tuple[float, ...]:
        """Return TPR and AUROC."""
        return *super().goodness(row), row["result"]["auroc"] or 0.0

    def flags(self, row: Row) -> list[str]:
        """Return the flags of the operating point."""
        return flags(row["point"])
