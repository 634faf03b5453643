"""Listed pairs, as benchmarks such as LFW and IJB give them: each scored by the definition."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evaljobs.errors import InputError
from evaljobs.pairs import auroc, curve, histogram
from evaljobs.pairs.bins import GROUP_SCALE, SCALE
from evaljobs.pairs.closer import LISTED, Closer, Pairs, Spread, Wanted
from evaljobs.pairs.compiled import compiled
from evaljobs.pairs.count import Counts, Groups
from evaljobs.pairs.given import array, values
from evaljobs.pairs.labels import factorise
from evaljobs.pairs.points import Point, allowed_at, find_sorted, to_point
from evaljobs.pairs.replicates import replicate
from evaljobs.pairs.rounds import Outcome
from evaljobs.pairs.samples import Samples, arranged, as_rows, expect_lengths, grouped
from evaljobs.pairs.work import Rounds, total_of

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
Mask = NDArray[np.bool_]

_PAIRS_A_PART = 2**18
_ZERO = 2 * SCALE  # bin of score 0; scores exceed 1 by rounding only
_FOLD = SCALE // GROUP_SCALE
_NAMED = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Listed(Samples):
    """Samples, in the order given, so that positions are rows; and the pairs of them that are compared.

    Attributes
    ----------
    i, j
        ``[p]`` int64 rows.
    is_genuine
        ``[p]`` bool.
    labelled
        Whether the samples have labels of their own.
    """

    i: Int64
    j: Int64
    is_genuine: Mask
    labelled: bool

    @property
    def protocol(self) -> str:
        """Which pairs are compared."""
        return "pairs"

    @functools.cached_property
    def n_pairs(self) -> int:
        """Number of pairs that are compared."""
        return len(self.i)

    @functools.cached_property
    def n_genuine(self) -> int:
        """Number of genuine pairs."""
        return int(self.is_genuine.sum())

    @functools.cached_property
    def genuine_by_label(self) -> Int64:
        """``[n_labels]`` int64: genuine pairs by the label of their first sample."""
        return np.bincount(self.labels[self.i[self.is_genuine]], minlength=self.n_labels)


def prepare_listed(  # noqa: PLR0913 - samples and pairs
    embeddings: object,
    pairs: object,
    labels: object = None,
    genuine: object = None,
    *,
    ids: Sequence[object] | None = None,
    n_groups: int = 0,
) -> Listed:
    """Check samples and pairs and make them ready.

    Parameters
    ----------
    embeddings
        ``[n, d]`` real numbers.
    pairs
        ``[p, 2]`` integers: two different rows each.
    labels
        ``n`` texts or integers. Where absent, `genuine` must say which pairs are genuine.
    genuine
        ``p`` booleans; by the labels where absent.
    ids
        ``n`` sample ids for messages.
    n_groups
        How many groups are made for confidence intervals; 0 for none.

    Raises
    ------
    InputError
        If they are not what is expected.
    NonFiniteError
        If a row is not finite, or all zero.
    """
    rows, notes = as_rows(embeddings)
    if len(rows) < 2:
        raise InputError(f"found {len(rows)} sample(s); at least 2 are needed to make a pair")
    i, j = _rows_of(pairs, len(rows))
    if labels is None and genuine is None:
        raise InputError(
            "found neither labels nor a genuine column; expected one of them, to know which pairs are genuine"
        )
    codes, names = (np.zeros(len(rows), np.int64), [""]) if labels is None else factorise(labels)
    ids = None if ids is None else values(ids, "ids")
    expect_lengths(len(rows), labels=len(codes), ids=len(rows) if ids is None else len(ids))
    is_genuine = codes[i] == codes[j] if genuine is None else _as_booleans(genuine, len(i))
    if labels is not None:
        notes += _contradictions(is_genuine, codes[i] == codes[j])
    elif n_groups:
        notes += ("there are no labels: the intervals take every sample for independent of all others",)
    notes += _repetitions(i, j)
    grouping = grouped(codes, names, n_groups)
    samples = arranged(rows, np.arange(len(rows)), codes, names, grouping, ids, notes, for_filter=False)
    return Listed(**vars(samples), i=i, j=j, is_genuine=is_genuine, labelled=labels is not None)


def _contradictions(is_genuine: Mask, same: Mask) -> tuple[str, ...]:
    contrary = int((is_genuine != same).sum())
    what = (
        f"the genuine column says otherwise than the labels for {contrary} of {len(same)} pairs; the column was taken"
    )
    return (what,) if contrary else ()


def _repetitions(i: Int64, j: Int64) -> tuple[str, ...]:
    again = len(i) - len(np.unique(np.minimum(i, j) * (max(i.max(), j.max()) + 1) + np.maximum(i, j)))
    return (f"{again} of {len(i)} pairs stand in the list again; each time counts",) if again else ()


def _rows_of(pairs: object, n: int) -> tuple[Int64, Int64]:
    found = array(pairs, "pairs", "integers [p, 2]")
    if found.ndim != 2 or found.shape[1:] != (2,) or found.dtype.kind not in "iu" or not len(found):
        raise InputError(
            f"found pairs of {found.dtype} with shape {found.shape}; expected integers [p, 2], at least one pair"
        )
    i, j = found.astype(np.int64).T
    outside = np.flatnonzero((found < 0).any(axis=1) | (found >= n).any(axis=1))
    if len(outside):
        raise InputError(
            f"found no such row in {len(outside)} pairs, first {found[outside[0]].tolist()}; expected 0 to {n - 1}"
        )
    same = np.flatnonzero(i == j)
    if len(same):
        named = ", ".join(map(str, i[same[:_NAMED]].tolist()))
        raise InputError(
            f"found {len(same)} pairs of a sample with itself, rows {named}; expected two different samples"
        )
    return np.ascontiguousarray(i), np.ascontiguousarray(j)


def _as_booleans(genuine: object, n: int) -> Mask:
    found = array(genuine, "values of the genuine column", "true or false, 1 or 0")
    if found.ndim != 1 or not (found.dtype.kind == "b" or (found.dtype.kind in "iu" and np.isin(found, (0, 1)).all())):
        raise InputError(
            f"found a genuine column of {found.dtype} with shape {found.shape}; expected true or false, 1 or 0"
        )
    if len(found) != n:
        raise InputError(f"found {len(found)} values in the genuine column for {n} pairs; expected one for each")
    return found.astype(np.bool_)


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores of some pairs: the number of the first pair of a part, and ``[m]`` float64."""

    parts: tuple[tuple[int, Float64], ...]

    def __add__(self, other: Scores) -> Scores:
        return Scores(self.parts + other.parts)

    def all(self) -> Float64:
        """Return the scores of all pairs, in their order."""
        return np.concatenate([scores for _, scores in sorted(self.parts, key=lambda part: part[0])])


@dataclasses.dataclass(frozen=True)
class ScoreListed:
    """Score every listed pair. 8 bytes a pair, half of what the list takes."""

    n_pairs: int

    def parts(self, at_least: int) -> list[range]:
        """Cut the pairs into parts."""
        step = max(1, min(_PAIRS_A_PART, -(-self.n_pairs // at_least)))
        return [range(first, min(first + step, self.n_pairs)) for first in range(0, self.n_pairs, step)]

    def pairs(self, part: range, /) -> int:
        """Return the number of pairs of a part."""
        return len(part)

    def run(self, listed: Listed, part: range, onto: Scores | None = None) -> Scores:
        """Score the pairs of a part."""
        some = slice(part.start, part.stop)
        found = Scores(((part.start, listed.score_pairs(listed.i[some], listed.j[some])),))
        return found if onto is None else onto + found


def listed_rounds(listed: Listed, targets: tuple[float, ...], wanted: Wanted) -> Rounds[Outcome]:
    """Verify listed pairs in rounds, as `rounds.rounds` does for all pairs."""
    scores = (yield from total_of(ScoreListed(listed.n_pairs))).all()
    genuine, impostor = np.sort(scores[listed.is_genuine]), np.sort(scores[~listed.is_genuine])
    allowed = [allowed_at(target, len(impostor)) for target in targets]
    points = tuple(
        to_point(target, number, find_sorted(impostor, genuine, number), len(genuine), len(impostor))
        for target, number in zip(targets, allowed, strict=True)
    )
    return Outcome(
        points,
        auroc.from_sorted(impostor, genuine),
        curve.from_sorted(impostor, genuine, points),
        histogram.from_sorted(impostor, genuine),
        replicates=replicate(*_by_group(listed, scores), points, _FOLD) if listed.n_groups else None,
        closer=_closer(listed, scores, points, wanted) if wanted else None,
    )


def _by_group(listed: Listed, scores: Float64) -> tuple[Counts, Groups]:
    bins = np.floor(scores * SCALE).astype(np.int64) + _ZERO
    groups = np.zeros((2, listed.n_groups, 2 * _ZERO // _FOLD), np.int64)
    of = listed.groups
    _count(bins, listed.is_genuine, of[listed.i], of[listed.j], _FOLD, groups)
    impostor, genuine = (
        np.bincount(bins[kind], minlength=2 * _ZERO) for kind in (~listed.is_genuine, listed.is_genuine)
    )
    return Counts(impostor, genuine), Groups(groups[0], groups[1])


@compiled
def _count(  # noqa: PLR0913, PLR0917 - a kernel takes arrays, not objects
    bins: Int64, is_genuine: Mask, a: Int64, b: Int64, fold: int, groups: Int64
) -> None:
    """Count each pair in its bin for the groups it touches: ``[2, groups, bins / fold]``, impostor and genuine."""
    for p in range(bins.shape[0]):
        kind = 1 if is_genuine[p] else 0
        groups[kind, a[p], bins[p] // fold] += 1
        if a[p] != b[p]:
            groups[kind, b[p], bins[p] // fold] += 1


def _closer(listed: Listed, scores: Float64, points: tuple[Point, ...], wanted: Wanted) -> Closer:
    by_label = wanted.by_label and listed.labelled
    return Closer(
        _hardest(listed, scores, wanted.hardest, genuine=False),
        _hardest(listed, scores, wanted.hardest, genuine=True),
        tuple(_spread(listed, scores, point) if by_label else None for point in points),
        tuple(_accepted(listed, scores, point) if by_label else None for point in points),
    )


def _hardest(listed: Listed, scores: Float64, number: int, *, genuine: bool) -> Pairs | None:
    if not number:
        return None
    kind = np.flatnonzero(listed.is_genuine == genuine)
    sign = 1 if genuine else -1
    best = kind[np.lexsort((kind, sign * scores[kind]))[:number]]
    return Pairs(listed.i[best], listed.j[best], scores[best])


def _reaching(scores: Float64, point: Point) -> Mask:
    return np.zeros(len(scores), np.bool_) if point.threshold is None else scores >= point.threshold


def _spread(listed: Listed, scores: Float64, point: Point) -> Spread | None:
    if point.false_positives is None or point.false_positives > LISTED:
        return None
    wrong = _reaching(scores, point) & ~listed.is_genuine
    labels = listed.labels
    return Spread.of(labels[listed.i[wrong]], labels[listed.j[wrong]], listed.n_labels)


def _accepted(listed: Listed, scores: Float64, point: Point) -> Int64 | None:
    if point.tpr is None:
        return None
    right = _reaching(scores, point) & listed.is_genuine
    return np.bincount(listed.labels[listed.i[right]], minlength=listed.n_labels)
