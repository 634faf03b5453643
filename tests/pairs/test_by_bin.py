"""Kept pairs are the same ones afterwards, those of a kind and bin side by side."""

from __future__ import annotations

import numpy as np
import pytest

from evaljobs.pairs.bins import Bins
from evaljobs.pairs.by_bin import by_bin
from evaljobs.pairs.scan import Kept

BINS = Bins(64)


@pytest.mark.parametrize("sizes", [(), (0,), (1,), (400,), (300, 0, 50, 1)])
@pytest.mark.parametrize("n_labels", [1, 5, 40])
def test_pairs_are_sorted_by_kind_and_bin(sizes: tuple[int, ...], n_labels: int) -> None:
    """Also where some parts are empty, read-only as from another process, or all pairs are of one kind."""
    rng = np.random.default_rng(n_labels)
    labels = rng.integers(0, n_labels, 40)
    several = []
    for size in sizes:
        i, j = rng.integers(0, 40, (2, size), dtype=np.int32)
        value = rng.choice(rng.uniform(-1, 1, 30), size).astype(np.float32)
        value.flags.writeable = False
        several.append(Kept(i, j, value))
    found, begins = by_bin(several, labels, BINS)
    given = [pair for kept in several for pair in zip(*(column.tolist() for column in kept), strict=True)]
    assert sorted(zip(*(column.tolist() for column in found), strict=True)) == sorted(given)
    genuine, bins = labels[found.i] == labels[found.j], BINS.of(found.value)
    for kind in (0, 1):
        for b in {0, BINS.count - 1, *bins.tolist()}:
            here = np.arange(begins[kind, b], begins[kind, b + 1])
            assert here.tolist() == np.flatnonzero((genuine == kind) & (bins == b)).tolist()
