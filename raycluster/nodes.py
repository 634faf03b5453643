"""Run something once on every node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raycluster.errors import ClusterError


def on_every_node(function: Callable[..., Any], *arguments: Any, timeout_s: float = 60) -> dict[str, Any]:
    """Return what a function answers on each node that is alive, by the node's address.

    Raises
    ------
    ClusterError
        If a node does not answer in time.
    """
    # No CPU is asked for: a head that does no work must answer too.
    task = ray.remote(num_cpus=0, max_retries=0)(function)
    asked = {
        node["NodeManagerAddress"]: task.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(*arguments)
        for node in ray.nodes()
        if node["Alive"]
    }
    try:
        return dict(zip(asked, ray.get(list(asked.values()), timeout=timeout_s), strict=True))
    except RayError as error:
        raise ClusterError(f"a node does not answer: {' '.join(str(error).split())[:200]}") from error
