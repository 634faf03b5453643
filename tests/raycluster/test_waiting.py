"""The pool waits for nothing that cannot come, and loses nothing without saying so. On a real Ray of two CPUs."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from raycluster.errors import ClusterError
from raycluster.planning.plan import Limits, Plan
from raycluster.pool.events import (
    BLOCK_DIED,
    TASK_DIED,
    BlockLost,
    BlockMade,
    CellDone,
    Event,
    LoadFinished,
    TaskDone,
    TaskLost,
)
from raycluster.pool.pool import Pool
from raycluster.pool.work import Actors, Work

pytestmark = pytest.mark.usefixtures("cluster")


class Multiply:
    """A handler."""

    def __call__(self, load: int, block: int) -> int:
        return load * block


def make_block(number: int) -> tuple[int, str, bool]:
    return number, f"block {number}", False


def die(*_: object) -> tuple[int, str, bool]:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


def die_at_two(number: int) -> tuple[int, str, bool]:
    return die() if number == 2 else make_block(number)


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def plan(loads: int = 3, blocks: int = 7, memory: int = 4, **options: Any) -> Plan:
    """Blocks of 3 bytes in windows of half the memory: by default each block is larger than its window."""
    return Plan([3] * blocks, {n: set(range(blocks)) for n in range(1, loads + 1)}, Limits(memory), **options)


def work(loads: int = 3, make: Callable[..., tuple[Any, Any, bool]] = make_block) -> Work:
    return Work(make, lambda block: (block,), {n: n for n in range(1, loads + 1)})


def answers(found: list[Event]) -> dict[tuple[int, int], int]:
    return {(e.cell.load, e.cell.block): e.answer for e in found if isinstance(e, CellDone)}


@pytest.mark.parametrize(("count", "cpus", "fit", "memory"), [(8, 1, 2, 4), (4, 2, 1, 12), (1, 2, 1, 4)])
def test_actors_leave_room_for_the_tasks_that_feed_them(count: int, cpus: float, fit: int, memory: int) -> None:
    """More actors than CPUs, an actor of all CPUs: four windows and more are carried out, and the clamp is said."""
    with Pool(plan(memory=memory), work(), Actors(Multiply, count, cpus), patience_s=60) as pool:
        found = list(pool.events())
        assert (pool.note is not None) == (fit < count)
        assert pool.note is None or f"{fit} worker(s) of {cpus:g} CPU(s) in place of {count}" in pool.note
    assert answers(found) == {(load, block): load * block for load in (1, 2, 3) for block in range(7)}


@pytest.mark.parametrize("asks", [{"cpus": 5}, {"gpus": 1}])
def test_actor_that_no_node_can_hold_is_refused_at_once(asks: dict[str, float]) -> None:
    """With what was asked for and what there is, in place of a wait without end."""
    start = time.monotonic()
    with pytest.raises(ClusterError, match=r"no node .* has room for .*1 with 2 CPU\(s\) and 0 GPU\(s\)"):
        Pool(plan(), work(), Actors(Multiply, count=1, **asks))
    assert time.monotonic() - start < 5


@pytest.fixture
def other_work() -> Iterator[None]:
    """Somebody else's actor, which holds every CPU."""
    holder = ray.remote(num_cpus=2)(Multiply).remote()
    assert ray.get(holder.__call__.remote(2, 3)) == 6
    yield
    ray.kill(holder)


@pytest.mark.usefixtures("other_work")
def test_wait_for_a_full_cluster_ends(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing could start within the patience: said, with what waits and what is free."""
    with (
        pytest.raises(ClusterError, match=r"nothing could start for \d+ s: 2 process\(es\) of 1 CPU.* 0 CPU\(s\) and"),
        Pool(plan(), work(), Actors(Multiply, count=2), patience_s=2) as pool,
    ):
        list(pool.events())
    assert "Traceback" not in capsys.readouterr().err


def test_work_that_takes_longer_than_the_patience_is_waited_for() -> None:
    """A task that has started is not one that cannot start, however long nothing comes."""
    found: list[Event] = []
    # The first has a process started, so that the second begins at once.
    for seconds, patience_s in [(0.0, 60), (5.0, 2)]:
        with Pool(plan(loads=0), work(0), Actors(Multiply, count=1), patience_s=patience_s) as pool:
            pool.submit("sleep", 1, sleep, seconds)
            found += pool.events()
    assert found == [TaskDone("sleep", 0.0), TaskDone("sleep", 5.0)]


class Hang:
    """Multiplies, but never answers in the process that is the first to be asked."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __call__(self, load: int, block: int) -> int:
        if not self.marker.exists():
            self.marker.touch()
            time.sleep(3600)
        return load * block


def test_actor_that_never_answers_holds_nobody_up(tmp_path: Path) -> None:
    """It lives, and its block fills the memory: the other actor does what it has in hand, and the blocks go on."""
    with Pool(plan(memory=4), work(), Actors(lambda: Hang(tmp_path / "hangs"), count=2), patience_s=60) as pool:
        found = list(pool.events())
    assert answers(found) == {(load, block): load * block for load in (1, 2, 3) for block in range(7)}


def test_block_whose_process_always_dies_is_lost_alone() -> None:
    """A file that crashes its decoder: the block is named and its cells are settled; the others are complete."""
    with Pool(plan(memory=100), work(make=die_at_two), Actors(Multiply, count=2), patience_s=60) as pool:
        found = list(pool.events())
    lost = [event for event in found if isinstance(event, BlockLost)]
    assert [(event.block, event.reason) for event in lost] == [(2, BLOCK_DIED)]
    assert lost[0].detail
    others = [0, 1, 3, 4, 5, 6]
    assert sorted(e.block for e in found if isinstance(e, BlockMade)) == others
    assert answers(found) == {(load, block): load * block for load in (1, 2, 3) for block in others}
    ended = [e.load for e in found if isinstance(e, LoadFinished)]
    ended += [e.cell.load for e in found if isinstance(e, CellDone) and e.load_finished]
    assert sorted(ended) == [1, 2, 3]


def test_task_whose_process_always_dies_is_lost_alone() -> None:
    """Other tasks come back."""
    with Pool(plan(loads=0), work(0), Actors(Multiply, count=1), patience_s=60) as pool:
        pool.submit("dies", 1, die)
        pool.submit("lives", 64, sleep, 0.0)
        found = list(pool.events())
    lost = [event for event in found if isinstance(event, TaskLost)]
    assert [(event.tag, event.reason) for event in lost] == [("dies", TASK_DIED)]
    assert [event for event in found if event not in lost] == [TaskDone("lives", 0.0)]


def test_blocks_of_lost_loads_are_made_all_the_same() -> None:
    """All loads are given up at the first block: every block is still made and told, without actors."""
    made: list[int] = []
    schedule = plan(make_all=True)
    with Pool(schedule, work(), Actors(Multiply, count=1), patience_s=60) as pool:
        for event in pool.events():
            if isinstance(event, BlockMade):
                made.append(event.block)
                for load in (1, 2, 3):
                    pool.give_up(load)
    assert sorted(made) == list(range(7))
    assert schedule.finished


class Forgetful(Plan):
    """A plan with a mistake: it never asks for a block."""

    def next_block(self) -> int | None:
        return None


def test_unfinished_plan_never_ends_in_silence() -> None:
    """With nothing in flight and work left, the end is an error."""
    schedule = Forgetful([1], {0: {0}}, Limits(10))
    with (
        pytest.raises(ClusterError, match="work is left and nothing is in flight"),
        Pool(schedule, work(), Actors(Multiply, count=1), patience_s=60) as pool,
    ):
        list(pool.events())


def no_handler() -> Multiply:
    raise LookupError("no such device")


def deadly_handler(marker: Path) -> Multiply:
    with marker.open("a") as tries:
        tries.write("x")
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


def test_handler_that_cannot_be_built_is_said() -> None:
    """Another try would end the same: the builder's own words."""
    with (
        pytest.raises(ClusterError, match=r"cannot be built there.*"),
        Pool(plan(), work(), Actors(no_handler, count=1), patience_s=60) as pool,
    ):
        list(pool.events())


def test_actor_that_never_comes_up_is_tried_a_few_times(tmp_path: Path) -> None:
    """No load is blamed for it, and there is an end."""
    marker = tmp_path / "tries"
    with (
        pytest.raises(ClusterError, match="no actor comes up, 3 died at once"),
        Pool(plan(), work(), Actors(lambda: deadly_handler(marker), count=1), patience_s=60) as pool,
    ):
        list(pool.events())
    assert marker.read_text() == "xxx"
