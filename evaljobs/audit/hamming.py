"""All pairs of 64-bit hashes that differ in few bits.

Two hashes that differ in at most b bits agree in at least one of b + 1 pieces, since b differences cannot touch b + 1
pieces (the pigeonhole principle; Norouzi, Punjani and Fleet 2012, "Fast search in Hamming space with multi-index
hashing"). So only hashes that agree in a piece are compared, and none is missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Int64 = NDArray[np.int64]

BITS = 64
# Of so many pieces each has at least 7 bits.
MOST_BITS = 8
# Pairs that are compared at a time: some 100 MB.
_AT_ONCE = 2**21


class Near(NamedTuple):
    """Pairs: positions ``a`` and ``b``, ``[m]`` int64, and in how many bits they differ, ``[m]`` uint8. Sorted."""

    a: Int64
    b: Int64
    distance: NDArray[np.uint8]


def near_pairs(hashes: Hashes, bound: int) -> Near:
    """Return every pair of ``[n]`` hashes, a < b, that differs in at most `bound` bits (inclusive).

    To be called with distinct hashes: of equal ones all pairs are returned, which may be many.

    Raises
    ------
    ValueError
        If the bound is not within 0 to `MOST_BITS`.
    """
    return _unique([_within(hashes, hashes, *found, bound) for found in _candidates(hashes, None, bound)])


def near_across(hashes: Hashes, others: Hashes, bound: int) -> Near:
    """Return every pair of a hash and one of the others that differs in at most `bound` bits.

    Raises
    ------
    ValueError
        If the bound is not within 0 to `MOST_BITS`.
    """
    return _unique([_within(hashes, others, *found, bound) for found in _candidates(hashes, others, bound)])


def _candidates(hashes: Hashes, others: Hashes | None, bound: int) -> Iterator[tuple[Int64, Int64]]:
    """Yield pairs that agree in a piece, some at a time; a pair may come once for each piece."""
    if not 0 <= bound <= MOST_BITS:
        raise ValueError(f"the bound is {bound}; expected 0 to {MOST_BITS} bits")
    cuts = np.linspace(0, BITS, bound + 2).astype(int)
    for first, end in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
        keys = _piece(hashes, first, end)
        yield from _agreeing(keys, None if others is None else _piece(others, first, end))


def _piece(hashes: Hashes, first: int, end: int) -> Hashes:
    if end - first == BITS:
        return hashes
    return (hashes >> np.uint64(first)) & np.uint64(2 ** (end - first) - 1)


def _agreeing(keys: Hashes, other_keys: Hashes | None) -> Iterator[tuple[Int64, Int64]]:
    """Yield positions of equal keys: of pairs a < b of one list, or of pairs across two."""
    right = keys if other_keys is None else other_keys
    order = np.argsort(right, kind="stable")
    ordered = right[order]
    starts, ends = np.searchsorted(ordered, keys, "left"), np.searchsorted(ordered, keys, "right")
    if other_keys is None:
        # Behind its own place: equal keys stand in the order of their positions.
        place = np.empty(len(keys), np.int64)
        place[order] = np.arange(len(keys))
        starts = place + 1
    counts = ends - starts
    before = np.concatenate([[0], np.cumsum(counts)])
    first = 0
    while first < len(keys):
        last = max(first + 1, int(np.searchsorted(before, before[first] + _AT_ONCE, "right")) - 1)
        chosen = counts[first:last]
        rows = np.repeat(np.arange(first, last), chosen)
        steps = np.arange(len(rows)) - np.repeat(before[first:last] - before[first], chosen)
        yield rows, order[np.repeat(starts[first:last], chosen) + steps]
        first = last


def _within(hashes: Hashes, others: Hashes, a: Int64, b: Int64, bound: int) -> Near:
    distance = np.bitwise_count(hashes[a] ^ others[b])
    kept = distance <= bound
    return Near(a[kept], b[kept], distance[kept])


def _unique(found: list[Near]) -> Near:
    """Return each pair once, sorted by position; a pair that agrees in several pieces was found in each."""
    if not found:
        return Near(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.uint8))
    a, b, distance = (np.concatenate(columns) for columns in zip(*found, strict=True))
    order = np.lexsort((b, a))
    a, b, distance = a[order], b[order], distance[order]
    new = np.ones(len(a), np.bool_)
    new[1:] = (np.diff(a) != 0) | (np.diff(b) != 0)
    return Near(a[new], b[new], distance[new])
