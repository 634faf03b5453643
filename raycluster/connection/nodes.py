"""Run something once on every node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raycluster.errors import ClusterError

# Of a call that gets lost on its way, or whose process dies.
_RETRIES = 2


def on_every_node(
    function: Callable[..., Any], *arguments: Any, timeout_s: float = 180, having: str | None = None
) -> dict[str, Any]:
    """Return what a function answers on each node that is alive, by the node's name: ``address (start of its id)``.

    `having`: on those alone that offer a resource, such as CPU.

    Two nodes at one address are two nodes.

    Raises
    ------
    ClusterError
        If a node does not answer in time, or the function fails there.
    """
    # No CPU is asked for: a head that does no work must answer too.
    task = ray.remote(num_cpus=0, max_retries=_RETRIES)(function)
    asked = {
        f"{node['NodeManagerAddress']} ({node['NodeID'][:8]})": task.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(*arguments)
        for node in ray.nodes()
        if node["Alive"] and (having is None or node["Resources"].get(having))
    }
    _, silent = ray.wait(list(asked.values()), num_returns=len(asked), timeout=timeout_s)
    if silent:
        names = ", ".join(sorted(name for name, ref in asked.items() if ref in silent))
        raise ClusterError(f"no answer within {timeout_s:g} s from the node(s) {names}; see `ray status` on the head")
    return {name: _answer(name, ref) for name, ref in asked.items()}


def _answer(name: str, ref: Any) -> Any:
    try:
        return ray.get(ref)
    except RayError as error:
        raise ClusterError(f"the node {name} gives no answer: {' '.join(str(error).split())[:200]}") from error
