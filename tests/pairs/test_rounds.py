"""What the passes are, that their number and their memory stay small, and that they add up in any order."""

from __future__ import annotations

import functools
import operator
import random
import threading
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from evaljobs.pairs import decide
from evaljobs.pairs.refine import Refine
from evaljobs.pairs.rounds import Limits, rounds
from evaljobs.pairs.samples import prepare
from evaljobs.pairs.verification import Verification, conclude, verify
from evaljobs.pairs.work import Work

Rows = NDArray[np.float32]


def by_hand(rows: Rows, labels: Any, limits: Limits, order: int | None = None) -> tuple[Verification, list[Work[Any]]]:
    """Carry the rounds out one part at a time; return the passes too."""
    samples, passes = prepare(rows, labels), []
    generator = rounds(samples, (1e-5, 1e-4, 1e-3, 0.01, 0.1, 1.0), limits)
    try:
        work = next(generator)
        while True:
            passes.append(work)
            parts = work.parts(20)
            if order is not None:
                random.Random(order).shuffle(parts)
            work = generator.send(functools.reduce(operator.add, (work.run(samples, part) for part in parts)))
    except StopIteration as stop:
        return conclude(samples, stop.value), passes


def test_an_ordinary_set_is_scanned_once(ordinary: tuple[Rows, Any]) -> None:
    """One pass over the pairs after the probe: the guess holds."""
    _, passes = by_hand(*ordinary, Limits(collected=0, tile=128))
    assert [type(work).__name__ for work in passes] == ["Probe", "Scan"]


def test_a_window_that_was_not_kept_is_scanned_again(ordinary: tuple[Rows, Any]) -> None:
    """With a budget for the right windows but not for guessed ones, a second scan decides; with less, refining does."""
    expected, _ = by_hand(*ordinary, Limits())
    names = []
    for kept in (2**22, 2000, 5):
        found, passes = by_hand(*ordinary, Limits(collected=0, kept=kept, tile=128))
        assert found.points == expected.points
        names.append([type(work).__name__ for work in passes])
    assert names[1] == ["Probe", "Scan", "Scan"]
    assert names[2][:3] == ["Probe", "Scan", "Refine"]


@pytest.mark.parametrize(("kept", "way"), [(500, "_divide_held"), (75, "_divide_steps"), (20, "_divide_steps")])
def test_one_refining_pass_decides_an_ordinary_set(
    monkeypatch: pytest.MonkeyPatch, ordinary: tuple[Rows, Any], kept: int, way: str
) -> None:
    """By the scores of the intervals; or by the steps where those are too many, as is found out or known before."""
    ways: list[str] = []
    for name in ("_divide_held", "_divide_steps"):
        monkeypatch.setattr(decide, name, noted(getattr(decide, name), ways))
    expected, _ = by_hand(*ordinary, Limits())
    found, passes = by_hand(*ordinary, Limits(collected=0, kept=kept, tile=128))
    assert [type(work).__name__ for work in passes] == ["Probe", "Scan", "Refine"]
    assert set(ways) == {way}
    assert isinstance(passes[2], Refine)
    assert passes[2].budget == (kept if kept >= 75 else 0)
    assert found.points == expected.points


def noted(function: Callable[..., Any], ways: list[str]) -> Callable[..., Any]:
    """Note the name of a function whenever it is called."""

    def call(*args: Any) -> Any:
        ways.append(function.__name__)
        return function(*args)

    return call


def test_parts_may_finish_in_any_order(ordinary: tuple[Rows, Any]) -> None:
    """Nothing at all differs between orders, the AUROC's bounds included."""
    for limits in (Limits(tile=128), Limits(collected=0, tile=128), Limits(collected=0, kept=5, tile=128)):
        expected, _ = by_hand(*ordinary, limits)
        assert by_hand(*ordinary, limits, order=1)[0] == expected


@pytest.mark.parametrize("noise", [0.0, 1e-6])
def test_a_collapsed_model_ends_in_few_passes(noise: float) -> None:
    """All embeddings equal, or nearly: every pair is near every point, and narrowing still ends."""
    rng = np.random.default_rng(0)
    rows = (np.ones((800, 16)) + noise * rng.standard_normal((800, 16))).astype(np.float32)
    labels = np.arange(800) // 4
    expected, _ = by_hand(rows, labels, Limits())
    found, passes = by_hand(rows, labels, Limits(collected=0, kept=1000))
    assert found.points == expected.points
    assert 3 <= len(passes) <= 7


def test_memory_does_not_grow_with_the_pairs() -> None:
    """Four times the samples, sixteen times the pairs: what is allocated grows with the samples alone."""

    def peak(n: int) -> int:
        rows, labels = np.ones((n, 8), np.float32), np.arange(n) // 2
        by_hand(rows[:50], labels[:50], Limits(collected=0, kept=1000, tile=64))
        tracemalloc.start()
        by_hand(rows, labels, Limits(collected=0, kept=1000, tile=64))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    small, large = peak(500), peak(2000)
    assert large - small < 1500 * 200  # bytes a sample; one a pair would be 1.9 million
    assert large < 40_000_000


def test_progress_counts_every_pair_once(ordinary: tuple[Rows, Any]) -> None:
    """It rises to the number of pairs, and the caller hears of it from one thread at a time."""
    heard: list[tuple[int, int]] = []
    lock = threading.Lock()

    def listen(done: int, known: int) -> None:
        assert lock.acquire(blocking=False)
        heard.append((done, known))
        lock.release()

    verify(*ordinary, threads=2, tile=64, groups=0, progress=listen)
    n_pairs = 1500 * 1499 // 2
    assert len(heard) >= 8
    assert [done for done, _ in heard] == sorted(done for done, _ in heard)
    assert heard[-1] == (n_pairs, n_pairs)


def test_an_error_in_a_thread_ends_the_rest(ordinary: tuple[Rows, Any]) -> None:
    """What a listener raises reaches the caller; the other threads stop at their next part."""
    calls = []

    def fail(done: int, _known: int) -> None:
        calls.append(done)
        raise RuntimeError("stop here")

    with pytest.raises(RuntimeError, match="stop here"):
        verify(*ordinary, threads=2, tile=32, progress=fail)
    assert 1 <= len(calls) <= 2
