"""How many actors the nodes of a cluster have room for, beside the tasks that feed them.

Every CPU is offered twice, half to an actor and half to a task. So actors that stay for the whole run never starve the
tasks, as long as all of them together hold at most half of the CPUs.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from raycluster.errors import ClusterError

CPU_SHARE = 0.5


@dataclasses.dataclass(frozen=True)
class Node:
    """What a node offers: CPUs and GPUs."""

    cpus: float
    gpus: float

    def room(self, cpus: float, gpus: float) -> int:
        """Return how many actors of so many CPUs and GPUs it holds at once."""
        by_cpu = _times(self.cpus, cpus) if cpus else math.inf
        # Ray gives an actor a part of one GPU, or several whole ones.
        by_gpu = math.inf if not gpus else int(self.gpus) * _times(1, gpus) if gpus < 1 else _times(self.gpus, gpus)
        return int(min(by_cpu, by_gpu, 2**31))


def alive(nodes: Sequence[Mapping[str, Any]]) -> list[Node]:
    """Return what the nodes that are alive offer, from ``ray.nodes()``."""
    offers = [node["Resources"] for node in nodes if node["Alive"]]
    return [Node(float(offer.get("CPU", 0)), float(offer.get("GPU", 0))) for offer in offers]


def fit(nodes: Sequence[Node], cpus: float, gpus: float) -> int:
    """Return how many actors of so many CPUs and GPUs the nodes hold at once, 0 included."""
    return sum(node.room(cpus, gpus) for node in nodes)


def room(nodes: Sequence[Node], cpus: float, gpus: float) -> int:
    """Return how many actors of so many CPUs and GPUs the nodes hold at once.

    Raises
    ------
    ClusterError
        If no node holds even one.
    """
    if found := fit(nodes, cpus, gpus):
        return found
    raise ClusterError(
        f"no node of the cluster has room for {asked(cpus, gpus)}, which one process asks for; {offered(nodes)}. "
        "Ask for less, or add such a node"
    )


def asked(cpus: float, gpus: float) -> str:
    """Say what one process asks for."""
    return f"{cpus:g} CPU(s)" + (f" and {gpus:g} GPU(s)" if gpus else "")


def offered(nodes: Sequence[Node], free: Mapping[str, float] | None = None) -> str:
    """Say what the nodes have, equal ones together, and what of it is free, where that is given."""
    kinds: dict[Node, int] = {}
    for node in nodes:
        kinds[node] = kinds.get(node, 0) + 1
    each = [f"{n} with {node.cpus:g} CPU(s) and {node.gpus:g} GPU(s)" for node, n in kinds.items()]
    if not each:
        return "it has no node that is alive"
    left = (
        "" if free is None else f", of which {free.get('CPU', 0):g} CPU(s) and {free.get('GPU', 0):g} GPU(s) are free"
    )
    return f"its nodes are {', '.join(each)}{left}"


def _times(whole: float, part: float) -> int:
    """Return how often a part fits: 0.1 fits ten times into 1, which floating-point `//` denies."""
    return math.floor(whole / part + 1e-9)
