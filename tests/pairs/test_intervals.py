"""Intervals from replicates, and the groups that are left out."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from evaljobs.pairs.intervals import (
    Difference,
    Ends,
    auroc_ends,
    difference,
    even_ends,
    group_of_labels,
    group_of_samples,
    half_width,
    interval,
)

# Shares of pairs: none, or at least one of a billion billions.
shares = st.just(0.0) | st.floats(1e-18, 1)
several_shares = st.lists(shares, min_size=2, max_size=25)


def leave_one_out(values: Sequence[float]) -> list[float]:
    return [(sum(values) - value) / (len(values) - 1) for value in values]


def width_by_hand(replicates: Sequence[float]) -> float:
    """Write the formula down, power by power."""
    groups = len(replicates)
    mean = sum(replicates) / groups
    second = sum((r - mean) ** 2 for r in replicates)
    fourth = sum((r - mean) ** 4 for r in replicates)
    kurtosis = groups * fourth / second**2
    freedom = groups - 1 if kurtosis <= 3 else 2 * (groups - 1) / (kurtosis - 1)
    return float(scipy.stats.t.ppf(0.975, freedom)) * math.sqrt((groups - 1) / groups * second)


def logit(share: float) -> float:
    return math.log(share / (1 - share))


def test_a_mean_gets_the_textbook_interval() -> None:
    """The jackknife of a mean is Student's interval: mean +- t s / sqrt(G), where no group stands out."""
    values = [0.31, 0.42, 0.55, 0.38, 0.47, 0.61, 0.36, 0.52]
    mean, found = float(np.mean(values)), half_width(np.array(leave_one_out(values)))
    low, high = scipy.stats.t.interval(0.95, len(values) - 1, mean, scipy.stats.sem(values))
    assert found == pytest.approx((high - low) / 2, rel=1e-12)
    assert found == pytest.approx(mean - low, rel=1e-12)


@given(
    st.lists(st.integers(-1000, 1000), min_size=2, max_size=30).filter(lambda x: len(set(x)) > 1), st.integers(-9, 9)
)
def test_half_width_is_the_formula_at_any_scale(values: list[int], exponent: int) -> None:
    """Neither tiny nor huge deviations lose the interval."""
    found = half_width(np.array(values) * 10.0 ** (10 * exponent))
    assert found == pytest.approx(width_by_hand(values) * 10.0 ** (10 * exponent), rel=1e-9)


def test_a_dominating_group_costs_degrees_of_freedom() -> None:
    """Where one group makes all the variance, the interval says how little a single group tells."""
    alone = half_width(np.array([1.0] + [0.0] * 19))
    spread = half_width(np.array([1.0, -1.0] * 10) / math.sqrt(20))
    assert alone is not None
    assert spread is not None
    assert alone > 1.5 * spread


@pytest.mark.parametrize("estimate", [0.3, 0.5, 0.953])
def test_interval_of_a_share_is_symmetric_in_its_logit(estimate: float) -> None:
    """Near 0 and 1 the interval leans inwards; its logits are those of the formula."""
    replicates = [estimate + 0.01 * step for step in (-2, -1, 0, 0.5, 1, 1.5, -1.5, 2)]
    found = interval(estimate, replicates)
    assert found is not None
    half = width_by_hand([logit(r) for r in replicates])
    assert [logit(end) for end in found] == pytest.approx([logit(estimate) - half, logit(estimate) + half], rel=1e-9)


@pytest.mark.parametrize("end", [0.0, 1.0])
def test_a_group_that_makes_all_errors_is_bounded(end: float) -> None:
    """Without it the share is 0 or 1, infinitely far in logits: it counts as a factor e of the odds."""
    estimate = abs(end - 0.001)
    found = interval(estimate, [end] + [estimate] * 19)
    assert found is not None
    half = width_by_hand([logit(estimate) + (1 if end else -1)] + [logit(estimate)] * 19)
    assert [logit(x) for x in found] == pytest.approx([logit(estimate) - half, logit(estimate) + half], rel=1e-6)


@given(shares, several_shares, st.sampled_from([even_ends, auroc_ends]))
def test_interval_holds_the_estimate_and_is_a_share(estimate: float, replicates: list[float], ends: Ends) -> None:
    """Whatever the replicates, the ends are in order, in [0, 1], with the estimate between them."""
    found = interval(estimate, replicates, ends)
    if found is None:
        centre = [logit(min(max(r, 1e-300), 1 - 1e-16)) for r in (estimate, *replicates)]
        assert len(set(replicates)) == 1 or min(abs(c - centre[0]) for c in centre[1:]) >= 1
    else:
        low, high = found
        assert 0 <= low <= high <= 1
        assert low <= estimate * (1 + 1e-12)
        assert estimate * (1 - 1e-12) <= high


@given(st.floats(0.01, 0.99), st.lists(st.floats(0.01, 0.99), min_size=2, max_size=25))
def test_interval_of_errors_mirrors_that_of_successes(estimate: float, replicates: list[float]) -> None:
    """1 - TPR is as certain as TPR."""
    found, mirrored = interval(estimate, replicates), interval(1 - estimate, [1 - r for r in replicates])
    if found is not None and mirrored is not None:
        assert mirrored == pytest.approx((1 - found[1], 1 - found[0]), abs=1e-6)


def test_a_perfect_share_has_an_interval_where_replicates_vary() -> None:
    """At 1 there is no logit: the interval is linear, and cut off."""
    replicates = [1.0] * 18 + [0.99, 0.98]
    assert interval(1.0, replicates) == (pytest.approx(1 - width_by_hand(replicates)), 1.0)
    assert interval(0.0, [1 - r for r in replicates]) == (0.0, pytest.approx(width_by_hand(replicates)))


@pytest.mark.parametrize(
    ("estimate", "replicates"),
    [(None, [0.1, 0.2]), (0.5, [0.1, None, 0.3]), (0.5, []), (0.5, [0.4]), (0.5, [0.4] * 20), (1.0, [1.0] * 20)],
)
def test_no_interval_where_nothing_can_be_said(estimate: float | None, replicates: list[float | None]) -> None:
    """Undefined, too few, or without variation: null rather than an interval of no width."""
    assert interval(estimate, replicates) is None


def difference_by_hand(a: float, b: float, of_a: Sequence[float], of_b: Sequence[float]) -> tuple[float, float]:
    """Write level and distance of the logits down, and move either to its ends."""
    moves = [[min(1, max(-1, logit(r) - logit(p))) for r in of_p] for p, of_p in ((a, of_a), (b, of_b))]
    levels, apart = (
        [scale * (x + sign * y) for x, y in zip(*moves, strict=True)] for scale, sign in ((0.5, 1), (1, -1))
    )
    level, distance = (logit(a) + logit(b)) / 2, logit(a) - logit(b)
    together = float(np.corrcoef(levels, apart)[0, 1])
    ends = []
    for way in (-1, 1):
        at = [share_difference(level + side * width_by_hand(levels), distance) - (a - b) for side in (-1, 1)]
        x = max(0.0, *(way * move for move in at))
        y = way * (share_difference(level, distance + way * width_by_hand(apart)) - (a - b))
        rises = 1 if way * at[1] > way * at[0] else -1  # whether the level rises on this way
        ends.append(a - b + way * math.sqrt(x**2 + y**2 + 2 * together * rises * way * x * y))
    return ends[0], ends[1]


def share_difference(level: float, distance: float) -> float:
    high, low = (1 / (1 + math.exp(-level - side * distance / 2)) for side in (1, -1))
    return high - low


def test_difference_is_that_of_paired_replicates() -> None:
    """What both models share cancels out: the interval is far narrower than each model's own."""
    common = [0.02 * math.sin(group) for group in range(20)]
    own = [0.001 * math.cos(5 * group) for group in range(20)]
    of_a, of_b = [0.8 + c + o for c, o in zip(common, own, strict=True)], [0.7 + c for c in common]
    found = difference(0.8, 0.7, of_a, of_b)
    assert found is not None
    assert found.value == pytest.approx(0.1)
    assert (found.low, found.high) == pytest.approx(difference_by_hand(0.8, 0.7, of_a, of_b))
    assert found.high - found.low < 0.04
    assert found.zero_inside is False


@given(st.lists(st.lists(st.floats(0.001, 0.999), min_size=4, max_size=25), min_size=2, max_size=2))
def test_difference_is_put_together_from_level_and_distance(replicates: list[list[float]]) -> None:
    """Both ends, for any two models, against the formula written down step by step."""
    groups = min(map(len, replicates))
    (a, *of_a), (b, *of_b) = (row[:groups] for row in replicates)
    moves = [[logit(r) - logit(p) for r in of_p] for p, of_p in ((a, of_a), (b, of_b))]
    if min(float(np.ptp(np.clip(x, -1, 1) + sign * np.clip(y, -1, 1))) for x, y in [moves] for sign in (-1, 1)) < 1e-6:
        return  # a correlation with what does not vary, which np.corrcoef does not know
    found = difference(a, b, of_a, of_b)
    assert found is not None
    assert found.low is not None
    low, high = (min(1.0, max(-1.0, end)) for end in difference_by_hand(a, b, of_a, of_b))
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-6, abs=1e-9)


def test_difference_of_little_moved_shares_is_linear() -> None:
    """Where groups hardly matter, all scales are the same: it is the textbook's paired interval."""
    waves = 2 * math.pi * np.arange(20) / 20  # whose sums have no heavy tails: all degrees of freedom are G - 1
    for phase in np.linspace(0, 2 * math.pi, 7):
        of_a, of_b = 0.9 + 1e-5 * np.sin(waves), 0.7 + 2e-5 * np.sin(waves + phase)
        found, half = difference(0.9, 0.7, of_a.tolist(), of_b.tolist()), width_by_hand((of_a - of_b).tolist())
        assert found is not None
        assert (found.low, found.high) == pytest.approx((0.2 - half, 0.2 + half), abs=1e-3 * half)


def test_difference_at_the_end_of_the_scale_is_linear() -> None:
    """A share of 1 has no logit: the interval is that of the differences of the replicates, cut off."""
    of_a, of_b = [1.0] * 18 + [0.99, 0.98], [0.9 + 0.001 * math.sin(group) for group in range(20)]
    half = width_by_hand([a - b for a, b in zip(of_a, of_b, strict=True)])
    assert difference(1.0, 0.9, of_a, of_b) == Difference(
        pytest.approx(0.1), pytest.approx(0.1 - half), pytest.approx(0.1 + half)
    )


def test_differences_hold_the_truth_where_few_identities_decide() -> None:
    """One model makes two thirds of the other's errors, most on few identities: near 95%, and no fewer are real."""
    rng = np.random.default_rng(3)
    repetitions, identities, pairs, groups = 1000, 60, 100, 20
    truth = float(chances(rng, 10**6).mean()) / 3
    held, held_linear, real, real_linear = 0, 0, 0, 0
    for _ in range(repetitions):
        hard = chances(rng, identities)
        errors = [rng.binomial(pairs, part * hard).reshape(groups, -1).sum(1) for part in (2 / 3, 1)]
        a, b = (1 - float(e.sum()) / (identities * pairs) for e in errors)
        of_a, of_b = (1 - (e.sum() - e) / (identities * pairs - identities * pairs // groups) for e in errors)
        found, half = difference(a, b, of_a.tolist(), of_b.tolist()), half_width(of_a - of_b)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        assert half is not None
        held += found.low <= truth <= found.high
        held_linear += abs(a - b - truth) <= half
        real += found.low > 0
        real_linear += a - b > half
    assert 0.92 <= held / repetitions <= 0.98
    assert held > held_linear
    assert real > real_linear


def chances(rng: np.random.Generator, identities: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Draw how often a model errs on each identity: 2%, most of them hardly ever."""
    return np.minimum(rng.lognormal(math.log(0.02) - 1.5**2 / 2, 1.5, identities), 0.9)


@given(st.integers(2, 25).flatmap(lambda n: st.lists(st.lists(shares, min_size=n, max_size=n), min_size=2, max_size=2)))
def test_difference_changes_its_sign_with_the_order(replicates: list[list[float]]) -> None:
    """Which model is named first does not change what is found; and it stays within -1 and 1."""
    (of_a, of_b), (a, b) = replicates, (row[0] for row in replicates)
    found, other = difference(a, b, of_a, of_b), difference(b, a, of_b, of_a)
    assert found is not None
    assert other is not None
    assert found.value == -other.value
    assert found.zero_inside == other.zero_inside
    if found.low is not None and found.high is not None:
        assert (other.low, other.high) == (-found.high, -found.low)
        assert -1 <= found.low <= found.value <= found.high <= 1


def test_a_model_and_itself_differ_by_nothing_without_interval() -> None:
    """No replicate of the difference varies, so there is a value and no interval."""
    same = [0.5, 0.6, 0.7]
    assert difference(0.6, 0.6, same, same) == Difference(0.0, None, None)
    assert Difference(0.0, None, None).zero_inside is None


@pytest.mark.parametrize(
    ("a", "b", "of_a", "of_b"),
    [
        (None, 0.5, [0.1, 0.2], [0.1, 0.3]),
        (0.5, None, [0.1, 0.2], [0.1, 0.3]),
        (0.5, 0.5, [0.1, 0.2], [0.1, 0.2, 0.3]),
        (0.5, 0.5, [0.1, None], [0.1, 0.2]),
        (0.5, 0.5, [0.1], [0.2]),
    ],
)
def test_no_difference_of_what_does_not_match(
    a: float | None, b: float | None, of_a: list[float | None], of_b: list[float | None]
) -> None:
    """Replicates that miss, or are not of the same groups, are not compared."""
    assert difference(a, b, of_a, of_b) is None


def test_zero_at_an_end_is_inside() -> None:
    """An interval that touches zero does not rule it out."""
    assert Difference(0.1, 0.0, 0.2).zero_inside is True
    assert Difference(0.1, 0.01, 0.2).zero_inside is False
    assert Difference(-0.1, -0.2, -0.01).zero_inside is False


def test_intervals_hold_the_truth_in_95_of_100() -> None:
    """Coverage where pairs are clustered, in identities of different difficulty: near 95%, as pair-level is not."""
    rng = np.random.default_rng(0)
    repetitions, identities, pairs, groups = 1000, 100, 30, 20
    chances = rng.beta(4, 1, (repetitions, identities))  # mean 0.8
    accepted = rng.binomial(pairs, chances).reshape(repetitions, groups, -1).sum(2)
    whole = accepted.sum(1) / (identities * pairs)
    without = (accepted.sum(1, keepdims=True) - accepted) / ((identities - identities // groups) * pairs)
    held = [interval(p, r) for p, r in zip(whole.tolist(), without.tolist(), strict=True)]
    covered = np.mean([found is not None and found[0] <= 0.8 <= found[1] for found in held])
    by_pairs = np.mean(abs(whole - 0.8) <= 1.96 * np.sqrt(whole * (1 - whole) / (identities * pairs)))
    assert 0.93 <= covered <= 0.97
    assert by_pairs < 0.8


def group_by_hand(labels: Sequence[str | int], groups: int) -> dict[str | int, int]:
    """Sort labels by the hash of a text that tells their type, and deal them in turn."""

    def key(label: str | int) -> str:
        text = "s" + label if isinstance(label, str) else "i" + str(label)
        return hashlib.sha256(text.encode()).hexdigest()

    return {label: place % groups for place, label in enumerate(sorted(labels, key=key))}


labels_of_a_kind = st.one_of(
    st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=40, unique=True),
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=40, unique=True),
)


@given(labels_of_a_kind, st.integers(1, 25), st.randoms())
def test_groups_of_labels_do_not_depend_on_their_order(labels: list[str | int], groups: int, random: object) -> None:
    """Two runs on the same images leave out the same identities, however they are listed; and groups are balanced."""
    expected = group_by_hand(labels, groups)
    shuffled = sorted(labels, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert dict(zip(labels, group_of_labels(labels, groups).tolist(), strict=True)) == expected
    assert dict(zip(shuffled, group_of_labels(shuffled, groups).tolist(), strict=True)) == expected
    sizes = np.bincount(group_of_labels(labels, groups), minlength=groups)
    assert sizes.max() - sizes.min() <= 1


def test_numbers_and_their_texts_are_different_labels() -> None:
    """The integer 1 and the text "1" are hashed apart, whatever type of integer it is."""
    numbers = list(range(50))
    assert group_of_labels(numbers, 7).tolist() != group_of_labels([str(i) for i in numbers], 7).tolist()
    assert group_of_labels(numbers, 7).tolist() == group_of_labels(list(np.arange(50, dtype=np.uint8)), 7).tolist()


def test_groups_are_the_same_for_ever() -> None:
    """Replicates of old results are compared with new ones: the groups may not change between versions."""
    assert group_of_labels(["anna", "ben", "carl", "dora", "emil", "\udcff.jpg"], 3).tolist() == [0, 0, 1, 2, 1, 2]
    assert group_of_labels([0, 1, 2, 3, 4, 5], 3).tolist() == [2, 2, 1, 1, 0, 0]


def test_labels_whose_hashes_begin_alike_have_one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight equal bytes leave the order to the next eight, not to the order that labels are given in."""
    real = hashlib.sha256

    class Alike:
        def __init__(self, text: bytes) -> None:
            self.text = text

        def digest(self) -> bytes:
            return bytes(8) + real(self.text).digest()[8:]

    monkeypatch.setattr("evaljobs.pairs.intervals.hashlib.sha256", Alike)
    labels = ["anna", "ben", "carl", "dora"]
    expected = dict(zip(labels, group_of_labels(labels, 4).tolist(), strict=True))
    for order in itertools.permutations(labels):
        assert dict(zip(order, group_of_labels(order, 4).tolist(), strict=True)) == expected


@given(st.lists(st.integers(0, 4), min_size=1, max_size=80), st.integers(1, 20))
def test_groups_of_samples_share_out_every_label(codes: list[int], groups: int) -> None:
    """Few labels: each group has its part of each of them, dealt in the order of the labels' hashes."""
    names = ["a", "b", "c", "d", "e"]
    found = group_of_samples(np.array(codes, np.int64), names, groups)
    rank = group_by_hand(names, len(names))
    order = sorted(range(len(codes)), key=lambda row: (rank[names[codes[row]]], row))
    assert found[order].tolist() == [place % groups for place in range(len(codes))]
    counts = np.zeros((len(names), groups), np.int64)
    np.add.at(counts, (codes, found), 1)
    assert int((counts.max(1) - counts.min(1)).max()) <= 1


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.permutations(range(4)))
def test_groups_of_samples_do_not_depend_on_label_numbers(codes: list[int], numbers: list[int]) -> None:
    """How labels are numbered inside is nobody's business."""
    names = ["a", "b", "c", "d"]
    renumbered = [names[numbers.index(code)] for code in range(4)]
    first = group_of_samples(np.array(codes), names, 5)
    second = group_of_samples(np.array([numbers[code] for code in codes]), renumbered, 5)
    assert first.tolist() == second.tolist()
