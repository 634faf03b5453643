"""The pool on a real Ray: blocks, actors that die, answers, errors as they were raised."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ray.exceptions import ObjectLostError, OutOfMemoryError, RayError

from raycluster.connection.connect import Cluster
from raycluster.planning.plan import Limits, Plan
from raycluster.pool.events import LOAD_DIED, BlockMade, CellDone, Event, LoadFinished, LoadLost, TaskDone
from raycluster.pool.pool import Pool
from raycluster.pool.work import Actors, Work


class Adder:
    """Adds a load's number to a block's sum; dies or fails where it is told to."""

    def __init__(
        self, die_at: tuple[int, int] | None = None, marker: Path | None = None, *, fail: bool = False
    ) -> None:
        self.die_at, self.marker, self.fail = die_at, marker, fail

    def __call__(self, load: int, block: tuple[int, np.ndarray]) -> int:
        number, values = block
        if (load, number) == self.die_at and (self.marker is None or not self.marker.exists()):
            if self.marker is not None:
                self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fail:
            raise LookupError("no such thing")
        assert not values.flags.writeable, "blocks are shared, not copied"
        return int(values.sum()) + load


def make_block(number: int) -> tuple[tuple[int, np.ndarray], str, bool]:
    return (number, np.full(1000, number)), f"block {number}", number == 3


def total(numbers: list[int]) -> int:
    return sum(numbers)


def events(handler: Callable[[], Any], loads: int = 3, blocks: int = 4, attempts: int = 3) -> list[Event]:
    plan = Plan([8000] * blocks, {n: set(range(blocks)) for n in range(loads)}, Limits(20_000, attempts=attempts))
    work = Work(make_block, lambda block: (block,), {n: n for n in range(loads)})
    with Pool(plan, work, Actors(handler, count=2)) as pool:
        return list(pool.events())


def answers(found: list[Event]) -> dict[tuple[int, int], int]:
    return {(e.cell.load, e.cell.block): e.answer for e in found if isinstance(e, CellDone)}


EXPECTED = {(load, block): 1000 * block + load for load in range(3) for block in range(3)}


def test_every_cell_is_answered_and_empty_blocks_ask_nothing(cluster: Cluster) -> None:
    """Three loads over four blocks, one of them empty."""
    assert cluster.cpus == 2
    found = events(Adder)
    assert answers(found) == EXPECTED
    assert sorted(e.info for e in found if isinstance(e, BlockMade)) == [f"block {n}" for n in range(4)]
    finished = {e.load for e in found if isinstance(e, LoadFinished)}
    assert finished | {e.cell.load for e in found if isinstance(e, CellDone) and e.load_finished} == {0, 1, 2}


@pytest.mark.usefixtures("cluster")
def test_actor_that_dies_once_is_replaced(tmp_path: Path) -> None:
    """SIGKILL in the middle of a call: the cell is done by another actor."""
    marker = tmp_path / "died"
    found = events(lambda: Adder((1, 2), marker))
    assert marker.exists()
    assert answers(found) == EXPECTED
    assert not [e for e in found if isinstance(e, LoadLost)]


@pytest.mark.usefixtures("cluster")
def test_load_that_always_kills_its_actor_ends_itself_alone() -> None:
    """After as many attempts as are allowed it is given up; the other loads are complete."""
    found = events(lambda: Adder((1, 0)), attempts=2)
    assert [(e.load, e.reason) for e in found if isinstance(e, LoadLost)] == [(1, LOAD_DIED)]
    others = {key: value for key, value in answers(found).items() if key[0] != 1}
    assert others == {key: value for key, value in EXPECTED.items() if key[0] != 1}


class Exhausted:
    """Its calls end as those of an actor that the memory monitor has ended: with this error as their answer."""

    def __init__(self, tries: Path) -> None:
        self.tries = tries

    def __call__(self, load: int, block: tuple[int, np.ndarray]) -> int | OutOfMemoryError:
        with self.tries.open("a") as tries:
            tries.write("x")
        died = load == 1 and self.tries.stat().st_size < 50
        return OutOfMemoryError("Task was killed due to the node running low on memory") if died else block[0]


@pytest.mark.usefixtures("cluster")
def test_load_whose_actor_is_ended_for_its_memory_is_given_up_and_says_so(tmp_path: Path) -> None:
    """The actor is dead: nothing more is asked of it, another one tries; a smaller load may fit where this does not."""
    tries = tmp_path / "tries"
    found = events(lambda: Exhausted(tries), loads=2, blocks=1, attempts=2)
    assert [(e.load, e.reason, e.out_of_memory) for e in found if isinstance(e, LoadLost)] == [(1, LOAD_DIED, True)]
    assert answers(found) == {(0, 0): 0}
    assert tries.stat().st_size < 10


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("error", [ObjectLostError("00" * 28, None, ""), OutOfMemoryError("full")])
def test_block_that_is_made_again_is_told_again(error: RayError, tmp_path: Path) -> None:
    """What its second maker says may be otherwise. No actor is blamed for a block that is gone."""
    marker = tmp_path / "made"

    def make(number: int) -> tuple[Any, str, bool]:
        if marker.exists():
            return (number, np.full(1000, number)), "one image failed", False
        marker.touch()
        return error, "all is well", False

    plan = Plan([8000], {0: {0}}, Limits(20_000, attempts=1))
    with Pool(plan, Work(make, lambda block: (block,), {0: 0}), Actors(Adder, count=1)) as pool:
        found = list(pool.events())
    assert [(e.block, e.info, e.again) for e in found if isinstance(e, BlockMade)] == [
        (0, "all is well", False),
        (0, "one image failed", True),
    ]
    assert answers(found) == {(0, 0): 0}
    assert not [e for e in found if isinstance(e, LoadLost)]


@pytest.mark.usefixtures("cluster")
def test_error_arrives_as_it_was_raised() -> None:
    """What a handler raises is what the caller catches, with its own type and text."""
    with pytest.raises(LookupError, match="no such thing"):
        events(lambda: Adder(fail=True))


@pytest.mark.usefixtures("cluster")
def test_plain_tasks_run_beside_and_may_be_added_meanwhile() -> None:
    """A task submitted while events are handled is run too; shared values are put once."""
    plan = Plan([8000], {0: {0}}, Limits(100_000))
    tags: list[Any] = []
    with Pool(plan, Work(make_block, lambda block: (block,), {0: 0}), Actors(Adder, count=1)) as pool:
        shared = pool.put("numbers", list(range(5)))
        assert pool.put("numbers", None) is shared
        for event in pool.events():
            if isinstance(event, CellDone):
                pool.submit("sum", 1, total, shared)
            if isinstance(event, TaskDone):
                tags.append((event.tag, event.answer))
    assert tags == [("sum", 10)]
