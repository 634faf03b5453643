"""Decisions hold for every filter within its bound, also for one that errs as much as it may."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evaljobs.pairs import pool
from evaljobs.pairs.bins import SCALE, Bins
from evaljobs.pairs.count import Counts
from evaljobs.pairs.decide import Pending, find_in_pool, find_refined
from evaljobs.pairs.keys import to_keys
from evaljobs.pairs.points import Found, find_sorted
from evaljobs.pairs.refine import Ladder, Refine, Refined, Scores, climb
from evaljobs.pairs.scan import Kept
from evaljobs.pairs.tiles import Tiles

BINS = Bins(256)
Float64 = NDArray[np.float64]


class Simulated:
    """Scores within a few bins, and a filter that errs by up to its bound; stands in for the pool of a scan."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        m = int(rng.integers(2, 40))
        spread = rng.choice([0.3, 2, 8, 30]) / SCALE
        self.scores = rng.uniform(-spread, spread, m)
        if rng.random() < 0.5:
            self.scores = rng.choice(self.scores, m)  # ties
        self.genuine = rng.random(m) < rng.choice([0.1, 0.5, 0.9])
        self.filter()

    def filter(self) -> None:
        """Let the filter err as no other pass did: to one side, to either side, or by any amount."""
        rng = np.random.default_rng(len(self.scores))
        error = rng.choice([-1, 1], len(self.scores)) * rng.choice([1.0, 1.0, 0.5], len(self.scores)) * BINS.error
        self.bins = np.floor((self.scores + error) * SCALE).astype(np.int64) + BINS.zero
        low, high = np.array([(BINS.low(b), BINS.high(b)) for b in self.bins.tolist()]).T
        assert ((low <= self.scores) & (self.scores <= high)).all()

    def counts(self) -> Counts:
        impostor, genuine = (
            np.bincount(self.bins[kind], minlength=BINS.count) for kind in (~self.genuine, self.genuine)
        )
        return Counts(impostor.astype(np.int64), genuine.astype(np.int64))

    def sorted(self) -> tuple[Float64, Float64]:
        return np.sort(self.scores[~self.genuine]), np.sort(self.scores[self.genuine])

    def expected(self, allowed: int) -> Found:
        return find_sorted(*self.sorted(), allowed)


class Pool(pool.Pool):
    """Has the scores of all bins but those that are said to be missing."""

    def __init__(self, simulated: Simulated, missing: set[int]) -> None:
        self.simulated, self.missing = simulated, missing
        # A part of the spread, all of it, or far beyond; the finer one may be the coarser one.
        self._rng = np.random.default_rng(len(simulated.scores))
        self._error, self._fine = (float(error) for error in self._rng.choice([0, 1e-9, 0.03, 1, 30], 2) / SCALE)

    def listed(self, first: int, last: int, *, genuine: bool) -> Kept | None:
        s = self.simulated
        here = (s.bins >= first) & (s.bins <= last)
        if self.missing & set(s.bins[here].tolist()):
            return None
        which = np.flatnonzero(here & (s.genuine == genuine)).astype(np.int32)
        # In float64, or rounding would err beyond what was drawn.
        return Kept(which, which, self._erring(which, self._error))  # type: ignore[arg-type]

    def _estimate(self, pairs: Kept) -> Float64:
        return self._erring(pairs.i, self._fine)

    def _erring(self, which: NDArray[np.int32], error: float) -> Float64:
        return self.simulated.scores[which] + error * self._rng.choice([-0.999, 0.999, 0], len(which))

    def _score(self, pairs: Kept) -> Float64:
        return self.simulated.scores[pairs.i]


def refine(simulated: Simulated, pending: Pending, *, hold: bool) -> Found | Pending:
    """Do what a refining pass does, on simulated scores, until the point is found."""
    for _ in range(2 if hold else 8):
        work = Refine(Tiles(2, 1), BINS, np.array([pending.low]), np.array([pending.high]))
        ladder = Ladder.empty(1)
        near = work.flags()[simulated.bins] == 1
        climb(to_keys(simulated.scores[near]), simulated.genuine[near], work.low, work.high, work.shift, ladder)
        inside = near & (to_keys(simulated.scores) >= pending.low) & (to_keys(simulated.scores) <= pending.high)
        held = Scores(*(simulated.scores[inside & kind] for kind in (~simulated.genuine, simulated.genuine)))
        found = find_refined(work, Refined(simulated.counts(), ladder, (held,) if hold else None), 0, pending)
        if isinstance(found, Found):
            return found
        assert found.high - found.low < pending.high - pending.low or (pending.found is None) != (found.found is None)
        pending = found
    raise AssertionError("so many passes did not find it")


@pytest.mark.parametrize("block", range(4))
def test_a_filter_at_the_edge_of_its_bound_misleads_nobody(block: int) -> None:
    """From the bins of such a filter and the scores of the windows it asks for: exactly the sorted scores' point."""
    for seed in range(60 * block, 60 * (block + 1)):
        simulated = Simulated(seed)
        for allowed in {0, 1, 3, len(simulated.scores) // 2, len(simulated.sorted()[0]) - 1, 99} - {-1}:
            found = find_in_pool(BINS, simulated.counts(), Pool(simulated, set()), allowed)
            assert found == simulated.expected(allowed), (seed, allowed)


@pytest.mark.parametrize("block", range(4))
def test_refining_goes_on_from_whatever_was_missing(block: int) -> None:
    """With some or all bins not kept, the interval it gives leads to the same point."""
    kinds: set[Any] = set()
    for seed in range(60 * block, 60 * (block + 1)):
        simulated = Simulated(seed)
        rng = np.random.default_rng(seed)
        missing = set(rng.permutation(simulated.bins)[: rng.integers(1, len(simulated.bins) + 1)].tolist())
        for allowed in (0, 2, len(simulated.scores) // 2, 99):
            found = find_in_pool(BINS, simulated.counts(), Pool(simulated, missing), allowed)
            if isinstance(found, Pending):
                kinds.add(found.found is None)
                found = refine(simulated, found, hold=bool(seed % 2))
            assert found == simulated.expected(allowed), (seed, allowed)
    assert kinds == {False, True}  # blockers and thresholds were missing
