"""The slow, obviously right way to verify, which every fast path must equal to the last bit."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from evaljobs.pairs.closer import Wanted
from evaljobs.pairs.rounds import Limits, rounds
from evaljobs.pairs.samples import prepare
from evaljobs.pairs.threads import run_rounds
from evaljobs.pairs.verification import Verification, conclude

Float64 = NDArray[np.float64]

# Needs the torch extra, which the tests of everything else do without. With torch, but no GPU, it runs on the CPU.
collect_ignore = [] if importlib.util.find_spec("torch") else ["test_cuda.py", "test_cuda_beside.py"]


class Expected(NamedTuple):
    """What a point must be: the fields of `Point` of the same names."""

    allowed: int
    threshold: float | None
    next_impostor_score: float | None
    false_positives: int
    true_positives: int


def score_by_hand(x: NDArray[np.float32], y: NDArray[np.float32]) -> float:
    """Write the definition down in Python's own floats, which are never fused or reordered."""

    def normalised(row: NDArray[np.float32]) -> list[float]:
        total = 0.0
        for value in row.tolist():
            total += value * value
        return [value / math.sqrt(total) for value in row.tolist()]

    total = 0.0
    for a, b in zip(normalised(x), normalised(y), strict=True):
        total += a * b
    return total


class Oracle:
    """All scores of a set by the definition, and what follows from them by brute force."""

    score_by_hand = staticmethod(score_by_hand)

    def __init__(self, rows: NDArray[Any], labels: Any) -> None:
        rows = np.asarray(rows, np.float32).astype(np.float64)
        squares = np.zeros(len(rows))
        for k in range(rows.shape[1]):
            squares = squares + rows[:, k] * rows[:, k]
        unit = rows / np.sqrt(squares)[:, None]
        matrix = np.zeros((len(rows), len(rows)))
        for k in range(rows.shape[1]):  # in index order
            matrix = matrix + np.multiply.outer(unit[:, k], unit[:, k])
        self.matrix = matrix
        i, j = np.triu_indices(len(rows), 1)
        labels = np.asarray(labels)
        self.scores, self.same = matrix[i, j], labels[i] == labels[j]
        self.genuine, self.impostor = self.scores[self.same], self.scores[~self.same]

    def point(self, target: float) -> Expected:
        """Try every observed score as the threshold."""
        allowed = math.floor(Fraction(repr(target)) * len(self.impostor))
        usable = [s for s in np.unique(self.scores) if (self.impostor >= s).sum() <= allowed]
        threshold = min(usable, default=None)
        accept = np.inf if threshold is None else threshold
        rejected = self.impostor[self.impostor < accept]
        return Expected(
            allowed,
            threshold,
            max(rejected, default=None),
            int((self.impostor >= accept).sum()),
            int((self.genuine >= accept).sum()),
        )

    def auroc(self) -> Fraction | None:
        """Compare every genuine with every impostor pair."""
        if not len(self.genuine) or not len(self.impostor):
            return None
        right = sum(int((self.impostor < g).sum()) for g in self.genuine)
        tied = sum(int((self.impostor == g).sum()) for g in self.genuine)
        return Fraction(2 * right + tied, 2 * len(self.genuine) * len(self.impostor))

    def check(self, found: Verification) -> None:
        """Compare a verification in every integer and to the last bit of every score."""
        assert (found.n_genuine, found.n_impostor) == (len(self.genuine), len(self.impostor))
        assert found.points
        for point in found.points:
            if not len(self.impostor):
                assert (point.allowed, point.threshold, point.fpr, point.tpr) == (0, None, None, None)
                assert (point.false_positives, point.true_positives) == (None, None)
                continue
            expected = self.point(point.target)
            assert expected == Expected(*(getattr(point, name) for name in Expected._fields))
            assert point.fpr == expected.false_positives / len(self.impostor)
            assert point.tpr == (expected.true_positives / len(self.genuine) if len(self.genuine) else None)
        auroc = self.auroc()
        if auroc is None or found.auroc_bounds is None or found.auroc is None:
            assert (auroc, found.auroc, found.auroc_bounds, found.auroc_exact) == (None, None, None, False)
            return
        low, high = found.auroc_bounds
        assert low <= found.auroc <= high
        if found.auroc_exact:
            assert low == high == float(auroc)
        else:
            assert Fraction(low) <= auroc <= Fraction(high)


Verify = Callable[..., Verification]


def verify_within(
    rows: Any,
    labels: Any,
    targets: tuple[float, ...],
    *,
    threads: int = 1,
    groups: int = 0,
    wanted: Wanted | None = None,
    **limits: int,
) -> Verification:
    """Verify with chosen limits, so that small sets take the ways of large ones."""
    samples = prepare(rows, labels, n_groups=groups)
    steps = rounds(samples, targets, Limits(**limits), wanted or Wanted())
    return conclude(samples, run_rounds(steps, samples, threads))


@pytest.fixture(scope="session")
def oracle() -> type[Oracle]:
    """The oracle's class: give it rows and labels."""
    return Oracle


@pytest.fixture(scope="session")
def verify_with() -> Verify:
    """Verification with limits of one's own: `tile`, `collected`, `kept`, `threads`."""
    return verify_within


@pytest.fixture(scope="module")
def one_torch_thread() -> Iterator[None]:
    """Torch in one thread: what tests give it is small, and its threads wait for each other where a machine is busy."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def ordinary() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """1,500 samples of 150 labels, as a model worth using embeds them."""
    rng = np.random.default_rng(0)
    labels = np.arange(1500) % 150
    return (rng.standard_normal((150, 32))[labels] + rng.standard_normal((1500, 32))).astype(np.float32), labels
