"""All pairs of 64-bit hashes that differ in few bits.

Two hashes that differ in at most b bits agree in at least one of b + 1 pieces, since b differences cannot touch b + 1
pieces (the pigeonhole principle; Norouzi, Punjani and Fleet 2012, "Fast search in Hamming space with multi-index
hashing"). So only hashes that agree in a piece are compared, and none is missed.
"""

from __future__ import annotations

import itertools
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
    """Pairs: positions ``a`` and ``b``, ``[m]`` int64, and in how many bits they differ, ``[m]`` uint8."""

    a: Int64
    b: Int64
    distance: NDArray[np.uint8]


def near_pairs(hashes: Hashes, bound: int) -> Iterator[Near]:
    """Yield every pair of ``[n]`` hashes, a < b, that differs in at most `bound` bits (inclusive): each pair once.

    To be called with distinct hashes: of equal ones all pairs are yielded, which may be many.

    Raises
    ------
    ValueError
        If the bound is not within 0 to `MOST_BITS`.
    """
    return _near(hashes, None, _pieces(bound), bound)


def near_across(hashes: Hashes, others: Hashes, bound: int) -> Iterator[Near]:
    """Yield every pair of a hash and one of the others that differs in at most `bound` bits: each pair once.

    Raises
    ------
    ValueError
        If the bound is not within 0 to `MOST_BITS`.
    """
    return _near(hashes, others, _pieces(bound), bound)


def _pieces(bound: int) -> list[np.uint64]:
    """Return the bits of each piece."""
    if not 0 <= bound <= MOST_BITS:
        raise ValueError(f"the bound is {bound}; expected 0 to {MOST_BITS} bits")
    cuts = [BITS * piece // (bound + 1) for piece in range(bound + 2)]
    return [np.uint64(2**end - 2**first) for first, end in itertools.pairwise(cuts)]


def _near(hashes: Hashes, others: Hashes | None, pieces: list[np.uint64], bound: int) -> Iterator[Near]:
    right = hashes if others is None else others
    for number, piece in enumerate(pieces):
        for a, b in _agreeing(hashes & piece, None if others is None else others & piece):
            distance = np.bitwise_count(hashes[a] ^ right[b])
            kept = np.flatnonzero(distance <= bound)
            found = Near(a[kept], b[kept], distance[kept])
            # A pair that agrees in several pieces is told at the first of them.
            differing = hashes[found.a] ^ right[found.b]
            new = np.ones(len(kept), np.bool_)
            for earlier in pieces[:number]:
                new &= (differing & earlier) != 0
            yield Near(found.a[new], found.b[new], found.distance[new])


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
