"""The self-check agrees with what is right, and tells what is not."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from evaljobs.errors import InputError, NonFiniteError
from evaljobs.pairs.auroc import Auroc
from evaljobs.pairs.points import Flag, Point
from evaljobs.pairs.rounds import Limits, Outcome, rounds
from evaljobs.pairs.samples import Samples
from evaljobs.pairs.selfcheck import draw, score_all, self_check
from evaljobs.pairs.threads import run_rounds

Rows = NDArray[np.float32]
TARGETS = (1e-5, 0.001, 0.01, 0.1, 1.0)


def carried_out(samples: Samples, targets: tuple[float, ...], limits: Limits) -> Outcome:
    return run_rounds(rounds(samples, targets, limits), samples, 1)


@pytest.fixture(scope="module")
def ordinary() -> tuple[Rows, NDArray[np.int64]]:
    """300 samples of 60 labels; at FPR 0.01 and below, some genuine pairs are rejected."""
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 60
    return (rng.standard_normal((60, 24))[labels] + rng.standard_normal((300, 24))).astype(np.float32), labels


@pytest.mark.parametrize("kind", ["ordinary", "ties", "collapsed", "duplicates", "one label", "no genuine", "a pair"])
def test_what_is_right_agrees(ordinary: tuple[Rows, NDArray[np.int64]], kind: str) -> None:
    """On sets of every kind, those without genuine or without impostor pairs included."""
    rows, labels = ordinary
    rng = np.random.default_rng(1)
    sets: dict[str, tuple[Any, Any]] = {
        "ordinary": (rows, labels),
        "ties": (rng.integers(-1, 2, (200, 3)) + np.array([0, 0, 3]), rng.integers(0, 30, 200)),
        "collapsed": (np.ones((120, 8), np.float32), np.arange(120) // 4),
        "duplicates": (np.repeat(rows[:60], 3, axis=0), [f"person {i // 2}" for i in range(180)]),
        "one label": (rows[:80], [7] * 80),
        "no genuine": (rows[:80], list(range(80))),
        "a pair": (rows[:2], ["a", "a"]),
    }
    given, names = sets[kind]
    found = self_check(given, names, TARGETS)
    n = len(given)
    assert found.differences == ()
    assert found.agreed
    assert (found.n_samples, found.n_pairs) == (n, n * (n - 1) // 2)
    assert found.n_genuine == sum(names[i] == names[j] for i in range(n) for j in range(i))


def test_real_images_agree() -> None:
    """A part of the digits, pixels as embeddings: many ties, ten large labels."""
    rows, labels = load_digits(return_X_y=True)
    found = self_check(rows, labels, TARGETS, size=400)
    assert (found.n_samples, found.agreed) == (400, True)
    assert found.n_genuine == 10 * (40 * 39 // 2)


def test_reference_scores_are_the_definition(ordinary: tuple[Rows, NDArray[np.int64]], oracle: Any) -> None:
    """To the last bit, at any place within its blocks."""
    rows = np.concatenate((ordinary[0][:130], 1e-30 * ordinary[0][:5], 1e30 * ordinary[0][5:10]))
    scores = score_all(rows)
    assert scores.tolist() == oracle(rows, range(len(rows))).scores.tolist()
    assert scores[0] == oracle.score_by_hand(rows[0], rows[1])
    assert scores[-1] == oracle.score_by_hand(rows[-2], rows[-1])


CHANGES: dict[str, Callable[[Point], Any]] = {
    "allowed": lambda p: p.allowed + 1,
    "false_positives": lambda p: (p.false_positives or 0) + 1,
    "true_positives": lambda p: (p.true_positives or 0) - 1,
    "fpr": lambda p: math.nextafter(p.fpr or 0.0, 1),
    "tpr": lambda p: math.nextafter(p.tpr or 0.0, 0),
    "threshold": lambda p: math.nextafter(p.threshold or 0.0, 1),
    "next_impostor_score": lambda p: math.nextafter(p.next_impostor_score or 0.0, 1),
    "flags": lambda p: (*p.flags, Flag.TIED),
}


@pytest.mark.parametrize("field", CHANGES)
def test_the_least_change_of_a_point_is_told(ordinary: tuple[Rows, NDArray[np.int64]], field: str) -> None:
    """One pair more or less, one unit in the last place, one flag: named with target, found and expected."""
    value: list[Any] = []

    def changed(samples: Samples, targets: tuple[float, ...], limits: Limits) -> Outcome:
        outcome = carried_out(samples, targets, limits)
        points = list(outcome.points)
        value[:] = [getattr(points[2], field), CHANGES[field](points[2])]
        points[2] = dataclasses.replace(points[2], **{field: value[1]})
        return dataclasses.replace(outcome, points=tuple(points))

    found = self_check(*ordinary, TARGETS, carry_out=changed)
    assert not found.agreed
    assert len(found.differences) == 3  # one for each way
    assert found.differences[0].startswith(f"tile 512: at FPR 0.01 found {field} ")
    if field != "flags":
        assert found.differences[0].endswith(f"{value[1]!r}; scikit-learn has {value[0]!r}")


def test_a_point_that_is_missing_is_told(ordinary: tuple[Rows, NDArray[np.int64]]) -> None:
    """Not only the points that are there are compared."""

    def without_one(samples: Samples, targets: tuple[float, ...], limits: Limits) -> Outcome:
        return carried_out(samples, targets[1:], limits)

    found = self_check(*ordinary, TARGETS, carry_out=without_one)
    assert [text.partition(": ")[2].startswith("found points at FPR [0.001, ") for text in found.differences] == [
        True
    ] * 3


@pytest.mark.parametrize("shift", [-1e-3, 1e-3, None])
def test_bounds_that_miss_the_auroc_are_told(ordinary: tuple[Rows, NDArray[np.int64]], shift: float | None) -> None:
    """On either side, and where there are none."""

    def shifted(samples: Samples, targets: tuple[float, ...], limits: Limits) -> Outcome:
        outcome = carried_out(samples, targets, limits)
        assert outcome.auroc is not None
        low, high = outcome.auroc.bounds
        width = high - low
        moved = (
            (low + math.copysign(width, shift) + shift, high + math.copysign(width, shift) + shift) if shift else None
        )
        return dataclasses.replace(outcome, auroc=None if moved is None else Auroc(moved[0], moved, exact=False))

    found = self_check(*ordinary, TARGETS, carry_out=shifted)
    assert len(found.differences) == 3
    assert all("found an AUROC within " in text for text in found.differences)


def coarse_filter(samples: Samples) -> Samples:
    """A filter that is far less precise than its bound says."""
    return dataclasses.replace(samples, unit=np.rint(samples.unit * 64) / np.float32(64))


def wrong_label(samples: Samples) -> Samples:
    """One sample counted with the next label."""
    labels = samples.labels.copy()
    labels[np.flatnonzero(np.diff(labels))[0]] += 1
    return dataclasses.replace(samples, labels=labels)


@pytest.mark.parametrize("fault", [coarse_filter, wrong_label])
def test_a_fault_in_the_fast_path_is_found(
    ordinary: tuple[Rows, NDArray[np.int64]], fault: Callable[[Samples], Samples]
) -> None:
    """What the filter decides wrongly, and what is counted wrongly."""
    found = self_check(
        *ordinary, TARGETS, carry_out=lambda samples, targets, limits: carried_out(fault(samples), targets, limits)
    )
    wrong = [text for text in found.differences if "; scikit-learn has " in text]
    assert len(wrong) >= 3
    assert any("_positives" in text for text in wrong)


def test_a_verification_that_fails_is_a_finding(ordinary: tuple[Rows, NDArray[np.int64]]) -> None:
    """Counts that contradict each other end in an error somewhere: said, with the other ways still compared."""

    def failing(samples: Samples, targets: tuple[float, ...], limits: Limits) -> Outcome:
        if not limits.kept:
            raise IndexError("no such bin")
        return carried_out(samples, targets, limits)

    found = self_check(*ordinary, TARGETS, carry_out=failing)
    assert found.differences == ("tile 512, nothing kept: failed with IndexError: no such bin",)


def test_scores_summed_in_another_order_are_found(
    ordinary: tuple[Rows, NDArray[np.int64]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The definition itself is checked: a sum that differs in its last bits gives other thresholds."""

    def backwards(samples: Samples, i: NDArray[np.int64], j: NDArray[np.int64]) -> NDArray[np.float64]:
        products = samples.normalised(slice(0, samples.n))[i] * samples.normalised(slice(0, samples.n))[j]
        return np.add.accumulate(products[:, ::-1], axis=1)[:, -1].copy()

    monkeypatch.setattr(Samples, "score_pairs", backwards)
    found = self_check(*ordinary, TARGETS)
    assert any("threshold" in text for text in found.differences)


def test_the_same_seed_draws_the_same() -> None:
    """A run that is repeated checks the same samples; another seed others."""
    codes = np.arange(5000) % 700
    first, again, other = (draw(codes, 300, seed) for seed in (1, 1, 2))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()
    assert draw(codes, 5000, 1).tolist() == list(range(5000))


@pytest.mark.parametrize(
    "members",
    [
        [5] * 400,
        [1] * 3000 + [2] * 50,
        [3000, *([3] * 500)],
        [2000, 2000],
        [1] * 1000,
        [4000],
    ],
)
def test_a_part_holds_whole_labels_and_genuine_pairs(members: list[int]) -> None:
    """No more than was asked for, each once; small labels whole, but for two that a limit cuts; large ones in part."""
    codes = np.random.default_rng(0).permutation(np.repeat(np.arange(len(members)), members))
    size = 200
    rows = draw(codes, size, 0)
    assert np.all(np.diff(rows) > 0)
    assert 150 <= len(rows) <= size
    drawn = np.bincount(codes[rows], minlength=len(members))
    most = max(2, size // min(20, len(members)))
    cut = (drawn > 0) & (drawn < np.minimum(members, most))
    assert cut.sum() <= 2
    assert drawn.max() <= most
    assert (drawn.max() > 1) == (max(members) > 1)
    if len(members) > 1:
        assert (drawn > 0).sum() > 1


def test_what_cannot_be_checked_is_refused(ordinary: tuple[Rows, NDArray[np.int64]]) -> None:
    """With what was found and what was expected."""
    rows, labels = ordinary
    with pytest.raises(InputError, match=r"found a self-check of 1 sample\(s\); expected at least 2"):
        self_check(rows, labels, TARGETS, size=1)
    with pytest.raises(InputError, match="found 299 labels for 300 embeddings"):
        self_check(rows, labels[1:], TARGETS)
    broken = rows.copy()
    broken[3] = np.nan
    with pytest.raises(NonFiniteError, match="1 of 300"):
        self_check(broken, labels, TARGETS)
