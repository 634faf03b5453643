"""Kept pairs in the order of their kinds and bins, so that those of a window lie side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs.bins import Bins
from evaljobs.pairs.compiled import compiled
from evaljobs.pairs.scan import Kept

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]


def by_bin(several: Sequence[Kept], labels: Int64, bins: Bins) -> tuple[Kept, Int64]:
    """Sort kept pairs by counting: impostors by rising bin, then genuine pairs.

    Parameters
    ----------
    labels
        ``[n]`` int64: the number of the label of each position.

    Returns
    -------
    All of them, and where those of each kind and bin begin, ``[2, bins + 1]`` int64; the last is where the kind ends.
    """
    numbers = np.zeros((2, bins.count), np.int64)
    for kept in several:
        _count(kept.i, kept.j, kept.value, labels, *bins.affine, numbers)
    ends = np.cumsum(numbers).reshape(2, -1)
    places = ends - numbers
    begins = np.hstack((places, ends[:, -1:]))
    m = int(ends[-1, -1])
    found = Kept(np.empty(m, np.int32), np.empty(m, np.int32), np.empty(m, np.float32))
    for kept in several:
        _place(kept.i, kept.j, kept.value, labels, *bins.affine, places, found.i, found.j, found.value)
    return found, begins


@compiled
def _count(  # noqa: PLR0913, PLR0917 - a kernel takes arrays, not objects
    i: Int32, j: Int32, value: Float32, labels: Int64, scale: np.float32, zero: np.float32, numbers: Int64
) -> None:
    """Add to ``[2, bins]`` numbers of impostor and genuine pairs."""
    for p in range(i.shape[0]):
        numbers[np.int64(labels[i[p]] == labels[j[p]]), np.int32(value[p] * scale + zero)] += 1


@compiled
def _place(  # noqa: PLR0913, PLR0917 - as above
    i: Int32,
    j: Int32,
    value: Float32,
    labels: Int64,
    scale: np.float32,
    zero: np.float32,
    places: Int64,
    to_i: Int32,
    to_j: Int32,
    to_value: Float32,
) -> None:
    """Put each pair at the next place of its kind and bin, ``[2, bins]``."""
    for p in range(i.shape[0]):
        kind, b = np.int64(labels[i[p]] == labels[j[p]]), np.int32(value[p] * scale + zero)
        place = places[kind, b]
        places[kind, b] = place + 1
        to_i[place], to_j[place], to_value[place] = i[p], j[p], value[p]
