"""What is counted over the images: evidence that adds up to the same total, in any order and grouping."""

from __future__ import annotations

import dataclasses
from typing import Self

import numpy as np
from numpy.typing import NDArray

from evaljobs.classification.measure import Measured, measure, rows_a_block
from evaljobs.classification.samples import Samples
from evaljobs.classification.sums import added, exact_sum, exact_sums

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Cells:
    """The cells of a confusion matrix that are not 0, by rising number, ``[m]`` int64 each.

    Attributes
    ----------
    number
        ``right * k + predicted``.
    count
        How many images.
    """

    number: Int64
    count: Int64

    def __add__(self, other: Self) -> Cells:
        """Add cell by cell."""
        number, place = np.unique(np.concatenate([self.number, other.number]), return_inverse=True)
        count = np.zeros(len(number), np.int64)
        np.add.at(count, place, np.concatenate([self.count, other.count]))
        return Cells(number, count)


def cells_of(numbers: Int64) -> Cells:
    """Count the cells of images, ``[m]`` int64."""
    number, count = np.unique(numbers, return_counts=True)
    return Cells(number, count.astype(np.int64))


@dataclasses.dataclass(frozen=True)
class Mistakes:
    """The wrong predictions with the highest confidence, highest first, then by row; at most `most`.

    Attributes
    ----------
    row, truth, predicted
        ``[m]`` int64: rows as they were given, numbers of classes.
    confidence
        ``[m]`` float64.
    """

    most: int
    row: Int64
    truth: Int64
    predicted: Int64
    confidence: Float64

    def __add__(self, other: Self) -> Mistakes:
        """Keep the first of both."""
        columns = [np.concatenate(pair) for pair in zip(self._columns(), other._columns(), strict=True)]
        return first_mistakes(self.most, *columns)

    def _columns(self) -> tuple[Int64, Int64, Int64, Float64]:
        return self.row, self.truth, self.predicted, self.confidence


def first_mistakes(most: int, row: Int64, truth: Int64, predicted: Int64, confidence: Float64) -> Mistakes:
    """Return the first of some wrong predictions."""
    order = np.lexsort((row, -confidence))[:most]
    return Mistakes(most, row[order], truth[order], predicted[order], confidence[order])


@dataclasses.dataclass(frozen=True)
class Calibrating:
    """What calibration follows from. Sums are exact, in the units of `evaljobs.classification.sums`.

    Attributes
    ----------
    counts
        ``[2, b]`` int64: the images in each bin of confidence, and those that are right.
    confidence
        For each bin, the sum of confidences.
    brier, nll
        Sums over all images; that of `nll` without those whose class has the probability 0.
    n_impossible
        Images whose class has the probability 0.
    """

    counts: Int64
    confidence: tuple[int, ...]
    brier: int
    nll: int
    n_impossible: int

    def __add__(self, other: Self) -> Calibrating:
        """Add everything."""
        return Calibrating(
            self.counts + other.counts,
            added(self.confidence, other.confidence),
            self.brier + other.brier,
            self.nll + other.nll,
            self.n_impossible + other.n_impossible,
        )


@dataclasses.dataclass(frozen=True)
class Counts:
    """The evidence of some images.

    Attributes
    ----------
    by_class
        ``[g, 3, k]`` int64: of each group and class, the images that are of it, that are predicted to be, and both.
    top
        ``[g, t]`` int64: of each group, the images whose class is among the best so many, for each of the t asked for.
    n_tied
        Images whose highest score several classes have.
    """

    by_class: Int64
    top: Int64
    n_tied: int
    cells: Cells
    calibrating: Calibrating | None
    mistakes: Mistakes | None

    def __add__(self, other: Self) -> Counts:
        """Add everything."""
        return Counts(
            self.by_class + other.by_class,
            self.top + other.top,
            self.n_tied + other.n_tied,
            self.cells + other.cells,
            self.calibrating + other.calibrating if self.calibrating and other.calibrating else None,
            self.mistakes + other.mistakes if self.mistakes and other.mistakes else None,
        )


@dataclasses.dataclass(frozen=True)
class Counting:
    """The one pass over the images: a work in the sense of `evaljobs.jobs.job`.

    Attributes
    ----------
    n, width
        How many images, and class scores of each.
    top
        For which k it is counted whether the right class is among the best k.
    bins
        How many bins of equal width confidence is counted in.
    mistakes
        How many of the most confident mistakes are kept.
    """

    n: int
    width: int
    top: tuple[int, ...]
    bins: int
    mistakes: int

    def parts(self, at_least: int) -> list[range]:
        """Cut the images into parts of whole blocks."""
        size = rows_a_block(self.width)
        blocks = -(-self.n // size)
        step = size * max(1, blocks // max(1, at_least))
        return [range(i, min(i + step, self.n)) for i in range(0, self.n, step)]

    def pairs(self, part: range) -> int:
        """Return how many pairs of images are compared: none."""
        del part
        return 0

    def run(self, samples: Samples, part: range, onto: Counts | None = None) -> Counts:
        """Count the images of a part."""
        some = slice(part.start, part.stop)
        truth, groups = samples.truth[some], samples.groups[some]
        found = measure(samples.scores[some], truth, samples.scale)
        known = samples.scale is not None
        n_groups = max(1, samples.n_groups)
        counts = Counts(
            self._by_class(truth, found.predicted, groups, n_groups),
            self._top(found.rank, groups, n_groups),
            int(found.tied.sum()),
            cells_of(truth * self.width + found.predicted),
            self._calibrating(found) if known else None,
            self._mistakes(found, truth, samples.rows[some]) if known else None,
        )
        return counts if onto is None else onto + counts

    def _by_class(self, truth: Int64, predicted: Int64, groups: Int64, n_groups: int) -> Int64:
        right = truth == predicted
        columns = [(groups, truth), (groups, predicted), (groups[right], truth[right])]
        size = n_groups * self.width
        counted = [np.bincount(group * self.width + number, minlength=size) for group, number in columns]
        return np.stack([c.reshape(n_groups, self.width) for c in counted], axis=1).astype(np.int64)

    def _top(self, rank: Int64, groups: Int64, n_groups: int) -> Int64:
        among = [np.bincount(groups[rank < k], minlength=n_groups) for k in self.top]
        return np.array(among, np.int64).reshape(len(self.top), n_groups).T

    def _calibrating(self, found: Measured) -> Calibrating:
        right = found.rank == 0
        place = bins_of(found.confidence, self.bins)
        possible = np.isfinite(found.nll)
        counts = [np.bincount(p, minlength=self.bins) for p in (place, place[right])]
        return Calibrating(
            np.stack(counts).astype(np.int64),
            exact_sums(found.confidence, place, self.bins),
            exact_sum(found.brier),
            exact_sum(found.nll[possible]),
            int((~possible).sum()),
        )

    def _mistakes(self, found: Measured, truth: Int64, rows: Int64) -> Mistakes:
        wrong = found.predicted != truth
        return first_mistakes(self.mistakes, rows[wrong], truth[wrong], found.predicted[wrong], found.confidence[wrong])


def edges_of(bins: int) -> Float64:
    """Return the edges of bins of equal width over [0, 1], ``[bins + 1]`` float64: ``i / bins``, each rounded once."""
    return np.arange(bins + 1) / bins


def bins_of(confidence: Float64, bins: int) -> Int64:
    """Return the bin of each confidence, ``[m]`` int64: bin i holds those in ``(i / bins, (i + 1) / bins]``.

    As Guo et al. define them (On Calibration of Modern Neural Networks, ICML 2017, section 2).
    """
    return np.clip(np.searchsorted(edges_of(bins), confidence, side="left") - 1, 0, bins - 1).astype(np.int64)
