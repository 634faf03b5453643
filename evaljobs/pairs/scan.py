"""One pass of the filter over the tiles: count every pair in its bin, and keep the pairs of some bins.

One compiled pass makes the float32 products of a tile, counts genuine and impostor pairs and lists those whose bin is
flagged.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs.bins import Bins
from evaljobs.pairs.count import Counter, Counts, Groups
from evaljobs.pairs.samples import Samples
from evaljobs.pairs.tiles import Tiles

if TYPE_CHECKING:
    from evaljobs.pairs.pool import Pool

Flags = NDArray[np.uint8]


class Kept(NamedTuple):
    """Pairs that were kept: positions, ``[m]`` int32 each, and the filter's value, ``[m]`` float32."""

    i: NDArray[np.int32]
    j: NDArray[np.int32]
    value: NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Scanned:
    """What a scan found.

    Attributes
    ----------
    kept
        The pairs of flagged bins; None where they are more than the budget.
    groups
        The pairs that touch each group, where they were asked for.
    """

    counts: Counts
    kept: tuple[Kept, ...] | None
    budget: int
    groups: Groups | None = None

    def __add__(self, other: Scanned) -> Scanned:
        kept = None if self.kept is None or other.kept is None else self.kept + other.kept
        groups = self.groups and other.groups and self.groups + other.groups
        return Scanned(self.counts + other.counts, within(kept, self.budget), self.budget, groups)

    def pool(self, samples: Samples, bins: Bins) -> Pool:
        """Return the kept pairs, to be scored."""
        from evaljobs.pairs.pool import Pool  # it is made of what is scanned

        return Pool(samples, self, bins)


def within(kept: tuple[Kept, ...] | None, budget: int) -> tuple[Kept, ...] | None:
    """Return what was kept, or None where it is over the budget."""
    return kept if kept is not None and sum(len(k.i) for k in kept) <= budget else None


@dataclasses.dataclass(frozen=True)
class Scan:
    """Count all pairs, and keep those of flagged bins.

    Attributes
    ----------
    flags
        ``[2, bins]`` uint8: 1 where impostor, and where genuine pairs are kept.
    budget
        Most pairs that are kept, 12 bytes each; with more, none is.
    n_groups
        How many groups the samples are of, whose pairs are counted apart; 0 where they are not.
    """

    tiles: Tiles
    bins: Bins
    flags: Flags
    budget: int
    n_groups: int = 0

    def parts(self, at_least: int) -> list[range]:
        """Cut the tiles into parts."""
        return self.tiles.parts(at_least)

    def pairs(self, part: range) -> int:
        """Return the number of pairs of a part."""
        return self.tiles.pairs(part)

    def run(self, samples: Samples, part: range, onto: Scanned | None = None) -> Scanned:
        """Scan the tiles of a part, and add what is found to `onto`, whose counts are then changed in place."""
        before = None if onto is None else (onto.counts, onto.groups)
        counter = Counter(self.bins, self.flags, self.n_groups, before)
        found: list[Kept] = []
        n_kept = 0
        for near in counter.count(samples, self.tiles, part):
            n_kept += len(near.i)
            if n_kept > self.budget:
                found.clear()
            elif len(near.i):
                found.append(Kept(near.i, near.j, near.value))
        # One for the whole part: small tiles are many, and each array costs more than the pairs in it.
        kept = joined(found) if n_kept <= self.budget else None
        if onto is not None:
            kept = None if kept is None or onto.kept is None else within(onto.kept + kept, self.budget)
        counts, groups = counter.result()
        return Scanned(counts, kept, self.budget, groups)


def joined(found: list[Kept]) -> tuple[Kept, ...]:
    """Return what several tiles kept as one, or nothing."""
    if not found:
        return ()
    columns = zip(*found, strict=True)
    return (Kept(*(np.concatenate(column) for column in columns)),)
