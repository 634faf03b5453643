"""What people look at next: the hardest pairs, and how the errors are spread over labels.

All of it follows from the pairs that the scan kept beside those that decide the points. Where it kept too few, they are
known now from the counts, and one more scan keeps them; where they are too many to be kept, less is shown.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs.bins import Bins, filter_error
from evaljobs.pairs.by_label import ByLabel
from evaljobs.pairs.count import Counts
from evaljobs.pairs.points import Point
from evaljobs.pairs.pool import Pool
from evaljobs.pairs.samples import Samples
from evaljobs.pairs.scan import Flags, Kept, Scan
from evaljobs.pairs.work import Rounds, total_of

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

LISTED = 2**17  # false accepts of a point that are looked at one by one
_MOST_SCORED = 2**18  # of pairs that may be among the hardest
_LARGEST = 20  # pairs of labels that are named for a point
_MOST_LISTED = 2**24  # pairs that are looked at beside the points, on a device that keeps more


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is found beside the points.

    Attributes
    ----------
    hardest
        How many of the hardest pairs of each kind.
    by_label
        Whether errors are counted by label and by pair of labels.
    """

    hardest: int = 0
    by_label: bool = False

    def __bool__(self) -> bool:
        return self.by_label or self.hardest > 0

    def tails(self, n_impostor: int, n_genuine: int, false_accepts: Iterable[int]) -> tuple[int, int]:
        """Return how many of the highest impostor, and of the lowest genuine scores are needed."""
        listed = [number for number in false_accepts if number <= LISTED] if self.by_label else []
        return min(n_impostor, max([self.hardest, *listed])), min(n_genuine, self.hardest)


@dataclasses.dataclass(frozen=True)
class Pairs:
    """Some pairs, the hardest first: impostors by falling, genuine pairs by rising score.

    Attributes
    ----------
    a, b
        ``[m]`` int64 rows.
    score
        ``[m]`` float64.
    """

    a: Int64
    b: Int64
    score: Float64


@dataclasses.dataclass(frozen=True)
class Spread:
    """How the false accepts of a point are spread.

    Attributes
    ----------
    n_label_pairs
        How many pairs of labels have any.
    largest
        ``[m, 3]`` int64: two labels, by number, and their false accepts; the most first.
    by_label
        ``[labels]`` int64: false accepts in which a label takes part.
    """

    n_label_pairs: int
    largest: Int64
    by_label: Int64

    @classmethod
    def of(cls, a: Int64, b: Int64, n_labels: int) -> Spread:
        """Return the spread of false accepts, given the labels of their samples, ``[m]`` each."""
        labels = np.sort(np.stack((a, b)), axis=0)
        keys, number = np.unique(labels[0] * n_labels + labels[1], return_counts=True)
        most = np.lexsort((keys, -number))[:_LARGEST]
        largest = np.stack((*np.divmod(keys[most], n_labels), number[most]), axis=1)
        twice = np.bincount(labels[0][labels[0] == labels[1]], minlength=n_labels)  # where a list says so
        return cls(len(keys), largest, np.bincount(labels.ravel(), minlength=n_labels) - twice)


@dataclasses.dataclass(frozen=True)
class Closer:
    """What was found beside the points.

    Attributes
    ----------
    hardest_impostor, hardest_genuine
        None where they were not asked for, or are too many with too similar scores to be told apart.
    spread
        For each point; None where there are too many false accepts to look at.
    accepted
        For each point, ``[labels]`` int64: genuine pairs of each label that are accepted. None where they were not
        counted, or there are no genuine or no impostor pairs.
    """

    hardest_impostor: Pairs | None
    hardest_genuine: Pairs | None
    spread: tuple[Spread | None, ...]
    accepted: tuple[Int64 | None, ...]


def flags_between(bins: Bins, impostor_from: float | None, genuine_to: float | None, margin: int = 0) -> Flags:
    """Flag impostor pairs from a score up, genuine pairs up to a score, and a margin of bins."""
    flags = np.zeros((2, bins.count), np.uint8)
    if impostor_from is not None:
        flags[0, max(0, bins.overlapping(impostor_from, impostor_from)[0] - margin) :] = 1
    if genuine_to is not None:
        flags[1, : bins.overlapping(genuine_to, genuine_to)[1] + 1 + margin] = 1
    return flags


def look_closer(  # noqa: PLR0913, PLR0917 - all that was found so far
    samples: Samples, scan: Scan, counts: Counts, pool: Pool, points: tuple[Point, ...], wanted: Wanted
) -> Rounds[Closer]:
    """Find what is wanted in the kept pairs, with another scan where they are not enough."""
    bins = scan.bins
    impostor_from, genuine_to, all_hardest = _from_counts(bins, counts, points, wanted, min(scan.budget, _MOST_LISTED))
    needed = flags_between(bins, impostor_from, genuine_to)
    impostor, genuine = kept = pool.among(needed)
    if any(found is None for found, flags in zip(kept, needed, strict=True) if flags.any()):
        again = yield from total_of(dataclasses.replace(scan, flags=needed, n_groups=0))
        pool = again.pool(samples, bins)
        impostor, genuine = pool.among(needed)
    accepted: tuple[Int64 | None, ...] = (None,) * len(points)
    if wanted.by_label:
        accepted = yield from _accepted(samples, bins, points)
    return Closer(
        _hardest(samples, impostor if all_hardest else None, wanted.hardest, sign=-1),
        _hardest(samples, genuine, wanted.hardest, sign=1),
        tuple(_spread(samples, pool, bins, needed[0], point) if wanted.by_label else None for point in points),
        accepted,
    )


def _from_counts(
    bins: Bins, counts: Counts, points: tuple[Point, ...], wanted: Wanted, budget: int
) -> tuple[float | None, float | None, bool]:
    """Return the score from which impostors, and up to which genuine pairs are needed: no more than can be kept.

    And whether these are all that may be among the hardest impostors.
    """
    from_top, from_bottom = np.cumsum(counts.impostor[::-1]), np.cumsum(counts.genuine)
    genuine_to = None
    if wanted.hardest and from_bottom[-1]:
        genuine_to = bins.high(int(np.searchsorted(from_bottom, min(wanted.hardest, int(from_bottom[-1])))))
    candidates = [p.threshold for p in points if wanted.by_label and _is_listed(p) and p.threshold is not None]
    hardest_from = None
    if wanted.hardest and from_top[-1]:
        rank = min(wanted.hardest, int(from_top[-1]))
        hardest_from = bins.low(bins.count - 1 - int(np.searchsorted(from_top, rank)))
        candidates.append(hardest_from)
    if not _fits(bins, counts, None, genuine_to, budget // 2):
        genuine_to = None
    fitting = [c for c in candidates if _fits(bins, counts, c, genuine_to, budget)]
    return min(fitting, default=None), genuine_to, hardest_from in fitting


def _fits(bins: Bins, counts: Counts, impostor_from: float | None, genuine_to: float | None, budget: int) -> bool:
    flags = flags_between(bins, impostor_from, genuine_to)
    # Products of another pass may differ in their last bits: what lies in the bins beside is counted too.
    wider = [np.convolve(kind, np.ones(2 * bins.reach + 1, np.int64), "same") > 0 for kind in flags]
    return int(counts.impostor[wider[0]].sum() + counts.genuine[wider[1]].sum()) <= budget


def _is_listed(point: Point) -> bool:
    return point.false_positives is not None and point.false_positives <= LISTED


def _hardest(samples: Samples, kept: Kept | None, number: int, *, sign: int) -> Pairs | None:
    """Return so many of the kept pairs, by their score times the sign, ascending; ties by their rows."""
    if kept is None or not number:
        return None
    near = sign * kept.value.astype(np.float64)  # bounds are no float32
    if len(near) > number:
        last = np.partition(near, number - 1)[number - 1] + 2 * filter_error(samples.rows.shape[1])
        kept = Kept(*(column[near <= last] for column in kept))
    if len(kept.i) > _MOST_SCORED:
        return None
    i, j = kept.i.astype(np.int64), kept.j.astype(np.int64)
    scores = samples.score_pairs(i, j)
    a, b = samples.order[i], samples.order[j]
    if not samples.gallery:
        a, b = np.minimum(a, b), np.maximum(a, b)
    best = np.lexsort((b, a, sign * scores))[:number]
    return Pairs(a[best], b[best], scores[best])


def _spread(samples: Samples, pool: Pool, bins: Bins, held: NDArray[np.uint8], point: Point) -> Spread | None:
    if not _is_listed(point):
        return None
    if point.threshold is None:  # nothing is accepted
        none = np.empty(0, np.int64)
        return Spread.of(none, none, samples.n_labels)
    first = bins.overlapping(point.threshold, point.threshold)[0]
    kept = pool.listed(first, bins.count - 1, genuine=False) if held[first:].all() else None
    if kept is None:
        return None
    i, j = _at_least(samples, kept, point.threshold)
    if len(i) != point.false_positives:
        raise AssertionError(f"found {len(i)} false accepts one by one, and {point.false_positives} in all")
    return Spread.of(samples.labels[i], samples.labels[j], samples.n_labels)


def _at_least(samples: Samples, kept: Kept, threshold: float) -> tuple[Int64, Int64]:
    """Return the kept pairs whose score is at least a threshold."""
    error = filter_error(samples.rows.shape[1])
    i, j = kept.i.astype(np.int64), kept.j.astype(np.int64)
    near = kept.value.astype(np.float64)  # a threshold is no float32
    accepted = near > threshold + error
    open_ = np.flatnonzero(~accepted & (near >= threshold - error))
    accepted[open_] = samples.score_pairs(i[open_], j[open_]) >= threshold
    return i[accepted], j[accepted]


def _accepted(samples: Samples, bins: Bins, points: tuple[Point, ...]) -> Rounds[tuple[Int64 | None, ...]]:
    """Count the accepted genuine pairs of each label at each point."""
    if not samples.n_genuine or not samples.n_impostor:
        return (None,) * len(points)
    thresholds = tuple(sorted({p.threshold for p in points if p.threshold is not None}))
    total = yield from total_of(ByLabel.of(samples, thresholds, bins))
    nothing = np.zeros(samples.n_labels, np.int64)
    found = tuple(nothing if p.threshold is None else total.at(thresholds.index(p.threshold)) for p in points)
    for point, by_label in zip(points, found, strict=True):
        if int(by_label.sum()) != point.true_positives:
            raise AssertionError(f"found {by_label.sum()} true accepts by label, and {point.true_positives} in all")
    return found
