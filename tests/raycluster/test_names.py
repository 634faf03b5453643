"""What people see of a pool when they look at its cluster. On a real Ray of two CPUs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import ray

from raycluster.planning.plan import Limits, Plan
from raycluster.pool.events import BlockMade, TaskDone
from raycluster.pool.fan import Fan
from raycluster.pool.pool import Pool
from raycluster.pool.room import Node
from raycluster.pool.work import Actors, Work
from raycluster.sensors.readings import Limits as Bounds
from raycluster.sensors.rules import Rules

pytestmark = pytest.mark.usefixtures("cluster")


def own_name(*_: object) -> str:
    return str(ray.get_runtime_context().get_task_name())


def make_named(_: int) -> tuple[int, str, bool]:
    return 1, own_name(), False


def fan_out(share: Callable[[Any], Fan]) -> list[str]:
    return [own_name(), *share(1)(own_name, 0, range(2))]


@pytest.mark.parametrize("guest", [None, Rules(cpu=Bounds(free_memory_mb=1))])
def test_tasks_are_called_after_what_they_do(guest: Rules | None) -> None:
    """And not after what the pool wraps around it, which is the same for all."""
    plan = Plan([1], {1: {0}}, Limits(10))
    work = Work(make_named, lambda block: (block,), {1: 1})
    with Pool(plan, work, Actors(lambda: lambda load, block: load * block, count=1, guest=guest)) as pool:
        assert list(pool.nodes) == [Node(2.0, 0.0)]
        pool.submit("plain", 1, own_name)
        pool.submit("fan", 1, fan_out, pool.fan(1))
        found = list(pool.events())
    assert [event.info for event in found if isinstance(event, BlockMade)] == ["make_named"]
    names = {event.tag: event.answer for event in found if isinstance(event, TaskDone)}
    assert names == {"plain": "own_name", "fan": ["fan_out", "own_name", "own_name"]}
