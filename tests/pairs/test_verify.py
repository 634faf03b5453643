"""Verification equals the definition in every integer and to the last bit, whatever way it takes there."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.metrics import roc_curve

import evaljobs
from evaljobs.errors import InputError, UsageError
from evaljobs.pairs.verification import verify

Rows = NDArray[np.float32]
Data = tuple[Rows, list[int]]

# Small sets are scored whole; the other limits send them through scans, wrong guesses and refining passes.
WAYS: tuple[dict[str, int], ...] = ({}, {"collected": 0}, {"collected": 0, "kept": 20}, {"collected": 0, "kept": 0})
TARGETS = (1e-5, 0.001, 0.01, 0.1, 0.29, 0.5, 0.999, 1.0)


def integers(rng: np.random.Generator, n: int, d: int) -> Rows:
    """Vectors of few values: many ties and duplicates."""
    return rng.integers(-2, 3, (n, d)).astype(np.float32)


def plain(rng: np.random.Generator, n: int, d: int) -> Rows:
    """Scores all over the range."""
    return rng.standard_normal((n, d)).astype(np.float32)


def collapsed(rng: np.random.Generator, n: int, d: int) -> Rows:
    """One vector, up to some units in the last place: scores that differ in their last bits, or not at all."""
    return (np.tile(plain(rng, 1, d), (n, 1)) * (1 + rng.integers(-2, 3, (n, d)) * 2.0**-23)).astype(np.float32)


def antipodal(rng: np.random.Generator, n: int, d: int) -> Rows:
    """One vector and its opposite."""
    return np.tile(plain(rng, 1, d), (n, 1)) * rng.choice(np.array([-1, 1], np.float32), (n, 1))


def of_all_sizes(rng: np.random.Generator, n: int, d: int) -> Rows:
    """Norms from the subnormal to the huge."""
    return (rng.standard_normal((n, d)) * 10.0 ** rng.integers(-44, 38, (n, 1))).astype(np.float32)


def lopsided(rng: np.random.Generator, n: int, d: int) -> Rows:
    """Components of very different sizes."""
    return (rng.standard_normal((n, d)) * 10.0 ** rng.integers(-20, 20, (n, d))).astype(np.float32)


def clustered(rng: np.random.Generator, n: int, d: int) -> Rows:
    """Three tight heaps: few far modes and empty gaps."""
    centres = rng.standard_normal((3, d))
    return (centres[rng.integers(0, 3, n)] + 1e-6 * rng.standard_normal((n, d))).astype(np.float32)


KINDS: tuple[Callable[[np.random.Generator, int, int], Rows], ...] = (
    integers, plain, collapsed, antipodal, of_all_sizes, lopsided, clustered,
)  # fmt: skip


@st.composite
def data(draw: st.DrawFn) -> Data:
    """Draw embeddings of some kind, with tiny and huge classes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, d = draw(st.integers(2, 28)), draw(st.sampled_from((1, 2, 3, 5, 17)))
    rows = draw(st.sampled_from(KINDS))(rng, n, d)
    rows[~rows.any(axis=1)] = 1
    labels = rng.integers(0, draw(st.sampled_from((1, 2, 4, n, 100 * n))), n)
    return rows, labels.tolist()


@settings(max_examples=250, deadline=None)
@given(
    data(),
    st.sampled_from(WAYS),
    st.sampled_from((1, 2, 3, 7, 16, 64)),
    st.sets(st.sampled_from(TARGETS), min_size=1).map(lambda targets: tuple(sorted(targets))),
)
def test_every_way_is_exact(
    oracle: Any, verify_with: Any, drawn: Data, way: dict[str, int], tile: int, targets: tuple[float, ...]
) -> None:
    """Ties, duplicates, collapsed, antipodal, tiny and huge vectors; any tile; scanned, rescanned or refined."""
    oracle(*drawn).check(verify_with(*drawn, targets, tile=tile, **way))


@settings(max_examples=60, deadline=None)
@given(data(), st.sampled_from(WAYS), st.integers(0, 2**32))
def test_nothing_but_the_embeddings_matters(verify_with: Any, drawn: Data, way: dict[str, int], seed: int) -> None:
    """Order of samples, names of labels, tile and threads change no point and no count."""
    rows, labels = drawn
    a = verify_with(rows, labels, TARGETS, tile=5)
    order = np.random.default_rng(seed).permutation(len(rows))
    renamed = [f"label {-labels[o]}" for o in order]
    b = verify_with(rows[order], renamed, TARGETS, tile=3, threads=2, **way)
    assert a.points
    assert b.points == a.points
    assert (b.n_genuine, b.n_impostor, b.n_labels) == (a.n_genuine, a.n_impostor, a.n_labels)


@given(data(), st.integers(0, 2**32))
def test_the_bounds_of_the_auroc_follow_from_the_embeddings(verify_with: Any, drawn: Data, seed: int) -> None:
    """A product depends on its two rows alone, so counts by bins do not depend on order, tile and threads either."""
    rows, labels = drawn
    a = verify_with(rows, labels, (0.1,), tile=5, collected=0)
    order = np.random.default_rng(seed).permutation(len(rows))
    b = verify_with(rows[order], [labels[o] for o in order], (0.1,), tile=17, threads=2, collected=0)
    assert (a.auroc, a.auroc_bounds) == (b.auroc, b.auroc_bounds)
    assert all((one == other).all() for one, other in zip(a.histogram, b.histogram, strict=True))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("rows", "labels"),
    [
        ([[1.0]], None),
        ([[1], [1]], [0, 0]),
        ([[1], [1]], [0, 1]),
        ([[1], [-1]], [0, 1]),
        ([[1, 0], [0, 1], [1, 1]], [0, 0, 0]),
        ([[1, 0], [0, 1], [1, 1]], [0, 1, 2]),
        ([[1, 0], [1, 0], [1, 0], [1, 0]], [0, 0, 1, 1]),
        ([[1, 0], [0, 1], [1, 0], [0, 1]], [0, 1, 0, 1]),
    ],
)
def test_the_smallest_sets(oracle: Any, verify_with: Any, rows: Any, labels: Any, way: dict[str, int]) -> None:
    """Two samples, one dimension, one label in all, all labels different."""
    if labels is None:
        with pytest.raises(InputError, match="at least 2"):
            verify_with(rows, [0], TARGETS, **way)
        return
    rows = np.array(rows, np.float32)
    oracle(rows, labels).check(verify_with(rows, labels, TARGETS, tile=1, **way))


def fooling(n: int) -> dict[str, Data]:
    """Return data made to fool a guess from a sample of the pairs."""
    rng = np.random.default_rng(11)
    sorted_ = np.add(np.sort(rng.standard_normal((n, 1)), axis=0), [[0.0, 1.0]])
    modes = np.where(np.arange(n)[:, None] % 2 == 0, 1.0, -1.0) * [[1.0, 2.0, 3.0]]
    gap = np.concatenate([np.eye(3), np.full((1, 3), 1.0)])[rng.integers(0, 4, n)]
    one_odd_class = rng.standard_normal((n, 4))
    one_odd_class[:12] = [1.0, 2.0, 3.0, 4.0]
    found = {
        "sorted": (sorted_, rng.integers(0, n // 4, n)),
        "all tied": (np.ones((n, 3)), np.arange(n) // 2),
        "two far modes": (modes + 1e-3 * rng.standard_normal((n, 3)), rng.integers(0, 9, n)),
        "a threshold in an empty gap": (gap + 1e-4 * rng.standard_normal((n, 3)), rng.integers(0, 30, n)),
        "genuine far above": (np.repeat(rng.standard_normal((n // 5, 8)), 5, axis=0), np.arange(n) // 5),
        "one odd class": (one_odd_class, np.maximum(np.arange(n) - 11, 0)),
        "a narrow cone": (np.ones((n, 5)) + 1e-3 * rng.standard_normal((n, 5)), np.arange(n) // 3),
    }
    return {name: (rows.astype(np.float32), labels.tolist()) for name, (rows, labels) in found.items()}


@pytest.mark.parametrize("kept", [2**22, 2000, 0])
@pytest.mark.parametrize("name", fooling(20))
def test_a_wrong_guess_costs_time_alone(verify_with: Any, name: str, kept: int) -> None:
    """Sorted, clustered, tied and gapped scores: the same points as from all scores sorted."""
    rows, labels = fooling(400)[name]
    targets = (1e-5, 1e-4, 1e-3, 0.01, 0.1, 0.5, 1.0)
    expected = verify_with(rows, labels, targets)
    found = verify_with(rows, labels, targets, collected=0, kept=kept, tile=100)
    assert len(found.points) == 7
    assert found.points == expected.points
    low, high = found.auroc_bounds
    assert low <= expected.auroc <= high


def test_fooling_data_is_scored_right(oracle: Any, verify_with: Any) -> None:
    """The way that the test above trusts equals the definition on the same data, at a size the oracle can do."""
    cases = fooling(60)
    assert len(cases) == 7
    for drawn in cases.values():
        oracle(*drawn).check(verify_with(*drawn, TARGETS))


def test_digits(oracle: Any) -> None:
    """A real set of 1.6 million pairs: every point and the AUROC, against scikit-learn on the oracle's scores."""
    rows, labels = load_digits(return_X_y=True)
    found = verify(rows.astype(np.float32), labels)
    truth = oracle(rows, labels)
    fpr, tpr, thresholds = roc_curve(truth.same, truth.scores, drop_intermediate=False)
    false_positives = np.rint(fpr * len(truth.impostor)).astype(np.int64)
    assert len(found.points) == 6
    for point in found.points:
        allowed = int(Fraction(repr(point.target)) * len(truth.impostor))
        last = np.flatnonzero(false_positives <= allowed)[-1]
        assert (point.threshold, point.false_positives, point.tpr) == (
            thresholds[last], false_positives[last], pytest.approx(tpr[last], abs=1e-15),
        )  # fmt: skip
        assert point.true_positives == (truth.genuine >= point.threshold).sum()
        rejected = truth.impostor[truth.impostor < point.threshold]
        assert point.next_impostor_score == max(rejected, default=None)
    ordered = np.sort(truth.impostor)
    ranks = [np.searchsorted(ordered, truth.genuine, side=side).sum() for side in ("left", "right")]
    assert found.auroc_exact
    assert found.auroc == int(sum(ranks)) / (2 * len(truth.genuine) * len(ordered))


def test_digits_by_the_filter(verify_with: Any) -> None:
    """The same set through the filter, with more than one tile size and thread: equal points, enclosing bounds."""
    rows, labels = load_digits(return_X_y=True)
    expected = verify(rows, labels, groups=0)
    for tile, threads in ((512, 1), (300, 2)):
        found = verify_with(
            rows, labels, tuple(p.target for p in expected.points), collected=0, tile=tile, threads=threads
        )
        assert found.points == expected.points
        assert found.auroc_bounds[0] <= expected.auroc <= found.auroc_bounds[1]
        assert found.auroc_bounds[1] - found.auroc_bounds[0] < 4e-4


@pytest.mark.parametrize(
    ("fpr", "targets"),
    [
        (1e-4, [1e-4]),
        ("1e-4", [1e-4]),
        (["0.1", 0.001, 1], [0.001, 0.1, 1.0]),
        (np.array([0.01, 0.1]), [0.01, 0.1]),
        (Fraction(29, 100), [0.29]),
    ],
)
def test_targets_are_the_decimals_that_were_written(ordinary: tuple[Rows, Any], fpr: Any, targets: list[float]) -> None:
    """Text, numbers, arrays and fractions, one or several; sorted upwards."""
    found = verify(ordinary[0][:40], ordinary[1][:40] % 7, fpr)
    assert [p.target for p in found.points] == targets
    assert [p.allowed for p in found.points] == [int(Fraction(repr(t)) * found.n_impostor) for t in targets]


@pytest.mark.parametrize("fpr", [0, -1e-4, 1.5, "a", "1/3", Fraction(1, 3), float("nan"), [], [0.1, "1e-1"], None])
def test_no_target_is_guessed(ordinary: tuple[Rows, Any], fpr: Any) -> None:
    """What is no decimal in (0, 1], nothing, and the same target twice are refused."""
    with pytest.raises(UsageError, match="fpr: "):
        verify(*ordinary, fpr)


@pytest.mark.parametrize("bad", [{"tile": 0}, {"threads": 0}, {"ids": ["a"]}])
def test_bad_arguments_are_refused(ordinary: tuple[Rows, Any], bad: dict[str, Any]) -> None:
    """With what was found and what was expected."""
    with pytest.raises(InputError, match=r"found .* expected"):
        verify(*ordinary, **bad)


@pytest.mark.parametrize("labels", [[0, 0, 1, 1], [0, 0, 0, 0], [0, 1, 2, 3]])
def test_a_result_is_valid_json(labels: list[int]) -> None:
    """Of the contract's fields; what is undefined is null, never nan or infinite."""
    found = evaljobs.verify(np.array([[1, 0], [1, 1], [0, 1], [-1, 1]], np.float32), labels)
    result = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert list(result) == [
        "protocol", "n_samples", "n_genuine", "n_impostor", "auroc", "auroc_exact", "auroc_bounds", "auroc_ci",
        "curve_error", "points", "intervals",
    ]  # fmt: skip
    assert (result["protocol"], result["n_samples"], result["auroc_ci"], result["intervals"]) == ("all", 4, None, None)
    assert [point["target"] for point in result["points"]] == [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0]
    one_kind = found.n_genuine == 0 or found.n_impostor == 0
    assert (result["auroc"] is None) == (result["auroc_bounds"] is None) == one_kind


@pytest.mark.parametrize("way", WAYS)
def test_read_only_arrays_will_do(ordinary: tuple[Rows, Any], verify_with: Any, way: dict[str, int]) -> None:
    """Tables and object stores hand out memory that must not be written."""
    rows, labels = ordinary[0][:60].copy(), ordinary[1][:60] % 9
    expected = verify_with(rows, labels, TARGETS)
    rows.setflags(write=False)
    assert verify_with(rows, labels, TARGETS, **way).points == expected.points


def test_what_was_rounded_is_said() -> None:
    """A float64 table is evaluated as float32, and the result says so."""
    rows = np.random.default_rng(0).standard_normal((30, 4))
    assert verify(rows, range(30)).notes == ("embeddings were float64 and were rounded to float32",)
    assert verify(rows, range(30)).points == verify(rows.astype(np.float32), range(30)).points
    assert verify(rows.astype(np.float32), range(30)).notes == ()
