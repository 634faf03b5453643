"""How often something may die before it is given up."""

from __future__ import annotations

import pytest
from ray.exceptions import NodeDiedError, ObjectLostError, OutOfMemoryError, RayError, WorkerCrashedError

from raycluster.pool.calls import Deaths

LOST = ObjectLostError("00" * 28, None, "")


def test_processes_that_die_of_it_are_counted_each_by_itself() -> None:
    """The third death of one block is too many; another block's are its own."""
    deaths = Deaths()
    assert [deaths.too_many("block", WorkerCrashedError(), 3) for _ in range(3)] == [False, False, True]
    assert not deaths.too_many("other", WorkerCrashedError(), 3)


@pytest.mark.parametrize("error", [NodeDiedError("gone"), OutOfMemoryError("full"), LOST])
def test_bad_luck_is_not_held_against_it_but_ends(error: RayError) -> None:
    """Machines that go away and memory that others take: nothing is given up for a few of them, and there is an end."""
    deaths = Deaths()
    found = [deaths.too_many("block", error, 3) for _ in range(10)]
    assert found == [False] * 9 + [True]
    assert not deaths.too_many("block", WorkerCrashedError(), 3)
