"""Which pairs of a piece are genuine: samples are sorted by label, so that they are a run of columns in every row."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs.samples import Samples
from evaljobs.pairs.tiles import Piece

Int32 = NDArray[np.int32]


class Spans(NamedTuple):
    """Columns of each row of a piece, ``[h]`` int32 each, counted from its first.

    Attributes
    ----------
    begin
        The first column that is a pair.
    low, high
        Where the genuine pairs begin, and one past their last.
    skip
        A column that is no pair, since it is the same sample; -1 where there is none.
    """

    begin: Int32
    low: Int32
    high: Int32
    skip: Int32


def spans_of(samples: Samples, piece: Piece) -> Spans:
    """Return the spans of a piece, whose rows and whose columns are of one group each."""
    i, j = piece
    height = i.stop - i.start
    begin = np.zeros(height, np.int32)
    if i.start == j.start:  # on the diagonal, where pieces are square: i < j
        begin = np.arange(1, height + 1, dtype=np.int32)
    low = high = begin
    rows, columns = samples.labels[i], samples.labels[j]
    # Labels are dealt to groups whole, but where a sample's group is that of its twin.
    whole = samples.unit_of_groups == "label" and samples.twins is None
    apart = whole and samples.groups[i.start] != samples.groups[j.start]
    if not apart and rows[0] <= columns[-1] and columns[0] <= rows[-1]:
        low = np.maximum(begin, np.searchsorted(columns, rows, side="left").astype(np.int32))
        high = np.maximum(low, np.searchsorted(columns, rows, side="right").astype(np.int32))
    return Spans(begin, low, high, _skip(samples, i, j))


def _skip(samples: Samples, i: slice, j: slice) -> Int32:
    if samples.twins is None:
        return np.full(i.stop - i.start, -1, np.int32)
    twins = samples.twins[i]
    return np.where((twins >= j.start) & (twins < j.stop), twins - j.start, -1).astype(np.int32)
