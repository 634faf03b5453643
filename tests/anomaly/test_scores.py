"""Scores of models that tell rotations apart: the mean probability of a wrong answer, the same bits on any machine."""

from __future__ import annotations

import hashlib
import math
from decimal import Decimal, localcontext

import numpy as np
import pytest

import evaljobs
from evaljobs.anomaly.probability import exponential, wrong_share
from evaljobs.anomaly.rotations import TellingRotations, judge, named_columns, prepare
from evaljobs.classification.measure import Scale
from evaljobs.errors import InputError, NonFiniteError, UsageError

QUARTERS = (0.0, 90.0, 180.0, 270.0)


def logits(n: int = 200, k: int = 4, seed: int = 0) -> np.ndarray:
    """Return class scores of a model that is right more often than not: float32 [k, n, k]."""
    scores = np.random.default_rng(seed).normal(size=(k, n, k)) * 4
    for rotation in range(k):
        scores[rotation, :, rotation] += 6
    return scores.astype(np.float32)


def slow_wrong(row: np.ndarray, right: int) -> Decimal:
    """Return the probability of all other classes by the definition, in 60 digits."""
    with localcontext() as context:
        context.prec = 60
        powers = [Decimal(float(score)).exp() for score in row]
        return sum(power for place, power in enumerate(powers) if place != right) / sum(powers)


def test_the_exponential_is_that_of_the_library_within_two_units() -> None:
    """From 1 down to where float64 ends, subnormal numbers included."""
    rng = np.random.default_rng(0)
    x = np.concatenate([-rng.exponential(20, 50_000), -rng.random(10_000), [0.0, -0.0, -708.5, -745.0, -746.0, -1e9]])
    expected = np.array([math.exp(value) for value in x])
    off = np.abs(exponential(x) - expected) / np.spacing(np.maximum(expected, 2.0**-1074))
    assert off.max() <= 2
    assert (exponential(np.array([-746.0, -math.inf])) == 0).all()


def test_the_bits_are_pinned() -> None:
    """Additions and multiplications in one order: another machine that gives other bits has not computed the same."""
    x = -np.arange(4000) / 8
    assert hashlib.sha256(exponential(x).astype("<f8").tobytes()).hexdigest() == PINNED


PINNED = "97bdd8dc301fdd0f6112d77d71479f0c6402ceb3bbdf26a188c9ec04357c978a"


def test_what_is_next_to_zero_keeps_its_digits() -> None:
    """A model that is sure of all its answers still ranks images: 1 - p would be 0 for many of them."""
    scores = logits() * np.float32(4)
    found = wrong_share(scores[1], 1, Scale.LOGITS)
    exact = [slow_wrong(row, 1) for row in scores[1]]
    off = [abs(Decimal(float(a)) - b) / b for a, b in zip(found, exact, strict=True)]
    assert max(off) < Decimal("2e-15")
    assert found.min() < 1e-16
    assert len(np.unique(found)) == len(found)


def test_the_score_is_the_mean_over_the_rotations() -> None:
    """One less the mean probability of the right answer; of probabilities as of the logits that they are made of."""
    scores = logits()
    found = evaljobs.rotation_anomaly(scores, scores_are="logits")
    slow = [sum(slow_wrong(scores[r, i], r) for r in range(4)) / 4 for i in range(scores.shape[1])]
    np.testing.assert_allclose(found, [float(value) for value in slow], rtol=1e-14)
    shares = np.exp(scores.astype(np.float64))
    shares /= shares.sum(axis=2, keepdims=True)
    of_shares = evaljobs.rotation_anomaly(shares, scores_are="probabilities")
    np.testing.assert_allclose(of_shares, found, rtol=1e-3, atol=1e-6)
    assert evaljobs.rotation_anomaly(np.zeros((3, 5, 3)), scores_are="logits").tolist() == [2 / 3] * 5


def test_parts_add_up_to_the_whole() -> None:
    """Cut anyhow, in any order: the same bytes."""
    samples = prepare(list(logits()), "logits", range(4), told=True)
    whole = judge(samples, range(200))
    work = TellingRotations(200)
    assert [len(part) for part in work.parts(3)] == [66, 66, 66, 2]
    total = work.run(samples, range(150, 200))
    total = work.run(samples, range(70), total)
    found = (work.run(samples, range(70, 150)) + total).whole()
    assert [column.tobytes() for column in found] == [column.tobytes() for column in whole]
    assert (whole.predicted == np.argmax(logits(), axis=2).T).all()


def test_classes_named_by_degrees_are_found_by_name() -> None:
    """Whoever wrote the names knows which output is which rotation; other names say nothing, and places count."""
    assert named_columns(("270", "0", "180", "90"), QUARTERS) == (1, 3, 2, 0)
    assert named_columns(("0°", "-90", "180.0", "90"), QUARTERS) == (0, 3, 2, 1)
    assert named_columns(("up", "left", "down", "right"), QUARTERS) is None
    assert named_columns(("0", "1", "2", "3"), QUARTERS) is None
    assert named_columns(("0", "90", "180", "inf"), QUARTERS) is None
    assert named_columns(None, QUARTERS) is None
    scores = logits()
    order = (1, 3, 2, 0)
    turned = np.empty_like(scores)
    turned[:, :, list(order)] = scores
    plain = judge(prepare(list(scores), "logits", range(4), told=True), range(200))
    named = judge(prepare(list(turned), "logits", order, told=True), range(200))
    np.testing.assert_allclose(named.score, plain.score, rtol=1e-14)
    assert (named.predicted == plain.predicted).all()


def test_bad_scores_are_refused() -> None:
    """Each says what was found and what to do."""
    with pytest.raises(InputError, match=r"gives 3 class score\(s\), and there are 4 rotations"):
        evaljobs.rotation_anomaly(np.zeros((4, 5, 3)), scores_are="logits")
    with pytest.raises(InputError, match=r"shape \(5, 3\); expected \[K, n, K\]"):
        evaljobs.rotation_anomaly(np.zeros((5, 3)), scores_are="logits")
    with pytest.raises(InputError, match="scores are not one array"):
        evaljobs.rotation_anomaly([np.zeros((5, 2)), np.zeros((4, 2))], scores_are="logits")
    with pytest.raises(UsageError, match="found scores_are='softmax'"):
        evaljobs.rotation_anomaly(logits(), scores_are="softmax")
    with pytest.raises(InputError, match="found probabilities from"):
        evaljobs.rotation_anomaly(logits(), scores_are="probabilities")
    scores = logits()
    scores[2, 7, 1] = np.nan
    with pytest.raises(NonFiniteError) as found:
        evaljobs.rotation_anomaly(scores, scores_are="logits")
    assert (found.value.count, found.value.rows) == (1, (2 * 200 + 7,))
    with pytest.raises(InputError, match="not known whether the class scores are logits"):
        prepare(list(logits()), None, range(4), told=True)
    with pytest.raises(InputError, match="expected one shape"):
        prepare([np.zeros((5, 2)), np.zeros((4, 2))], "logits", range(2), told=True)
