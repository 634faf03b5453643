"""Several sets of samples in one evaluation: each pass is over one of them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from evaljobs.errors import NonFiniteError
from evaljobs.pairs.samples import Samples, prepare
from evaljobs.pairs.work import Rounds, Work

Matrix = NDArray[np.float32]
Int64 = NDArray[np.int64]
R = TypeVar("R")


@dataclasses.dataclass(frozen=True)
class Several:
    """Samples by role; picklable.

    Attributes
    ----------
    of
        Each has the same images, in the same order: those that all sets have.
    rows
        ``[n]`` int64: by role, the row of each image among those that were given.
    """

    of: Mapping[str, Samples]
    rows: Mapping[str, Int64]

    @property
    def n_pairs(self) -> int:
        """Pairs of one set: what a pass costs."""
        return max(samples.n_pairs for samples in self.of.values())


def several_of(
    embeddings: Mapping[str, Matrix], named: Mapping[str, tuple[Sequence[str], Sequence[str]]], n_groups: int
) -> Several:
    """Make sets ready of which each shows the same images.

    Parameters
    ----------
    embeddings
        By role: ``[n, d]`` float32.
    named
        By role: ids and labels, `n` each. An image of one set is that of another by its id; what is not in all of them
        is left out, so that differences between them have one cause.
    n_groups
        For the intervals: equal images are of equal groups.

    Raises
    ------
    NonFiniteError
        If an embedding cannot be compared.
    """
    common = set.intersection(*(set(ids) for ids, _ in named.values()))
    first, _ = next(iter(named.values()))
    order = [one for one in first if one in common]
    found, rows = {}, {}
    before = 0
    for role, (ids, labels) in named.items():
        places = dict(zip(ids, range(len(ids)), strict=True))
        rows[role] = np.array([places[one] for one in order], np.int64)
        of_rows = [labels[row] for row in rows[role].tolist()]
        try:
            found[role] = prepare(embeddings[role][rows[role]], of_rows, n_groups=n_groups)
        except NonFiniteError as error:
            # Rows of a later set are counted behind those of the earlier ones.
            given = tuple(before + int(rows[role][row]) for row in error.rows)
            raise NonFiniteError(str(error), count=error.count, rows=given) from None
        before += len(ids)
    return Several(found, rows)


@dataclasses.dataclass(frozen=True)
class In:
    """A pass over one of the sets, or over a part of it.

    Attributes
    ----------
    role
        Of the set.
    work
        The pass.
    without
        Rows of the set that are left out.
    """

    role: str
    work: Work[Any]
    without: tuple[int, ...] = ()

    def parts(self, at_least: int) -> list[range]:
        """Cut the pass into parts."""
        return self.work.parts(at_least)

    def pairs(self, part: range, /) -> int:
        """Return how many pairs a part looks at."""
        return self.work.pairs(part)

    def run(self, samples: Several, part: range, onto: Any = None) -> Any:
        """Carry out a part."""
        return self.work.run(self._those(samples), part, onto)

    def _those(self, samples: Several) -> Samples:
        return _left(samples.of[self.role], self.without, self._kept) if self.without else samples.of[self.role]

    @functools.cached_property
    def _kept(self) -> dict[str, Samples]:
        """What is left, once it is made: a task makes it for its first part."""
        return {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is made anew wherever it is needed."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def _left(samples: Samples, without: tuple[int, ...], kept: dict[str, Samples]) -> Samples:
    if "left" not in kept:
        kept["left"] = left_out(samples, without)
    return kept["left"]


def left_out(samples: Samples, without: Sequence[int]) -> Samples:
    """Return samples without some of their rows, and without groups."""
    stay = np.ones(samples.n, bool)
    stay[list(without)] = False
    labels = np.empty(samples.n, np.int64)
    labels[samples.order] = samples.labels
    return prepare(samples.rows[stay], [samples.names[label] for label in labels[stay].tolist()])


def within(role: str, rounds: Rounds[R], without: Sequence[int] = ()) -> Rounds[R]:
    """Carry rounds out on one of the sets, or on what is left of it."""
    try:
        work = next(rounds)
        while True:
            work = rounds.send((yield cast("Work[Any]", In(role, work, tuple(without)))))
    except StopIteration as stop:
        result: R = stop.value
        return result
