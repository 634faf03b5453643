"""How evaluations share a cluster, and how a pass is cut: without Ray."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaljobs.engine.sharing import PAIRS_A_SLOT, Share, Sharing
from evaljobs.engine.spreading import LEAST_PAIRS, Spread, Spreading, cut
from evaljobs.jobs.job import Outcome, Passes
from evaljobs.run.setup import make_sharing
from raycluster.pool.room import Node

HUGE = 100 * PAIRS_A_SLOT


@dataclasses.dataclass(frozen=True)
class Sums:
    """Adds up numbers; each is a pair of so many."""

    numbers: tuple[int, ...]

    def parts(self, at_least: int) -> list[range]:
        size = max(1, -(-len(self.numbers) // at_least))
        return [range(n, min(n + size, len(self.numbers))) for n in range(0, len(self.numbers), size)]

    def pairs(self, part: range) -> int:
        return sum(self.numbers[n] for n in part)

    def run(self, samples: np.ndarray, part: range, onto: np.ndarray | None = None) -> np.ndarray:
        found = np.array([samples[n] for n in part]).sum(axis=0, keepdims=True)
        return found if onto is None else onto + found


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=700), st.integers(2, 40), st.integers(1, 5000))
def test_batches_are_the_pass(numbers: list[int], tasks: int, least: int) -> None:
    """Whatever is cut: every part stands in one batch, in order, and batches are worth sending."""
    work = Sums(tuple(numbers))
    batches = cut(work, tasks, least)
    assert [n for batch in batches for part in batch.parts for n in part] == list(range(len(numbers)))
    assert [batch.pairs for batch in batches] == [sum(work.pairs(part) for part in batch.parts) for batch in batches]
    assert all(batch.pairs >= least for batch in batches[:-1])


@pytest.mark.parametrize("tasks", [2, 8, 64])
def test_batches_are_few_and_the_last_are_small(tasks: int) -> None:
    """Each sends evidence of some megabytes; the last ones decide for how long a part of the cluster is idle."""
    batches = cut(Sums((LEAST_PAIRS,) * 100_000), tasks, LEAST_PAIRS)
    sizes = [batch.pairs for batch in batches]
    assert sizes == sorted(sizes, reverse=True)
    assert 2 * tasks <= len(sizes) <= 9 * tasks
    assert sizes[-1] * tasks * 50 < sum(sizes)


def test_small_pass_is_not_cut() -> None:
    """A probe of a mid-sized set, say: sending it would take longer than doing it."""
    assert len(cut(Sums((10_000,) * 1000), 64, LEAST_PAIRS)) == 1


def test_few_large_evaluations_are_spread_and_many_are_not() -> None:
    """One huge model takes every slot; hundreds take one each, and the last of them share what is left."""
    sharing = Sharing(slots=64, slots_a_node=16)
    assert sharing.share(HUGE, unfinished=1) == Share(tasks=64)
    assert sharing.share(5 * PAIRS_A_SLOT, unfinished=3) == Share(tasks=5)
    assert sharing.share(HUGE, unfinished=300) == Share()
    assert sharing.share(HUGE, unfinished=100) == Share(tasks=64)


def test_small_evaluation_is_one_task_of_threads_that_it_is_worth() -> None:
    """The only one takes what a node has, but no thread for a few pairs; several share the node."""
    sharing = Sharing(slots=64, slots_a_node=16)
    assert sharing.share(PAIRS_A_SLOT, unfinished=1) == Share(threads=11)
    assert sharing.share(PAIRS_A_SLOT, unfinished=4) == Share(threads=4)
    assert sharing.share(10, unfinished=1) == Share()
    assert Sharing(1, 1).share(HUGE, unfinished=1) == Share()


@given(st.integers(1, 40), st.lists(st.integers(0, 30 * PAIRS_A_SLOT), min_size=1, max_size=60))
def test_cluster_is_full_and_memory_is_bounded(slots: int, pairs: list[int]) -> None:
    """As long as a large evaluation waits, all slots are taken, but never more than twice."""
    sharing = Sharing(slots, slots)
    waiting = [p for p in pairs if sharing.large(p)]
    running: list[int] = []
    while waiting or running:
        while waiting and sharing.admits(sum(running)):
            running.append(sharing.share(waiting.pop(), len(waiting) + len(running) + 1).tasks)
        assert running
        assert not waiting or sum(running) > slots
        assert sum(running) <= 2 * slots
        running.pop(0)


def test_total_is_that_of_one_process() -> None:
    """Passes follow from totals; totals come from batches in any order; what is done is told as it comes."""
    samples = np.random.default_rng(0).integers(0, 9, (100, 3))
    told: list[tuple[int, int]] = []

    def rounds() -> Iterator[Any]:
        first = yield Sums((1,) * 100)
        second = yield Sums((2,) * 50)
        return Outcome({"first": first.tolist(), "second": second.tolist()})

    def backwards(function: Any, common: Any, items: Iterable[Any]) -> Iterator[Any]:
        return (function(samples, common, item) for item in reversed(list(items)))

    spreading = Spreading(Spread(lambda _: backwards, tasks=2, least_pairs=1), lambda *now: told.append(now))
    found = spreading.carry_out(Passes(samples, rounds()))
    assert found.result == {"first": [samples.sum(axis=0).tolist()], "second": [samples[:50].sum(axis=0).tolist()]}
    assert told[-1] == (200, 200)
    assert len(told) > 4
    assert [done for done, _ in told] == sorted(done for done, _ in told)


@pytest.mark.parametrize(
    ("nodes", "sharing"),
    [
        ([], Sharing(1, 1)),
        ([Node(0, 0)], Sharing(1, 1)),
        ([Node(0, 0), Node(8, 1), Node(8, 1)], Sharing(16, 8)),
        ([Node(4, 0), Node(0.5, 0)], Sharing(4, 4)),
    ],
)
def test_a_head_without_work_has_no_share(nodes: list[Node], sharing: Sharing) -> None:
    """What is shared are the CPUs of the nodes that are there now: workers that joined later count as well."""
    assert make_sharing(nodes) == sharing
