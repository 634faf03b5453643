"""A scan counts every pair once, keeps what it is told to, and adds up in any order."""

from __future__ import annotations

import dataclasses
import functools
import operator
import pickle
import random
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evaljobs.pairs import refine
from evaljobs.pairs.bins import Bins
from evaljobs.pairs.count import Counts
from evaljobs.pairs.pool import Pool
from evaljobs.pairs.probe import Probe, guess
from evaljobs.pairs.refine import Refine, Refined
from evaljobs.pairs.samples import Samples, prepare
from evaljobs.pairs.scan import Scan, Scanned
from evaljobs.pairs.tiles import Tiles
from evaljobs.pairs.work import Evidence, Work

N, D = 90, 6
BINS = Bins(D)


@pytest.fixture(scope="module")
def samples() -> Samples:
    """Clustered samples with labels of 1 to 20 samples."""
    rng = np.random.default_rng(0)
    labels = np.minimum(rng.integers(0, 40, N), 20)
    return prepare((rng.standard_normal((41, D))[labels] + rng.standard_normal((N, D))).astype(np.float32), labels)


def everything(keep: slice = slice(None), budget: int = 10**6, tile: int = 16) -> Scan:
    flags = np.zeros((2, BINS.count), np.uint8)
    flags[:, keep] = 1
    return Scan(Tiles(N, tile), BINS, flags, budget)


def total(work: Work[Any], samples: Samples, order: int | None = None) -> Any:
    """Add up the evidence of all parts, in their order or shuffled."""
    parts = work.parts(10)
    if order is not None:
        random.Random(order).shuffle(parts)
    evidence: list[Evidence] = [work.run(samples, part) for part in parts]
    assert len(evidence) > 1
    return functools.reduce(operator.add, evidence)


def bins_of(scores: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.bincount(BINS.of(scores.astype(np.float32)), minlength=BINS.count)


@pytest.mark.parametrize("tile", [1, 7, 16, 200])
def test_every_pair_is_counted_as_what_it_is(samples: Samples, oracle: Any, tile: int) -> None:
    """Genuine and impostor pairs are all counted, in bins whose bounds enclose their scores."""
    scan = everything(slice(0), tile=tile)
    counts = functools.reduce(operator.add, [scan.run(samples, part) for part in scan.parts(5)]).counts
    labels = samples.labels
    truth = oracle(samples.rows[samples.order], labels)
    for found, scores in ((counts.genuine, truth.genuine), (counts.impostor, truth.impostor)):
        assert found.sum() == len(scores) > 0
        bounds = [(BINS.low(b), BINS.high(b)) for b in np.repeat(np.arange(BINS.count), found).tolist()]
        assert all(low <= s <= high for (low, high), s in zip(bounds, np.sort(scores), strict=True))


def test_kept_pairs_are_those_of_flagged_bins(samples: Samples, oracle: Any) -> None:
    """The pool has the scores of every flagged bin, and says None for any other that is not empty."""
    middle = BINS.zero + 12_000
    scanned: Scanned = total(everything(slice(middle, None)), samples)
    pool = Pool(samples, scanned, BINS)
    truth = oracle(samples.rows[samples.order], samples.labels)
    found = pool.scores(middle, BINS.count - 1)
    assert found is not None
    for scores, expected, counts in (
        (found[0], truth.impostor, scanned.counts.impostor),
        (found[1], truth.genuine, scanned.counts.genuine),
    ):
        assert len(scores) == counts[middle:].sum() > 0
        assert np.array_equal(scores, np.sort(expected)[-len(scores) :])
    assert pool.scores(BINS.zero, BINS.count - 1) is None
    assert pool.scores(0, 5) is not None  # empty, hence complete


def test_a_pool_over_its_budget_keeps_nothing(samples: Samples) -> None:
    """One pair too many, in one part or over all: no pair is kept, and no bin with pairs counts as complete."""
    n_pairs = samples.n_pairs
    assert total(everything(budget=n_pairs), samples).kept is not None
    for budget in (n_pairs - 1, 3, 0):
        scanned = total(everything(budget=budget), samples)
        assert scanned.kept is None
        assert scanned.counts.all.sum() == n_pairs
        assert Pool(samples, scanned, BINS).scores(0, BINS.count - 1) is None


def works(samples: Samples) -> list[Work[Any]]:
    low, high = np.array([-(2**62), 0]), np.array([0, 2**62])
    return [
        everything(slice(BINS.zero, None)),
        Refine(Tiles(N, 16), BINS, low, high, budget=N * N),
        Probe(samples.n, 8, BINS),
    ]


def contents(evidence: Any) -> list[Any]:
    """Return what an evidence holds, kept pairs in order."""
    if isinstance(evidence, Scanned):
        pairs = sorted(pair for k in evidence.kept or () for pair in np.stack((k.i, k.j, BINS.of(k.value)), 1).tolist())
        return [*contents(evidence.counts), pairs]
    if isinstance(evidence, Refined):
        ladder = [array.tolist() for array in vars(evidence.ladder).values()]
        held = [np.sort(np.concatenate(kind)).tolist() for kind in zip(*evidence.held or (), strict=True)]
        return [*contents(evidence.counts), *ladder, *held]
    return [evidence.impostor.tolist(), evidence.genuine.tolist()]


@pytest.mark.parametrize("which", [0, 1, 2])
def test_parts_may_be_done_in_any_order_and_anywhere(samples: Samples, which: int) -> None:
    """Work, samples and evidence travel by pickle; the total is the same in every order."""
    work = works(samples)[which]
    expected = contents(total(work, samples))
    assert any(expected)
    away, there = pickle.loads(pickle.dumps((work, samples)))  # noqa: S301 - our own bytes
    for array in (there.rows, there.order, there.norms, there.unit, there.labels, there.groups):
        array.setflags(write=False)
    for order in range(3):
        assert contents(pickle.loads(pickle.dumps(total(away, there, order)))) == expected  # noqa: S301 - likewise


@pytest.mark.parametrize("at_once", [2**18, 5])
@pytest.mark.parametrize("tile", [2, 16])
def test_refining_counts_every_pair_of_its_interval(
    monkeypatch: pytest.MonkeyPatch, samples: Samples, oracle: Any, tile: int, at_once: int
) -> None:
    """On the ladder, above it, or in bins that lie beyond: each pair once, with the extreme keys of each step.

    Scored one by one, or many of a tile together, some at a time; and held, as long as they are within the budget.
    """
    monkeypatch.setattr(refine, "_AT_ONCE", at_once)
    truth = oracle(samples.rows[samples.order], samples.labels)
    ordered = np.sort(truth.scores)
    low, high = ordered[2000], ordered[3200]
    keys = np.array([low, high]).view(np.int64)
    assert (keys > 0).all()
    work = Refine(Tiles(N, tile), BINS, keys[:1], keys[1:], budget=1201)
    evidence: Refined = total(work, samples)
    assert evidence.held is not None
    for kind, same in zip(zip(*evidence.held, strict=True), (False, True), strict=True):
        held = np.sort(np.concatenate(kind))
        assert held.tolist() == ordered_of(truth.scores[truth.same == same], low, high)
    assert total(dataclasses.replace(work, budget=1200), samples).held is None
    ladder = evidence.ladder
    inside = (truth.scores >= low) & (truth.scores <= high)
    assert ladder.impostor.sum() == (inside & ~truth.same).sum() > 0
    assert ladder.genuine.sum() == (inside & truth.same).sum() > 0
    beyond = evidence.counts.all[work.window(0)[1] + 1 :].sum()
    assert beyond + ladder.impostor_above.sum() + ladder.genuine_above.sum() == (truth.scores > high).sum()
    steps = (truth.scores[inside].view(np.int64) - keys[0]) >> work.shift[0]
    for step in np.unique(steps):
        within = truth.scores[inside][steps == step].view(np.int64)
        assert (ladder.least[0, step], ladder.greatest[0, step]) == (within.min(), within.max())


def ordered_of(scores: NDArray[np.float64], low: float, high: float) -> list[float]:
    """Return the scores of an interval, ascending."""
    return np.sort(scores[(scores >= low) & (scores <= high)]).tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("width", [0, 1, 2**14 - 1, 2**14, 2**14 + 1, 2**40, 2**62 + 2**61])
def test_an_interval_fits_its_steps(width: int) -> None:
    """The last key of an interval lies on the last step or before, and steps are no wider than needed."""
    work = Refine(Tiles(2, 1), BINS, np.array([-5]), np.array([width - 5]))
    assert width >> int(work.shift[0]) < 2**14
    assert work.shift[0] == 0 or width >> int(work.shift[0]) >= 2**13


def test_evidence_does_not_grow_with_the_pairs() -> None:
    """Sixteen times the pairs, the same bytes, though every pair is near every operating point."""

    def size(n: int) -> list[int]:
        samples = prepare(np.ones((n, 4), np.float32), np.arange(n) // 2)
        bins, tiles = Bins(4), Tiles(n, 64)
        flags = np.ones((2, bins.count), np.uint8)
        scanned = Scan(tiles, bins, flags, budget=1000).run(samples, range(tiles.count))
        work = Refine(tiles, bins, np.array([0]), np.array([2**62]), budget=1000)
        refined = work.run(samples, range(tiles.count))
        assert refined.held is None
        assert scanned.counts.all.sum() == refined.ladder.impostor.sum() + refined.ladder.genuine.sum() > 1000
        return [len(pickle.dumps(scanned)), len(pickle.dumps(refined))]

    small, large = size(100), size(400)
    assert small == large
    assert max(large) < 2_500_000


def test_the_guess_holds_the_operating_points(samples: Samples) -> None:
    """From all pairs as the sample, the flagged bins are those around the wanted ranks; the share is kept to."""
    counts = total(everything(slice(0)), samples).counts
    n_impostor = int(counts.impostor.sum())
    from_top = np.cumsum(counts.impostor[::-1])
    for allowed in (0, 5, 100, n_impostor // 2, n_impostor - 1):
        flags = guess(BINS, counts, (allowed,), n_impostor, most=1e9)
        wanted = BINS.count - 1 - int(np.searchsorted(from_top, allowed + 1))
        assert flags[wanted - BINS.reach : wanted + BINS.reach + 1].all()
        for most in (0, 10, 200):
            assert counts.all[guess(BINS, counts, (allowed,), n_impostor, most) == 1].sum() <= most + counts.all.max()
    assert guess(BINS, counts, (n_impostor,), n_impostor, most=1e9)[: np.flatnonzero(counts.all)[0] + 1].all()


def test_the_guess_gives_more_to_the_rank_among_many_pairs() -> None:
    """Where bins of a high FPR hold more than an equal share of what is kept, and the others need less than theirs."""
    density = np.exp(-0.5 * (np.arange(BINS.count) / BINS.count * 16 - 8) ** 2) * 1e6
    counts = Counts(density.astype(np.int64), np.zeros(BINS.count, np.int64))
    n_impostor = int(counts.impostor.sum())
    allowed = tuple(n_impostor // 10**place for place in range(1, 6))
    decided = BINS.count - 1 - int(np.searchsorted(np.cumsum(counts.impostor[::-1]), allowed[0] + 1))
    around = slice(decided - BINS.reach, decided + BINS.reach + 1)
    most = 3.5 * int(counts.all[around].sum())
    flags = guess(BINS, counts, allowed, n_impostor, most)
    assert flags[around].all()
    assert counts.all[flags == 1].sum() <= most
    assert counts.all[around].sum() > most / len(allowed)


@pytest.mark.parametrize("n_groups", [0, 20])
@pytest.mark.parametrize("flagged", [False, True])
def test_a_bin_may_hold_more_pairs_than_its_counter(n_groups: int, flagged: bool) -> None:
    """Counters of 15 bits are carried from: with nearly all pairs in two bins, in one part, none is lost."""
    n = 1100
    rng = np.random.default_rng(0)
    rows, labels = np.eye(D, dtype=np.float32)[rng.integers(0, 2, n)], rng.integers(0, 25, n)
    samples = prepare(rows, labels, n_groups=n_groups)
    flags = np.full((2, BINS.count), flagged, np.uint8)
    scanned = Scan(samples.tiles(800), BINS, flags, n * n, n_groups).run(samples, range(samples.tiles(800).count))
    i, j = np.triu_indices(n, 1)
    bins, genuine = BINS.of((samples.rows[i] * samples.rows[j]).sum(axis=1)), labels[i] == labels[j]
    for found, kind in ((scanned.counts.impostor, ~genuine), (scanned.counts.genuine, genuine)):
        np.testing.assert_array_equal(found, np.bincount(bins[kind], minlength=BINS.count))
    assert scanned.counts.impostor.max() > 8 * 2**15
    assert scanned.kept is not None
    assert sum(len(kept.i) for kept in scanned.kept) == flagged * samples.n_pairs
    if n_groups:
        assert scanned.groups is not None
        of_row = np.empty(n, np.int64)
        of_row[samples.order] = samples.groups
        touched = [int(((of_row[i] == g) | (of_row[j] == g)).sum()) for g in range(n_groups)]
        assert (scanned.groups.impostor + scanned.groups.genuine).sum(axis=1).tolist() == touched


def test_what_was_carried_is_counted_where_nothing_else_is() -> None:
    """As many pairs of a score as a counter carries, and none after them."""
    rows = np.eye(D, dtype=np.float32)[[0] * 2048 + [1] * 8]
    samples = prepare(rows, np.arange(len(rows)))
    tiles = samples.tiles(1100)
    scanned = Scan(tiles, BINS, np.zeros((2, BINS.count), np.uint8), 0).run(samples, range(tiles.count))
    assert scanned.counts.impostor[BINS.zero] == 2**14
