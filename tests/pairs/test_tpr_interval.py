"""Intervals of the TPR where the threshold is uncertain."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from evaljobs.pairs.count import Counts, Groups
from evaljobs.pairs.intervals import half_width, interval
from evaljobs.pairs.points import Flag, Point
from evaljobs.pairs.replicates import replicate
from evaljobs.pairs.tpr_interval import Rates, tpr_interval

Float = NDArray[np.float64]
Int = NDArray[np.int64]

BINS = 24


def logit(share: float) -> float:
    if share in (0, 1):
        return math.inf if share else -math.inf
    return math.log(share) - math.log1p(-share)


def logistic(x: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-np.asarray(x)))


def moved(without: Sequence[float], share: float) -> list[float]:
    """Return how far logits are from that of all samples: at most 1."""
    far = [logit(a) - logit(share) for a in without]
    return [0.0 if math.isnan(x) else min(1.0, max(-1.0, x)) for x in far]


def width_by_hand(d: Sequence[float], *, heavy: bool) -> float:
    """Write the formula down, power by power; for heavy tails with fewer degrees of freedom."""
    if len(set(d)) == 1:
        return 0.0
    groups, mean = len(d), sum(d) / len(d)
    second, fourth = (sum((x - mean) ** power for x in d) for power in (2, 4))
    freedom = (groups - 1) * min(1.0, 2 / max(1e-9, groups * fourth / second**2 - 1)) if heavy else groups - 1
    return float(scipy.stats.t.ppf(0.975, freedom)) * math.sqrt((groups - 1) / groups * second)


class Pairs:
    """Scores of pairs, and the groups that each touches; everything is counted anew where it is asked for."""

    def __init__(self, seed: int, groups: int, sparse: int) -> None:
        rng = np.random.default_rng(seed)
        n = int(rng.integers(12, 30))
        self.groups = groups
        self.i, self.j = (x // sparse * sparse for x in np.triu_indices(n, 1))
        labels = rng.integers(0, 4, n)
        self.same = labels[self.i] == labels[self.j]
        hard = rng.standard_normal(n)
        means = np.where(self.same, 15, 8) + 2 * (hard[self.i] + hard[self.j])
        self.bin = np.clip(np.round(rng.normal(means, 3)), 0, BINS - 1).astype(np.int64)
        self.of = rng.integers(0, groups, n)

    def touches(self, group: int) -> NDArray[np.bool_]:
        return (self.of[self.i] == group) | (self.of[self.j] == group)

    def counted(self) -> tuple[Counts, Groups]:
        """Return the pairs by bin; those that touch a group in bins twice as wide."""
        kinds = [~self.same, self.same]
        every = [np.bincount(self.bin[kind], minlength=BINS) for kind in kinds]
        touched = [
            np.stack([np.bincount(self.bin[k & self.touches(g)] // 2, minlength=BINS // 2) for g in range(self.groups)])
            for k in kinds
        ]
        return Counts(*every), Groups(*touched)

    def rates(self, edge: int, group: int | None) -> tuple[float, float]:
        """Return FPR and TPR without a group where the pairs of so many top bins are accepted."""
        left = np.ones(len(self.bin), np.bool_) if group is None else ~self.touches(group)
        accepted = self.bin // 2 >= BINS // 2 - edge
        fpr, tpr = (float((accepted & left & kind).sum() / (left & kind).sum()) for kind in (~self.same, self.same))
        return fpr, tpr

    def at(self, place: float) -> tuple[list[float], list[float]]:
        """Return FPR and TPR at a place between edges: without each group, and at last of all."""
        below, share = math.floor(place), place - math.floor(place)
        found: tuple[list[float], list[float]] = ([], [])
        for group in (*range(self.groups), None):
            a, b = self.rates(below, group), self.rates(min(below + 1, BINS // 2), group)
            for kind in range(2):
                found[kind].append((1 - share) * a[kind] + share * b[kind])
        return found

    def place(self, target: float) -> float:
        """Return where the threshold is, pairs being evenly spread within a bin."""
        n = int((~self.same).sum())
        allowed = math.floor(target * n)
        edge = max(e for e in range(BINS // 2 + 1) if round(self.rates(e, None)[0] * n) <= allowed)
        above, within = (round(self.rates(e, None)[0] * n) for e in (edge, edge + 1))
        return edge + (allowed + 1 - above) / (within - above + 1)

    def interval(self, target: float, tpr: float) -> tuple[float, float]:
        """Walk from threshold to threshold as long as the FPR there may be the target."""
        place = self.place(target)
        false, true = self.at(place)

        def beyond(fpr: list[float], step: int) -> float:
            return step * (logit(fpr[-1]) - logit(target)) - width_by_hand(moved(fpr[:-1], fpr[-1]), heavy=False)

        def end(step: int) -> float:
            last, last_beyond = true[-1], min(0.0, beyond(false, step))
            edge = math.floor(place) + (step > 0)
            while 0 <= edge <= BINS // 2:
                fpr, rates = self.at(edge)
                further = beyond(fpr, step)
                if further > 0:
                    known = math.isfinite(further) and math.isfinite(last_beyond)
                    share = last_beyond / (last_beyond - further) if known else 1
                    return last + share * (rates[-1] - last)
                last, last_beyond, edge = rates[-1], further, edge + step
            return last

        x, y = moved(false[:-1], false[-1]), moved(true[:-1], true[-1])
        together = 0.0 if len(set(x)) == 1 or len(set(y)) == 1 else float(np.corrcoef(x, y)[0, 1])
        half, ends = width_by_hand(y, heavy=True), []
        for step in (-1, 1):
            reach = max(0.0, step * (logit(end(step)) - logit(tpr)))
            arm = math.sqrt(max(0, reach**2 + half**2 - 2 * together * reach * half)) if reach < math.inf else reach
            ends.append(float(logistic(logit(tpr) + step * arm)))
        return ends[0], ends[1]


def to_point(target: float, tpr: float | None, flags: tuple[Flag, ...] = ()) -> Point:
    return Point(target, 0, None, tpr, None, None, None, None, flags)


@pytest.mark.parametrize("groups", [2, 5])
@pytest.mark.parametrize("sparse", [1, 3])
def test_intervals_are_those_of_a_walk_over_thresholds(groups: int, sparse: int) -> None:
    """From counts to intervals, as by counting pairs anew at each threshold without each group."""
    compared = 0
    for seed in range(10):
        pairs = Pairs(seed, groups, sparse)
        if any(((~pairs.touches(g)) & kind).sum() == 0 for g in range(groups) for kind in (pairs.same, ~pairs.same)):
            continue
        for target in (0.01, 0.05, 0.2, 0.6):
            tpr = pairs.at(pairs.place(target))[1][-1]
            found = replicate(*pairs.counted(), (to_point(target, tpr),), 2)
            if found.tpr_cis[0] is None:
                assert interval(tpr, found.tpr[0]) is None
            elif 0 < tpr < 1:
                assert found.tpr_cis[0] == pytest.approx(pairs.interval(target, tpr), rel=1e-9, abs=1e-12)
                compared += 1
    assert compared >= 15


def straight(false: Float, true: Float) -> Rates:
    """Return rates whose logits change evenly with the threshold, those of FPR four times as fast; moved in groups."""
    logits = np.linspace(-16, 4, 2001)
    moves = (np.append(x, 0)[:, None] for x in (false, true))
    fpr, tpr = (logistic(line + move) for line, move in zip((logits, logits / 4 + 2), moves, strict=True))
    return Rates(fpr, tpr)


def test_on_a_straight_curve_it_is_the_interval_of_the_replicates() -> None:
    """Logits of FPR and TPR on a line, and all replicates beside it: then testing thresholds changes nothing."""
    for phase in np.linspace(0, 2 * math.pi, 7):  # of waves, whose sums have no heavy tails: G - 1 degrees of freedom
        waves = 2 * math.pi * np.arange(20) / 20
        false, true = 0.6 * np.sin(waves), 0.2 * np.sin(waves + phase)
        target = float(logistic(-7.0))
        tpr = float(logistic(-7 / 4 + 2))
        own = logistic(-7 / 4 + 2 + true - false / 4)  # at the threshold that each replicate finds
        found = tpr_interval(straight(false, true), 900, target, tpr, own.tolist())
        assert found == pytest.approx(interval(tpr, own.tolist()), abs=1e-5)


def test_a_certain_threshold_leaves_the_tpr_at_it() -> None:
    """Where no group moves the FPR, the interval is that of the TPR at this threshold."""
    true = np.linspace(-0.3, 0.3, 20)
    rates = straight(np.zeros(20), true)
    tpr, target = float(rates.tpr[-1, 900]), float(rates.fpr[-1, 900])
    own = rates.tpr[:-1, 900].tolist()
    assert tpr_interval(rates, 900, target, tpr, own) == pytest.approx(interval(tpr, own), rel=1e-9)


def test_a_certain_curve_leaves_the_range_of_thresholds() -> None:
    """Where TPR is known at each threshold, the ends are the TPR where the FPR is just compatible with the target."""
    false = np.linspace(-0.5, 0.5, 20)
    rates = straight(false, np.zeros(20))
    target = float(rates.fpr[-1, 900])
    found = tpr_interval(rates, 900, target, float(rates.tpr[-1, 900]), logistic(0.25 - false / 4).tolist())
    half = half_width(false)
    assert half is not None
    assert found == pytest.approx(tuple(logistic((-7 + s * half) / 4 + 2) for s in (-1, 1)), abs=1e-6)


def test_rarer_false_accepts_make_the_lower_arm_longer() -> None:
    """Few false accepts, of few groups: those at the next thresholds are fewer still, and tell even less."""
    rng = np.random.default_rng(1)
    longer = 0
    for _ in range(30):
        touched = rng.poisson(rng.gamma(0.5, 2, 20)[:, None] * np.diff(np.exp(np.linspace(-4, 6, 201))))
        genuine = np.tile(np.diff(logistic(np.linspace(-4, 6, 201) / 2)) * 1e5, (20, 1)).astype(np.int64)
        every = Counts(touched.sum(0)[::-1], genuine.sum(0)[::-1])
        target = float(40.5 / every.impostor.sum())
        edge = int(np.searchsorted(np.cumsum(every.impostor[::-1]), 40))
        tpr = float(genuine[0, :edge].sum() / genuine[0].sum())
        found = replicate(every, Groups(touched[:, ::-1], genuine[:, ::-1]), (to_point(target, tpr),), 1).tpr_cis[0]
        assert found is not None
        longer += logit(tpr) - logit(found[0]) > logit(found[1]) - logit(tpr)
    assert longer >= 15


def counted_clusters(rng: np.random.Generator) -> tuple[Counts, Groups, float]:
    """Draw false accepts of clusters, most of few, in bins; and genuine pairs whose TPR at each edge is known."""
    edges = np.linspace(-3, 9, 481)  # logarithms of the expected false accepts
    weights = np.exp(1.3 * rng.standard_normal((20, 10)) - 1.3**2 / 2).sum(1) / 200  # mean 1 over all
    touched = rng.poisson(weights[:, None] * np.diff(np.exp(edges)))
    genuine = np.tile((np.diff(logistic(edges / 2 - 2)) * 1e6).astype(np.int64), (20, 1))
    every = Counts(touched.sum(0)[::-1], genuine.sum(0)[::-1])
    return every, Groups(touched[:, ::-1].copy(), genuine[:, ::-1].copy()), float(np.exp(edges[-1]) - np.exp(edges[0]))


def test_it_holds_the_truth_in_95_of_100_where_the_threshold_is_uncertain() -> None:
    """Forty false accepts, worth fewer: near 95%, which the replicates alone do not reach."""
    rng = np.random.default_rng(2)
    held, alone, repetitions = 0, 0, 400
    for _ in range(repetitions):
        every, groups, expected = counted_clusters(rng)
        target = 40 / expected
        cumulated = np.cumsum(every.impostor[::-1])
        edge = int(np.searchsorted(cumulated, target * cumulated[-1]))
        genuines = np.cumsum(every.genuine[::-1])
        truth = float(np.interp(math.log(40 + math.exp(-3)), np.linspace(-3, 9, 481)[1:], genuines / genuines[-1]))
        tpr = float(genuines[edge] / genuines[-1])
        found = replicate(every, groups, (to_point(target, tpr),), 1)
        ends, simple = found.tpr_cis[0], interval(tpr, found.tpr[0])
        assert ends is not None
        assert simple is not None
        held += ends[0] <= truth <= ends[1]
        alone += simple[0] <= truth <= simple[1]
    assert 0.92 <= held / repetitions <= 0.98
    assert alone < held - 0.02 * repetitions


counts = st.lists(st.integers(0, 6), min_size=4, max_size=4)


@given(
    st.integers(2, 6).flatmap(lambda g: st.lists(st.tuples(counts, counts), min_size=g, max_size=g)),
    st.sampled_from([1e-5, 0.1, 0.29, 0.5, 0.99, 1.0]),
    st.booleans(),
)
def test_ends_are_shares_around_the_tpr(drawn: list[tuple[list[int], list[int]]], target: float, tied: bool) -> None:
    """Whatever the counts: ends in order, in [0, 1], around the TPR; none where the replicates have none."""
    touched = [np.array(kind, np.int64) for kind in zip(*drawn, strict=True)]
    every = Counts(*(kind.sum(0) + 1 for kind in touched))
    point = to_point(target, None, (Flag.TIED,) if tied else ())
    accepted = np.cumsum(every.genuine[::-1])
    for tpr in {0.0, *(accepted / accepted[-1]).tolist()}:
        found = replicate(every, Groups(*touched), (to_point(target, tpr, point.flags),), 1)
        ends = found.tpr_cis[0]
        assert (ends is None) == (interval(tpr, found.tpr[0]) is None)
        if ends is not None:
            assert 0 <= ends[0] <= tpr * (1 + 1e-12)
            assert tpr * (1 - 1e-12) <= ends[1] <= 1
    assert replicate(every, Groups(*touched), (point,), 1).tpr_cis == (None,)
