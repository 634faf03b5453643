"""The distance to the k nearest reference embeddings, exactly: the same for any block, worker and BLAS.

Sun et al., *Out-of-distribution detection with deep nearest neighbors* (2022). The distance is ``1 - score`` with the
score of `evaljobs.pairs.score`. A float32 product is a filter alone: whatever it cannot tell from the k-th is scored by
the definition.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.errors import InputError
from evaljobs.pairs import score
from evaljobs.pairs.bins import filter_error
from evaljobs.pairs.given import boolean, integer
from evaljobs.pairs.samples import as_rows, refuse_unusable
from evaljobs.uncertainty.placed import Placed, cut

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

# Products that are held at a time.
_PRODUCTS = 2**22


class Near(NamedTuple):
    """By query, ``[q]`` each.

    Attributes
    ----------
    distance, farthest
        float64: the mean distance of the k nearest reference images, and that of the last of them.
    nearest
        int64: the row of the nearest reference image; of several, the first.
    """

    distance: Float64
    farthest: Float64
    nearest: Int64


@dataclasses.dataclass(frozen=True)
class Space:
    """Queries and reference images, ready to be compared; handed to every task.

    Attributes
    ----------
    rows
        ``[q + r, d]`` float32: queries, then reference images, as given.
    norms
        ``[q + r]`` float64.
    unit
        ``[q + r, d]`` float32: rows of length 1, rounded, for the filter alone.
    n_queries
        q.
    codes
        ``[q + r]`` int64: equal ones are one image, which is no neighbour of itself. None where there is no such.
    """

    rows: NDArray[np.float32]
    norms: Float64
    unit: NDArray[np.float32]
    n_queries: int
    codes: Int64 | None

    @property
    def n_reference(self) -> int:
        """Number of reference images."""
        return len(self.rows) - self.n_queries

    @property
    def n_pairs(self) -> int:
        """Number of pairs that are compared."""
        return self.n_queries * self.n_reference


def prepare(queries: object, reference: object, k: int, keys: tuple[Int64, Int64] | None = None) -> Space:
    """Make queries and reference images ready.

    Parameters
    ----------
    queries, reference
        ``[q, d]`` and ``[r, d]`` real numbers; what float32 cannot hold is rounded to it.
    k
        How many neighbours are wanted.
    keys
        ``[q]`` and ``[r]`` int64, equal for one and the same image: it is no neighbour of itself. Left out: all differ.

    Raises
    ------
    InputError
        If they are not what is expected, or a query has fewer than k other reference images.
    NonFiniteError
        If a row is not finite, or all zero; rows of the reference are counted after those of the queries.
    """
    both = [as_rows(side)[0] for side in (queries, reference)]
    if both[0].shape[1] != both[1].shape[1]:
        raise InputError(f"found queries of {both[0].shape[1]} and a reference of {both[1].shape[1]} dimensions")
    n, r = len(both[0]), len(both[1])
    codes = None if keys is None else np.concatenate(keys).astype(np.int64)
    copies = 0 if keys is None or codes is None else _most_copies(*keys)
    if not 1 <= k <= r - copies:
        itself = f", {copies:,} of them the same image as one that is measured" if copies else ""
        raise InputError(
            f"found k = {k:,} nearest of {r:,} reference images{itself}; expected 1 to {max(r - copies, 0):,}: lower "
            "`neighbours`, or take a larger reference set"
        )
    rows = np.concatenate(both)
    norms = score.norms(rows)
    refuse_unusable(norms, None)
    unit = np.empty_like(rows)
    score.normalise_rounded(rows, np.arange(n + r), norms, unit)
    return Space(rows, norms, unit, n, codes if copies else None)


def _most_copies(queries: Int64, reference: Int64) -> int:
    """Return how many reference images are one query, at most."""
    found, counts = np.unique(reference, return_counts=True)
    of = counts[np.isin(found, queries)]
    return int(of.max(initial=0))


@dataclasses.dataclass(frozen=True)
class Searching:
    """The pass over the queries."""

    k: int
    n_queries: int
    n_reference: int

    def parts(self, at_least: int) -> list[range]:
        """Cut the queries."""
        return cut(self.n_queries, 2**12, at_least)

    def pairs(self, part: range, /) -> int:
        """Return how many pairs a part compares."""
        return len(part) * self.n_reference

    def run(self, samples: Space, part: range, onto: Placed | None = None) -> Placed:
        """Find the neighbours of some queries: mean distance, distance of the last, row of the nearest."""
        block = max(1, _PRODUCTS // max(1, self.n_reference))
        runs = [_nearest(samples, range(i, min(i + block, part.stop)), self.k) for i in part[::block]]
        found = Placed({part.start: tuple(np.concatenate(column) for column in zip(*runs, strict=True))})
        return found if onto is None else onto + found


def _nearest(space: Space, queries: range, k: int) -> Near:
    q = space.n_queries
    close = space.unit[queries.start : queries.stop] @ space.unit[q:].T
    if space.codes is not None:
        own = space.codes[queries.start : queries.stop]
        for number in np.flatnonzero(np.isin(own, space.codes[q:])).tolist():
            close[number, space.codes[q:] == own[number]] = -np.inf
    # The k-th of the true scores is at least the k-th product less the error: what lies below by twice that is out.
    lowest = np.partition(close, -k, axis=1)[:, -k].astype(np.float64) - 2 * filter_error(space.rows.shape[1])
    i, j = np.nonzero(close >= lowest[:, None])
    scores = score.score_pairs(space.rows, np.arange(len(space.rows)), space.norms, i + queries.start, j + q)
    ends = np.searchsorted(i, np.arange(len(queries) + 1))
    distances, nearest = np.empty((len(queries), k)), np.empty(len(queries), np.int64)
    for number, (first, last) in enumerate(itertools.pairwise(ends.tolist())):
        order = np.lexsort((j[first:last], -scores[first:last]))[:k] + first
        distances[number] = 1 - scores[order]
        nearest[number] = j[order[0]]
    return Near(distances.mean(axis=1), distances[:, -1].copy(), nearest)


def neighbour_distances(queries: object, reference: object, k: int = 10, *, same: bool = False) -> Near:
    """Return how far queries are from their k nearest reference embeddings.

    Parameters
    ----------
    queries, reference
        ``[q, d]`` and ``[r, d]`` real numbers.
    k
        How many neighbours.
    same
        Whether query i and reference i are one image, which is no neighbour of itself.

    Raises
    ------
    InputError, NonFiniteError
        As `prepare`.
    """
    k, same = integer(k, "k", 1), boolean(same, "same")
    sides = as_rows(queries, "queries")[0], as_rows(reference, "reference")[0]
    space = prepare(*sides, k, (np.arange(len(sides[0])), np.arange(len(sides[1]))) if same else None)
    work = Searching(k, space.n_queries, space.n_reference)
    return Near(*work.run(space, range(space.n_queries)).whole())
