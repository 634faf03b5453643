"""Images that look alike: pairs whose two perceptual hashes both differ in few bits."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
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
# Pairs of images that are written down. The pictures of one camera that never moves may all look alike, so there may be
# billions: then the search ends, and it is said that there are more.
MOST_PAIRS = 1_000_000
# Of two groups of equal hashes that make more pairs, each image is paired with the first of the other group alone.
_MOST_OF_GROUPS = 100_000


class Alike(NamedTuple):
    """Pairs of images that look alike.

    Attributes
    ----------
    a, b
        ``[m]`` int64 rows; of one set a < b. Sorted by distance, then by row.
    distance
        ``[m]`` uint8: in how many bits the hashes of frequencies differ.
    complete
        False where there are too many, and some are left out.
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
    several = np.flatnonzero(groups.sizes > 1)
    own = Near(several, several, np.zeros(len(several), np.uint8))
    return _images(itertools.chain([own], near_pairs(groups.phash, bound)), groups, groups, bound)


def alike_across(prints: Prints, others: Prints, rows: Int64, other_rows: Int64, bound: int = BOUND) -> Alike:
    """Return the pairs of a row of one set and a row of another that look alike, as `alike` has it."""
    groups, other_groups = _grouped(prints, rows), _grouped(others, other_rows)
    return _images(near_across(groups.phash, other_groups.phash, bound), groups, other_groups, bound)


def _grouped(prints: Prints, rows: Int64) -> _Groups:
    rows = rows[prints.telling[rows]]
    order = np.lexsort((rows, prints.dhash[rows], prints.phash[rows]))
    rows = rows[order]
    phash, dhash = prints.phash[rows], prints.dhash[rows]
    new = np.ones(len(rows), np.bool_)
    new[1:] = (phash[1:] != phash[:-1]) | (dhash[1:] != dhash[:-1])
    starts = np.flatnonzero(new)
    return _Groups(phash[starts], dhash[starts], rows, starts, np.diff(np.append(starts, len(rows))))


def _images(several: Iterable[Near], groups: _Groups, others: _Groups, bound: int) -> Alike:
    """Return the images of pairs of groups, up to `MOST_PAIRS`."""
    found, room, complete = [_NONE], MOST_PAIRS, True
    for near in several:
        far = np.bitwise_count(groups.dhash[near.a] ^ others.dhash[near.b])
        pairs, whole = _expanded(_some(near, far <= GRADIENT_FACTOR * bound), groups, others, room)
        found.append(pairs)
        room -= len(pairs.a)
        complete &= whole
        if room <= 0:
            complete = False
            break
    a, b, distance = (np.concatenate(columns) for columns in zip(*found, strict=True))
    order = np.lexsort((b, a, distance))[:MOST_PAIRS]
    return Alike(a[order], b[order], distance[order], complete)


def _expanded(near: Near, groups: _Groups, others: _Groups, room: int) -> tuple[Near, bool]:
    """Return the images of pairs of groups, some more than there is room for at most, and whether these are all."""
    along, across = groups.sizes[near.a], others.sizes[near.b]
    large = along * across > _MOST_OF_GROUPS
    across = np.where(large, 1, across)
    counts = along * across
    # One pair of groups more than there is room for: where that is the first, it is better than none.
    whole = int(np.searchsorted(np.cumsum(counts), room)) + 1
    near, across, counts = _some(near, slice(whole)), across[:whole], counts[:whole]
    pair = np.repeat(np.arange(len(counts)), counts)
    step = np.arange(len(pair)) - np.repeat(np.cumsum(counts) - counts, counts)
    first, second = np.divmod(step, across[pair])
    a = groups.rows[groups.starts[near.a][pair] + first]
    b = others.rows[others.starts[near.b][pair] + second]
    distance = near.distance[pair]
    if groups is others:
        # Inside a group both orders of a pair are there; of a large one, the first comes first.
        inside = near.a[pair] == near.b[pair]
        kept = ~inside | np.where(large[:whole][pair], a > b, a < b)
        a, b, distance = np.minimum(a, b)[kept], np.maximum(a, b)[kept], distance[kept]
    return Near(a, b, distance), not large.any() and whole >= len(large)


def _some(near: Near, kept: NDArray[np.bool_] | slice) -> Near:
    return Near(near.a[kept], near.b[kept], near.distance[kept])


_NONE = Near(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.uint8))
