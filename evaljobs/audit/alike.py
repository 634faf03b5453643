"""Images that look alike: pairs whose two perceptual hashes both differ in few bits."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.audit.hamming import Near, near_across, near_pairs
from evaljobs.audit.prints import Prints

Int64 = NDArray[np.int64]

# Of 64 bits of the hash of frequencies: what saving as JPEG, another size and a little light change.
BOUND = 4
# The hash of gradients sees the same picture in another way. Where a picture is smooth, small changes move many of its
# bits: up to 16; of two different pictures about 32 differ.
GRADIENT_FACTOR = 4
# Pairs of images that are written down; where groups of equal pictures make more, it is said that there are more.
MOST_PAIRS = 1_000_000


class Alike(NamedTuple):
    """Pairs of images that look alike.

    Attributes
    ----------
    a, b
        ``[m]`` int64 rows; of one set a < b. Sorted by distance, then by row.
    distance
        ``[m]`` uint8: in how many bits the hashes of frequencies differ.
    complete
        False where there are more than `MOST_PAIRS`: of groups of equal hashes some pairs are left out.
    """

    a: Int64
    b: Int64
    distance: NDArray[np.uint8]
    complete: bool


class _Groups(NamedTuple):
    """Images by their hashes: the distinct ones ``[k]``, and which rows have them, one group after the other."""

    phash: NDArray[np.uint64]
    dhash: NDArray[np.uint64]
    rows: Int64
    starts: Int64
    sizes: Int64


def alike(prints: Prints, rows: Int64, bound: int = BOUND) -> Alike:
    """Return the pairs among some rows of a set; blank images take part in none.

    Every pair whose hashes of frequencies differ in at most `bound` bits, and those of gradients in at most
    `GRADIENT_FACTOR` times as many.
    """
    groups = _grouped(prints, rows)
    near = near_pairs(groups.phash, bound)
    own = np.arange(len(groups.sizes))
    both = Near(
        np.concatenate([own, near.a]),
        np.concatenate([own, near.b]),
        np.concatenate([np.zeros(len(own), np.uint8), near.distance]),
    )
    return _images(both, groups, groups, bound, within=True)


def alike_across(prints: Prints, others: Prints, rows: Int64, other_rows: Int64, bound: int = BOUND) -> Alike:
    """Return the pairs of a row of one set and a row of another that look alike, as `alike` has it."""
    groups, other_groups = _grouped(prints, rows), _grouped(others, other_rows)
    near = near_across(groups.phash, other_groups.phash, bound)
    return _images(near, groups, other_groups, bound, within=False)


def _grouped(prints: Prints, rows: Int64) -> _Groups:
    rows = rows[prints.telling[rows]]
    order = np.lexsort((rows, prints.dhash[rows], prints.phash[rows]))
    rows = rows[order]
    phash, dhash = prints.phash[rows], prints.dhash[rows]
    new = np.ones(len(rows), np.bool_)
    new[1:] = (phash[1:] != phash[:-1]) | (dhash[1:] != dhash[:-1])
    starts = np.flatnonzero(new)
    return _Groups(phash[starts], dhash[starts], rows, starts, np.diff(np.append(starts, len(rows))))


def _images(near: Near, groups: _Groups, others: _Groups, bound: int, *, within: bool) -> Alike:
    """Return the images of pairs of groups."""
    far = np.bitwise_count(groups.dhash[near.a] ^ others.dhash[near.b])
    near = _some(near, far <= GRADIENT_FACTOR * bound)
    counts = groups.sizes[near.a] * others.sizes[near.b]
    whole = int(np.searchsorted(np.cumsum(counts), MOST_PAIRS, "right"))
    complete = whole == len(counts)
    if not complete and not whole:
        whole = 1
    near, counts = _some(near, slice(whole)), counts[:whole]
    pair = np.repeat(np.arange(whole), counts)
    step = np.arange(len(pair)) - np.repeat(np.cumsum(counts) - counts, counts)
    along, across = np.divmod(step, others.sizes[near.b][pair])
    a = groups.rows[groups.starts[near.a][pair] + along]
    b = others.rows[others.starts[near.b][pair] + across]
    distance = near.distance[pair]
    if within:
        kept = (near.a[pair] != near.b[pair]) | (a < b)
        a, b, distance = np.minimum(a, b)[kept], np.maximum(a, b)[kept], distance[kept]
    order = np.lexsort((b, a, distance))[:MOST_PAIRS]
    return Alike(a[order], b[order], distance[order], complete)


def _some(near: Near, kept: NDArray[np.bool_] | slice) -> Near:
    return Near(near.a[kept], near.b[kept], near.distance[kept])
