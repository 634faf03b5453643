"""What a pool is given: the work that a plan's numbers stand for, and the actors that do it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import ray

from raycluster.sensors.cgroups import oom_kills
from raycluster.sensors.rules import Rules

Builder = Callable[[], Callable[[Any, Any], Any]]


@dataclasses.dataclass(frozen=True)
class Actors:
    """How many actors at most, what each asks of the cluster, and what each holds.

    Without a `count`, as many as the nodes have room for, while nodes come and go. `build` runs inside the actor and
    returns what processes a block: ``handler(load_argument, block)``. Nodes that are to be avoided, by their ids, get
    none as long as another one has room for one. `guest`: for what they wait on machines that are shared with others,
    and so do the tasks beside them.
    """

    build: Builder
    count: int | None = None
    cpus: float = 1
    gpus: float = 0
    avoid: frozenset[str] = frozenset()
    guest: Rules | None = None


@dataclasses.dataclass(frozen=True)
class Work:
    """What the numbers of a plan stand for.

    `make(*make_arguments(block))` runs in a task and returns ``(block, info, is_empty)``; the block stays there.
    """

    make: Callable[..., tuple[Any, Any, bool]]
    make_arguments: Callable[[int], tuple[Any, ...]]
    load_arguments: dict[int, Any]


class Ready(NamedTuple):
    """An actor that is there: the id of its node, and how many processes were ended there for want of memory so far."""

    node: str
    oom_kills: int


class _Worker:
    """The actor: one handler, built where it runs."""

    def __init__(self, build: Builder) -> None:
        self._handler = build()

    def ready(self) -> Ready:
        """Answer as soon as the handler is built; say where it is."""
        return Ready(str(ray.get_runtime_context().get_node_id()), oom_kills())

    def process(self, load_argument: Any, block: Any) -> Any:
        return self._handler(load_argument, block)
