"""One pass that scores the pairs of narrow intervals by the definition, and counts them in finer steps.

It is used where an interval holds more pairs than can be kept: collapsed models, duplicates, ties. Each pass narrows an
interval of scores at least `STEPS` times, as counted in floating-point values, down to a single one if need be.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs import score
from evaljobs.pairs.bins import Bins
from evaljobs.pairs.compiled import compiled
from evaljobs.pairs.count import Counter, Counts, Near
from evaljobs.pairs.keys import from_key, to_keys
from evaljobs.pairs.samples import Samples
from evaljobs.pairs.tiles import Tiles

Int64 = NDArray[np.int64]

STEPS = 2**14
NONE_LOW = np.iinfo(np.int64).max  # the least of no keys
NONE_HIGH = np.iinfo(np.int64).min  # the greatest of no keys


@dataclasses.dataclass(frozen=True)
class Ladder:
    """Pairs of ``q`` intervals by the step of their score, and the pairs above each interval.

    Only pairs that were scored are in it: those of the flagged bins.

    Attributes
    ----------
    impostor, genuine
        ``[q, STEPS]`` int64: number of pairs.
    least, greatest
        ``[q, STEPS]`` int64: keys of the extreme scores of either kind.
    impostor_above, genuine_above
        ``[q]`` int64: number of pairs above the interval.
    least_above
        ``[q]`` int64: the least key above the interval.
    """

    impostor: Int64
    genuine: Int64
    least: Int64
    greatest: Int64
    impostor_above: Int64
    genuine_above: Int64
    least_above: Int64

    @classmethod
    def empty(cls, q: int) -> Ladder:
        """Return a ladder without pairs."""
        return cls(
            np.zeros((q, STEPS), np.int64),
            np.zeros((q, STEPS), np.int64),
            np.full((q, STEPS), NONE_LOW),
            np.full((q, STEPS), NONE_HIGH),
            np.zeros(q, np.int64),
            np.zeros(q, np.int64),
            np.full(q, NONE_LOW),
        )

    def __add__(self, other: Ladder) -> Ladder:
        return Ladder(
            self.impostor + other.impostor,
            self.genuine + other.genuine,
            np.minimum(self.least, other.least),
            np.maximum(self.greatest, other.greatest),
            self.impostor_above + other.impostor_above,
            self.genuine_above + other.genuine_above,
            np.minimum(self.least_above, other.least_above),
        )


@dataclasses.dataclass(frozen=True)
class Refined:
    """What a refining pass found: all pairs in their bins, those of flagged bins on the ladder."""

    counts: Counts
    ladder: Ladder

    def __add__(self, other: Refined) -> Refined:
        return Refined(self.counts + other.counts, self.ladder + other.ladder)


@dataclasses.dataclass(frozen=True)
class Refine:
    """Score the pairs that may lie in some intervals.

    Attributes
    ----------
    low, high
        ``[q]`` int64: keys of the scores that bound each interval, both inclusive.
    """

    tiles: Tiles
    bins: Bins
    low: Int64
    high: Int64

    def parts(self, at_least: int) -> list[range]:
        """Cut the tiles into parts."""
        return self.tiles.parts(at_least)

    def pairs(self, part: range) -> int:
        """Return the number of pairs of a part."""
        return self.tiles.pairs(part)

    @property
    def shift(self) -> Int64:
        """``[q]`` int64: how many low bits of ``key - low`` a step covers."""
        widths = (int(high) - int(low) for low, high in zip(self.low, self.high, strict=True))
        return np.array([max(0, width.bit_length() - STEPS.bit_length() + 1) for width in widths], np.int64)

    def window(self, q: int) -> tuple[int, int]:
        """Return the first and last bin that may hold pairs of an interval."""
        return self.bins.overlapping(from_key(int(self.low[q])), from_key(int(self.high[q])))

    def flags(self) -> NDArray[np.uint8]:
        """Return ``[bins]`` uint8, 1 for the bins whose pairs are scored."""
        flags = np.zeros(self.bins.count, np.uint8)
        for q in range(len(self.low)):
            first, last = self.window(q)
            flags[first : last + 1] = 1
        return flags

    def run(self, samples: Samples, part: range, onto: Refined | None = None) -> Refined:
        """Scan the tiles of a part, and score their flagged pairs."""
        flags = self.flags()
        counter, ladder, shift = Counter(self.bins, np.stack((flags, flags))), Ladder.empty(len(self.low)), self.shift
        for near in counter.count(samples, self.tiles, part):
            if len(near.i):
                self._score(samples, near, ladder, shift)
        found = Refined(counter.result()[0], ladder)
        return found if onto is None else onto + found

    def _score(self, samples: Samples, near: Near, ladder: Ladder, shift: Int64) -> None:
        rows, columns = near.piece
        order = np.argsort((near.i - rows.start).astype(np.uint16), kind="stable")  # by row, as `score_some` wants them
        i, j = near.i[order].astype(np.int64), near.j[order].astype(np.int64)
        left, right = samples.normalised(rows), samples.normalised(columns)
        scores = score.score_some(left, right, i - rows.start, j - columns.start)
        genuine = samples.labels[i] == samples.labels[j]
        climb(to_keys(scores), genuine, self.low, self.high, shift, ladder)


def climb(  # noqa: PLR0913, PLR0917 - a kernel takes arrays, not objects
    keys: Int64, is_genuine: NDArray[np.bool_], low: Int64, high: Int64, shift: Int64, ladder: Ladder
) -> None:
    """Put scored pairs, as keys ``[p]``, on the ladder of the intervals from `low` to `high`."""
    _climb(
        keys, is_genuine, low, high, shift,
        ladder.impostor, ladder.genuine, ladder.least, ladder.greatest,
        ladder.impostor_above, ladder.genuine_above, ladder.least_above,
    )  # fmt: skip


@compiled
def _climb(  # noqa: PLR0913, PLR0917 - a kernel takes arrays, not objects
    keys: Int64,
    is_genuine: NDArray[np.bool_],
    low: Int64,
    high: Int64,
    shift: Int64,
    impostor: Int64,
    genuine: Int64,
    least: Int64,
    greatest: Int64,
    impostor_above: Int64,
    genuine_above: Int64,
    least_above: Int64,
) -> None:
    for p in range(keys.shape[0]):
        key = keys[p]
        for q in range(low.shape[0]):
            if key > high[q]:
                least_above[q] = min(least_above[q], key)
                if is_genuine[p]:
                    genuine_above[q] += 1
                else:
                    impostor_above[q] += 1
            elif key >= low[q]:
                step = (key - low[q]) >> shift[q]
                least[q, step] = min(least[q, step], key)
                greatest[q, step] = max(greatest[q, step], key)
                if is_genuine[p]:
                    genuine[q, step] += 1
                else:
                    impostor[q, step] += 1
