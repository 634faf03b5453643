"""Whether fields tell labels more than by chance: a permutation test over the whole family of fields.

Where labels have nothing to do with how images were saved, any order of the labels is as likely as the one that is
there. So each statistic of each field is computed for many random orders, and the largest of all fields is compared
with the largest of all fields in these orders (Westfall and Young 1993, "Resampling-based multiple testing"). The order
that is there is one of them, so the level is exact and p is never 0 (Phipson and Smyth 2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import lgamma, log
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from evaljobs.audit.fields import Field

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]

LEVEL = 0.01
PERMUTATIONS = 999
# Sums of equal numbers in another order differ in the last bits.
_ROUNDING = 1e-9


class Significance(NamedTuple):
    """What the test says.

    Attributes
    ----------
    p
        By field: how often, in as many random orders, any field is as far from chance as this one is; the level is
        that of the family.
    family
        The smallest of them, 1 where there is no field.
    """

    p: dict[str, float]
    family: float


def permutation_test(
    fields: Sequence[Field], labels: Int64, n_labels: int, *, permutations: int = PERMUTATIONS, seed: int = 0
) -> Significance:
    """Return p-values of the fields, each for the whole family of them.

    Two statistics a field: Pearson's chi-squared of its values against labels, and of numbers Kruskal and Wallis' H,
    which sees a trend. Each is brought to mean 0 and standard deviation 1 over all orders, so that they can be
    compared.

    Parameters
    ----------
    fields
        Of n images, none of which is a copy of another one with its label.
    labels
        ``[n]`` int64 in [0, n_labels).
    """
    if not fields or len(labels) < 2:
        return Significance({}, 1.0)
    family = _Family(fields, np.bincount(labels, minlength=n_labels))
    rng = np.random.default_rng(seed)
    orders = (labels if number == 0 else rng.permutation(labels) for number in range(permutations + 1))
    scores = _standard(np.array([family.statistics(order) for order in orders]))
    largest = scores.max(axis=1)
    exceeding = (largest[:, None] >= scores[0] - _ROUNDING).mean(axis=0)
    p = {field.name: float(exceeding[family.owners == number].min()) for number, field in enumerate(fields)}
    return Significance(p, min(p.values()))


def can_tell(labels: Int64, level: float = LEVEL) -> bool:
    """Say whether so few labels can be ordered in enough ways for any p-value to reach the level.

    Orders that only swap the names of labels with as many images are one.
    """
    sizes = np.bincount(labels)
    sizes = sizes[sizes > 0]
    orders = lgamma(len(labels) + 1) - sum(lgamma(size + 1) for size in sizes.tolist())
    swaps = sum(lgamma(times + 1) for times in np.bincount(sizes).tolist())
    return bool(orders - swaps >= -log(level) - _ROUNDING)


class _Table(NamedTuple):
    """The cells of one field against labels: value after value, in each label after label.

    Attributes
    ----------
    first
        ``[n]`` int64: of each image, the first cell of its value.
    weights
        One over what is expected in each cell; None where there are more cells than images.
    rarity
        ``[n]``: of each image, one over the share of its value.
    """

    first: Int64
    weights: Float64 | None
    rarity: Float64

    @classmethod
    def of(cls, field: Field, sizes: Int64) -> Self:
        """Make the cells of a field."""
        totals = np.bincount(field.codes, minlength=field.n_codes)
        n = len(field.codes)
        expected = np.outer(totals, sizes).ravel() / n if field.n_codes * len(sizes) <= n else None
        # A label that no image has adds nothing.
        weights = None if expected is None else np.divide(1.0, expected, np.zeros_like(expected), where=expected > 0)
        return cls(field.codes * len(sizes), weights, n / totals[field.codes])

    def squared(self, labels: Int64, shares: Float64) -> float:
        """Return the sum over all cells of the squared count over what is expected.

        Where cells are more than images, nearly all are empty: each image adds its part of its own cell.

        Parameters
        ----------
        shares
            ``[n]``: of each image, one over the images of its label.
        """
        cells = self.first + labels
        if self.weights is not None:
            counts = np.bincount(cells, minlength=len(self.weights))
            return float((counts * counts * self.weights).sum())
        return float((np.bincount(cells)[cells] * self.rarity * shares).sum())


class _Family:
    """The statistics of all fields for one order of the labels."""

    def __init__(self, fields: Sequence[Field], sizes: Int64) -> None:
        self._tables = [_Table.of(field, sizes) for field in fields]
        ranked = [number for number, field in enumerate(fields) if field.ranks is not None]
        self._ranks = [fields[number].ranks for number in ranked]
        self._sizes = np.maximum(sizes, 1)
        self.owners = np.array([*range(len(fields)), *ranked])

    def statistics(self, labels: Int64) -> Float64:
        """Return chi-squared of each field, then H of those with ranks; each up to a constant and a factor."""
        shares = 1 / self._sizes[labels]
        squared = (table.squared(labels, shares) for table in self._tables)
        sums = (np.bincount(labels, ranks, len(self._sizes)) for ranks in self._ranks)
        return np.array([*squared, *(float((total * total / self._sizes).sum()) for total in sums)])


def _standard(statistics: Float64) -> Float64:
    """Bring each column to mean 0 and standard deviation 1; one that never varies says nothing."""
    spread = statistics.std(axis=0)
    varies = spread > _ROUNDING * np.abs(statistics).max(axis=0)
    return np.where(varies, (statistics - statistics.mean(axis=0)) / np.where(varies, spread, 1), 0.0)
