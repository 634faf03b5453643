"""Samples made ready for comparing: checked, normalised for the filter, sorted by label."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.errors import InputError, NonFiniteError
from evaljobs.pairs import score
from evaljobs.pairs.given import array, values
from evaljobs.pairs.intervals import group_of_labels, group_of_samples
from evaljobs.pairs.labels import factorise
from evaljobs.pairs.tiles import Tiles

MAX_DIMENSIONS = 2**20  # the filter's bound holds beyond, but no longer separates anything
_NAMED = 5
_WORTH_THREADS = 4096  # pairs whose estimates take longer than the start of threads


@dataclasses.dataclass(frozen=True)
class Samples:
    """The samples of one verification.

    Position means place after sorting by group and label, so that the samples of a group that have one label are a run
    of positions. With probes and a gallery, the probes come first; each of the two is sorted by itself.

    Attributes
    ----------
    rows
        ``[n, d]`` float32, the embeddings as given; of the probes, then of the gallery.
    order
        ``[n]`` int64: the row of each position.
    norms
        ``[n]`` float64 by position.
    unit
        ``[n, d]`` float32 by position: the normalised rows of the definition, rounded. For the filter alone.
    labels
        ``[n]`` int64: the number of the label of each position.
    groups
        ``[n]`` int64: the group of each position, from 0; all 0 where no groups are made.
    names
        The labels by number.
    n_groups
        How many groups were made; 0 where none.
    unit_of_groups
        What is grouped: `label`, or `sample` where there are fewer labels than groups.
    gallery
        Position at which the gallery begins; 0 where all pairs are compared.
    twins
        ``[n]`` int64: for each probe, the position of the gallery's sample that is the same and not compared, or -1.
        None where there is none.
    notes
        What was changed about the input.
    threads
        How many threads may work on the samples between two passes over the pairs.
    """

    rows: NDArray[np.float32]
    order: NDArray[np.int64]
    norms: NDArray[np.float64]
    unit: NDArray[np.float32]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    names: Sequence[str | int]
    n_groups: int = 0
    unit_of_groups: str = "label"
    gallery: int = 0
    twins: NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()
    threads: int = 1

    @property
    def protocol(self) -> str:
        """Which pairs are compared."""
        return "cross" if self.gallery else "all"

    @property
    def n(self) -> int:
        """Number of samples; of probes and gallery together."""
        return len(self.rows)

    @property
    def n_labels(self) -> int:
        """Number of different labels."""
        return len(self.names)

    @functools.cached_property
    def n_pairs(self) -> int:
        """Number of pairs that are compared."""
        if not self.gallery:
            return self.n * (self.n - 1) // 2
        same = 0 if self.twins is None else int((self.twins >= 0).sum())
        return self.gallery * (self.n - self.gallery) - same

    @functools.cached_property
    def n_genuine(self) -> int:
        """Number of pairs with the same label."""
        return int(self.genuine_by_label.sum())

    @functools.cached_property
    def genuine_by_label(self) -> NDArray[np.int64]:
        """``[n_labels]`` int64: the number of pairs of each label with itself."""
        if not self.gallery:
            count = np.bincount(self.labels, minlength=self.n_labels)
            return count * (count - 1) // 2
        probes, gallery = self.labels[: self.gallery], self.labels[self.gallery :]
        pairs = np.bincount(probes, minlength=self.n_labels) * np.bincount(gallery, minlength=self.n_labels)
        if self.twins is not None:
            i = np.flatnonzero(self.twins >= 0)
            same = self.labels[i][self.labels[i] == self.labels[self.twins[i]]]
            pairs -= np.bincount(same, minlength=self.n_labels)
        return pairs

    @property
    def n_impostor(self) -> int:
        """Number of pairs with different labels."""
        return self.n_pairs - self.n_genuine

    def tiles(self, size: int) -> Tiles:
        """Return the tiles of the pairs that are compared, of at most `size` positions."""
        change = np.flatnonzero(np.diff(self.groups)) + 1
        starts = sorted({0, self.gallery, *change.tolist()})
        return Tiles(self.n, size, tuple(starts), self.gallery)

    def normalised(self, positions: slice | NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the rows of the definition at some positions, ``[m, d]`` float64."""
        return score.normalise(self.rows[self.order[positions]], self.norms[positions])

    def score_pairs(self, i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.float64]:
        """Score pairs of positions, each ``[p]`` int64, by the definition."""
        return score.score_pairs(self.rows, self.order, self.norms, i, j)

    def estimate_pairs(self, i: NDArray[np.int32], j: NDArray[np.int32]) -> NDArray[np.float64]:
        """Estimate the scores of pairs of positions, each ``[p]`` int32, by the finer filter."""
        found = np.empty(len(i))

        def some(first: int, last: int) -> None:
            score.estimate_pairs(self.unit, i[first:last], j[first:last], found[first:last])

        _shared(some, len(i), self.threads if len(i) >= _WORTH_THREADS else 1)
        return found


def prepare(
    embeddings: object,
    labels: object,
    ids: Sequence[object] | None = None,
    *,
    for_filter: bool = True,
    n_groups: int = 0,
) -> Samples:
    """Check embeddings and labels and make them ready.

    Parameters
    ----------
    embeddings
        ``[n, d]``, n at least 2, real numbers. What float32 cannot hold is rounded to it, and noted.
    labels
        ``n`` texts or integers.
    ids
        ``n`` sample ids for messages; row numbers where absent.
    for_filter
        Whether `unit` is filled. A GPU has its own.
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
    codes, names = factorise(labels)
    ids = None if ids is None else values(ids, "ids")
    expect_lengths(len(rows), labels=len(codes), ids=len(rows) if ids is None else len(ids))
    grouping = grouped(codes, names, n_groups)
    order = np.lexsort((codes, grouping.groups)) if grouping.n else np.argsort(codes, kind="stable")
    return arranged(rows, order, codes, names, grouping, ids, notes, for_filter=for_filter)


class Grouping(NamedTuple):
    """Which group each row is of, ``[n]`` int64; how many there are; and whether labels or samples are grouped."""

    groups: NDArray[np.int64]
    n: int
    unit: str


def grouped(codes: NDArray[np.int64], names: Sequence[str | int], n_groups: int) -> Grouping:
    """Make groups of labels; of samples, where there are fewer labels than groups; or none."""
    if not n_groups or len(codes) < 2 * n_groups:
        return Grouping(np.zeros(len(codes), np.int64), 0, "label")
    if len(names) < n_groups:
        return Grouping(group_of_samples(codes, names, n_groups), n_groups, "sample")
    return Grouping(group_of_labels(names, n_groups)[codes], n_groups, "label")


def arranged(  # noqa: PLR0913, PLR0917 - everything that samples are made of
    rows: NDArray[np.float32],
    order: NDArray[np.int64],
    codes: NDArray[np.int64],
    names: Sequence[str | int],
    grouping: Grouping,
    ids: Sequence[object] | None,
    notes: tuple[str, ...],
    *,
    gallery: int = 0,
    twins: NDArray[np.int64] | None = None,
    for_filter: bool = True,
) -> Samples:
    """Put samples in order, and refuse rows that cannot be compared."""
    norms = score.norms(rows)
    refuse_unusable(norms, ids)
    norms = norms[order]
    found = Samples(
        rows, order, norms, np.empty((0, rows.shape[1]), np.float32), codes[order], grouping.groups[order], names,
        n_groups=grouping.n, unit_of_groups=grouping.unit, gallery=gallery, twins=twins, notes=notes,
    )  # fmt: skip
    return with_filter(found) if for_filter else found


def with_filter(samples: Samples, threads: int = 1) -> Samples:
    """Return samples with `unit` filled, by several threads."""
    unit = np.empty(samples.rows.shape, np.float32)

    def fill(first: int, last: int) -> None:
        here = slice(first, last)
        score.normalise_rounded(samples.rows, samples.order[here], samples.norms[here], unit[here])

    _shared(fill, samples.n, threads)
    return dataclasses.replace(samples, unit=unit, threads=threads)


def _shared(work: Callable[[int, int], None], n: int, threads: int) -> None:
    """Share the numbers from 0 to `n` among threads: `work` is called with the first, and with the end of its own."""
    bounds = [n * number // threads for number in range(threads + 1)]
    if threads == 1:  # to start a thread takes longer than most of what is asked
        work(*bounds)
        return
    with ThreadPoolExecutor(threads - 1) as pool:
        others = [pool.submit(work, *some) for some in itertools.pairwise(bounds[1:])]
        work(*bounds[:2])
        for other in others:
            other.result()


def expect_lengths(n: int, **lengths: int) -> None:
    """Refuse what has not a value for each row."""
    for what, length in lengths.items():
        if length != n:
            raise InputError(f"found {length} {what} for {n} embeddings; expected one for each row")


def as_rows(embeddings: object, what: str = "embeddings") -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Return a matrix as float32 ``[n, d]`` in C order, and what was changed about it; `what` it is, for messages."""
    given = array(embeddings, what, "a matrix [n, d], all rows of one length")
    real = given.dtype.kind in "biuf" or given.dtype.name == "bfloat16"
    if not real or given.ndim != 2:
        raise InputError(f"found {what} of {given.dtype} with shape {given.shape}; expected real numbers [n, d]")
    d = given.shape[1]
    if not 1 <= d <= MAX_DIMENSIONS:
        raise InputError(f"found {what} of {d} dimensions; expected 1 to {MAX_DIMENSIONS}")
    with np.errstate(over="ignore"):  # what overflows is infinite, and found as such
        rows = np.ascontiguousarray(given, dtype=np.float32)
    return rows, _rounding(given, rows)


def _rounding(given: NDArray[np.generic], rows: NDArray[np.float32]) -> tuple[str, ...]:
    if given.dtype.kind in "iu" and bool((rows.astype(np.float64) == given).all()):
        return ()
    if given.dtype.name == "bfloat16" or np.can_cast(given.dtype, np.float32):
        return ()
    return (f"embeddings were {given.dtype} and were rounded to float32",)


def refuse_unusable(norms: NDArray[np.float64], ids: Sequence[object] | None) -> None:
    """Refuse rows that have no direction.

    Raises
    ------
    NonFiniteError
        If a norm ``[n]`` is 0 or not finite.
    """
    zero = norms == 0
    bad = np.flatnonzero(zero | ~np.isfinite(norms))
    if not len(bad):
        return
    n_zero = int(zero.sum())
    named = ", ".join(str(r if ids is None else ids[r]) for r in bad[:_NAMED].tolist())
    more = ", ..." if len(bad) > _NAMED else ""
    message = (
        f"{len(bad)} of {len(norms)} embeddings cannot be compared: {len(bad) - n_zero} not finite as float32, {n_zero}"
        f" all zero; {'row' if ids is None else 'id'} {named}{more}. Exclude these samples or mend the model"
    )
    raise NonFiniteError(message, count=len(bad), rows=tuple(bad[:_NAMED].tolist()))
