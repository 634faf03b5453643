"""Whether fields tell labels more than by chance: a permutation test over the whole family of fields.

Where labels have nothing to do with how images were saved, any order of the labels is as likely as the one that is
there. So each statistic of each field is computed for many random orders, and the largest of all fields is compared
with the largest of all fields in these orders (Westfall and Young 1993, "Resampling-based multiple testing"). The order
that is there is one of them, so the level is exact and p is never 0 (Phipson and Smyth 2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import lgamma, log
from typing import NamedTuple

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


class _Family:
    """The statistics of all fields, computed at once for one order of the labels."""

    def __init__(self, fields: Sequence[Field], sizes: Int64) -> None:
        n, n_labels = int(sizes.sum()), len(sizes)
        before = np.cumsum([0, *(field.n_codes for field in fields)])
        self._cells = np.stack([field.codes + first for field, first in zip(fields, before, strict=False)]) * n_labels
        self._n_cells = int(before[-1]) * n_labels
        self._starts = before[:-1] * n_labels
        totals = np.concatenate([np.bincount(field.codes, minlength=field.n_codes) for field in fields])
        expected = np.outer(totals, sizes) / n
        # A label that no image has adds nothing.
        self._weights = np.divide(1.0, expected, out=np.zeros_like(expected), where=expected > 0).ravel()
        ranked = [number for number, field in enumerate(fields) if field.ranks is not None]
        self._ranks = [fields[number].ranks for number in ranked]
        self._sizes = np.maximum(sizes, 1)
        self.owners = np.array([*range(len(fields)), *ranked])

    def statistics(self, labels: Int64) -> Float64:
        """Return chi-squared of each field, then H of those with ranks; each up to a constant and a factor."""
        counts = np.bincount((self._cells + labels).ravel(), minlength=self._n_cells).astype(np.float64)
        squared = np.add.reduceat(counts * counts * self._weights, self._starts)
        sums = (np.bincount(labels, ranks, len(self._sizes)) for ranks in self._ranks)
        return np.array([*squared, *(float((total * total / self._sizes).sum()) for total in sums)])


def _standard(statistics: Float64) -> Float64:
    """Bring each column to mean 0 and standard deviation 1; one that never varies says nothing."""
    spread = statistics.std(axis=0)
    varies = spread > _ROUNDING * np.abs(statistics).max(axis=0)
    return np.where(varies, (statistics - statistics.mean(axis=0)) / np.where(varies, spread, 1), 0.0)
