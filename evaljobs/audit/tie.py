"""Whether a property of files goes with the labels: then a model may answer by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]

PERMUTATIONS = 199
# Of a permutation test: what a set of pure chance reaches once in a hundred.
LEVEL = 0.01
_DENSE = 2**22


class Tie(NamedTuple):
    """How far the answer "both files have the same" tells genuine from impostor pairs.

    Attributes
    ----------
    n_values
        Different values of the property.
    same_genuine, same_impostor
        Shares of the genuine and of the impostor pairs whose files have the same; None without such pairs.
    auroc
        Of that answer as a score: ½ + (same_genuine - same_impostor) / 2. None without either kind of pairs.
    p
        Share of permutations of the values among the images that reach it, itself included.
    """

    n_values: int
    same_genuine: float | None
    same_impostor: float | None
    auroc: float | None
    p: float

    @property
    def varies(self) -> bool:
        """Whether files differ in it at all."""
        return self.n_values > 1

    @property
    def tied(self) -> bool:
        """Whether it goes with the labels, beyond chance."""
        return self.varies and self.auroc is not None and self.p < LEVEL


def tie_of(values: Sequence[object], labels: Sequence[str], seed: int = 0) -> Tie:
    """Return how a property of files goes with the labels.

    Parameters
    ----------
    values
        Of the property, `n`: hashable.
    labels
        `n` labels.
    seed
        Of the permutations.
    """
    kinds, n_kinds = _codes(values)
    codes, n_labels = _codes(labels)
    n = len(codes)
    pairs, genuine = n * (n - 1) // 2, _alike(codes)
    impostor, same = pairs - genuine, _alike(kinds)
    both = _alike_in_both(codes, n_labels, kinds, n_kinds)
    same_genuine = both / genuine if genuine else None
    same_impostor = (same - both) / impostor if impostor else None
    if same_genuine is None or same_impostor is None or n_kinds < 2:
        return Tie(n_kinds, same_genuine, same_impostor, None, 1.0)
    rng = np.random.default_rng(seed)
    reached = sum(_alike_in_both(codes, n_labels, rng.permutation(kinds), n_kinds) >= both for _ in range(PERMUTATIONS))
    p = (1 + int(reached)) / (1 + PERMUTATIONS)
    return Tie(n_kinds, same_genuine, same_impostor, 0.5 + (same_genuine - same_impostor) / 2, p)


def _codes(values: Sequence[object]) -> tuple[Int64, int]:
    numbers: dict[object, int] = {}
    codes = np.array([numbers.setdefault(value, len(numbers)) for value in values], np.int64)
    return codes, len(numbers)


def _alike(codes: Int64) -> int:
    """Return how many pairs have the same code."""
    counts = np.bincount(codes)
    return int((counts * (counts - 1) // 2).sum())


def _alike_in_both(a: Int64, n_a: int, b: Int64, n_b: int) -> int:
    """Return how many pairs have the same of both."""
    keys = a * n_b + b
    counts = np.bincount(keys) if n_a * n_b <= _DENSE else np.unique(keys, return_counts=True)[1]
    return int((counts * (counts - 1) // 2).sum())
