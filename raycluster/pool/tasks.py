"""Hand blocks to be made and plain tasks to Ray, each under the name of what it does: that is what people see there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ray

from raycluster.pool import room
from raycluster.pool.calls import Running
from raycluster.pool.marks import marked, marked_block, name_of
from raycluster.pool.work import Work


class Tasks:
    """Submits the tasks of a pool, which tries them again itself: Ray does not tell a death from a lost machine.

    Parameters
    ----------
    work
        As it was given, for its names.
    sent
        The same as it is carried out.
    """

    def __init__(self, work: Work, sent: Work) -> None:
        self._work = sent
        make = ray.remote(num_cpus=room.CPU_SHARE, num_returns=2, max_retries=0)(marked_block)
        self._make = make.options(name=name_of(work.make))
        self._run = ray.remote(max_retries=0)(marked)

    def make(self, block: int, mark: str) -> tuple[Any, Any]:
        """Have a block made; return the references of the block and of what is told of it."""
        made, told = self._make.remote(mark, self._work.make, *self._work.make_arguments(block))
        return made, told

    def run(self, call: Running, share: float, nodes: Sequence[room.Node]) -> Any:
        """Have a plain task carried out, on so much of a CPU for each thread; return the reference of its answer."""
        largest = max((node.cpus for node in nodes), default=call.threads) or call.threads
        task = self._run.options(num_cpus=min(call.threads, largest) * share, name=call.name)
        return task.remote(call.mark, call.function, *call.arguments)
