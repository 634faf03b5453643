"""One pass that scores the pairs of narrow intervals by the definition, and counts them in finer steps.

It is used where a window holds more pairs than can be kept: large sets, collapsed models, duplicates, ties. Where the
scores of the intervals alone can be held, they end it. Else each pass narrows an interval of scores by half of `STEPS`
times or more, as counted in floating-point values, down to a single one if need be.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

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
_AT_ONCE = 2**18  # pairs of a tile that are scored at a time, some 80 bytes each


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


class Scores(NamedTuple):
    """Scores of impostor and of genuine pairs, float64, in no order."""

    impostor: NDArray[np.float64]
    genuine: NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Refined:
    """What a refining pass found: all pairs in their bins, those of flagged bins on the ladder.

    Attributes
    ----------
    held
        The scores in the intervals, each once; None where they are more than the budget.
    """

    counts: Counts
    ladder: Ladder
    held: tuple[Scores, ...] | None = None
    budget: int = 0

    def __add__(self, other: Refined) -> Refined:
        held = None if self.held is None or other.held is None else _within(self.held + other.held, self.budget)
        return Refined(self.counts + other.counts, self.ladder + other.ladder, held, self.budget)


def _within(held: tuple[Scores, ...], budget: int) -> tuple[Scores, ...] | None:
    """Return the scores, or None where they are over the budget."""
    return held if sum(len(kind) for scores in held for kind in scores) <= budget else None


@dataclasses.dataclass(frozen=True)
class Refine:
    """Score the pairs that may lie in some intervals.

    Attributes
    ----------
    low, high
        ``[q]`` int64: keys of the scores that bound each interval, both inclusive.
    budget
        Most scores that are held, 8 bytes each; with more, none is.
    """

    tiles: Tiles
    bins: Bins
    low: Int64
    high: Int64
    budget: int = 0

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
        found: list[Scores] = []
        room = self.budget if onto is None or onto.held is not None else -1
        for near in counter.count(samples, self.tiles, part):
            for scores, is_genuine in _scored(samples, near):
                keys = to_keys(scores)
                climb(keys, is_genuine, self.low, self.high, shift, ladder)
                if room >= 0:
                    inside = self._inside(keys)
                    found.append(Scores(scores[inside & ~is_genuine], scores[inside & is_genuine]))
                    room -= int(inside.sum())
                if room < 0:
                    found.clear()
        held = _joined(found) if room >= 0 else None
        refined = Refined(counter.result()[0], ladder, held, self.budget)
        return refined if onto is None else onto + refined

    def _inside(self, keys: Int64) -> NDArray[np.bool_]:
        """Return which keys ``[p]`` lie in any interval."""
        inside = np.zeros(len(keys), np.bool_)
        for low, high in zip(self.low, self.high, strict=True):
            inside |= (keys >= low) & (keys <= high)
        return inside


def _joined(held: list[Scores]) -> tuple[Scores, ...]:
    """Return the scores of several tiles as one, or nothing."""
    if not held:
        return ()
    impostor, genuine = zip(*held, strict=True)
    return (Scores(np.concatenate(impostor), np.concatenate(genuine)),)


def _scored(samples: Samples, near: Near) -> Iterator[tuple[NDArray[np.float64], NDArray[np.bool_]]]:
    """Score the pairs of a piece, some at a time: give ``[p]`` scores, and whether they are genuine."""
    rows, columns = near.piece
    dense = len(near.i) > (rows.stop - rows.start) + (columns.stop - columns.start)
    if dense:  # each row is normalised once, not for each pair
        order = np.argsort((near.i - rows.start).astype(np.uint16), kind="stable")  # as `score_some` wants them
        left, right = samples.normalised(rows), samples.normalised(columns)
    for first in range(0, len(near.i), _AT_ONCE):
        some = order[first : first + _AT_ONCE] if dense else slice(first, first + _AT_ONCE)
        i, j = near.i[some].astype(np.int64), near.j[some].astype(np.int64)
        is_genuine = samples.labels[i] == samples.labels[j]
        if dense:
            r, begin, end = i - rows.start, int(i[0]) - rows.start, int(i[-1]) - rows.start + 1
            yield score.score_some(left[begin:end], right, r - begin, j - columns.start), is_genuine
        else:
            yield samples.score_pairs(i, j), is_genuine


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
