"""Why work waits: which resource is missing, or taken. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from raycluster.cluster.state import Demand, Node, Waiting

# Sums of fractions such as 1/3.
_ROUNDING = 1e-6
_BYTES = {"memory", "object_store_memory"}


def explain(demand: Demand, nodes: Sequence[Node]) -> Waiting:
    """Return a demand with the reason why it waits on these nodes."""
    able = [node for node in nodes if node.alive]
    if not able:
        return Waiting(demand, "the cluster has no nodes", tuple(demand.resources))
    missing = tuple(name for name, amount in demand.resources.items() if _most(able, name) + _ROUNDING < amount)
    if missing:
        return Waiting(demand, "; ".join(_lacking(name, demand, able) for name in missing), missing)
    fitting = [node for node in able if _holds(node.total, demand.resources)]
    if not fitting:
        return Waiting(demand, f"no single node has {amounts(demand.resources)}", tuple(demand.resources))
    return Waiting(demand, _taken(demand, fitting), ())


def amounts(resources: Mapping[str, float]) -> str:
    """Return resources in words: 1 GPU and 0.5 CPU."""
    return " and ".join(f"{amount(name, value)} {name}" for name, value in sorted(resources.items())) or "nothing"


def amount(name: str, value: float) -> str:
    """Return so much of a resource: bytes in GiB, all else as it is."""
    return f"{value / 2**30:.1f} GiB" if name in _BYTES else f"{value:.4g}"


def _most(nodes: Iterable[Node], name: str) -> float:
    return max((node.total.get(name, 0.0) for node in nodes), default=0.0)


def _lacking(name: str, demand: Demand, nodes: Sequence[Node]) -> str:
    most = _most(nodes, name)
    asked = amount(name, demand.resources[name])
    return f"no node has {asked} {name}" + (f", the largest has {amount(name, most)}" if most else "")


def _holds(total: Mapping[str, float], resources: Mapping[str, float]) -> bool:
    return all(total.get(name, 0.0) + _ROUNDING >= value for name, value in resources.items())


def _taken(demand: Demand, nodes: Sequence[Node]) -> str:
    """Say which resources are in use, of the nodes that are large enough."""
    taken = [
        f"{amount(name, sum(n.used.get(name, 0.0) for n in nodes))} of "
        f"{amount(name, sum(n.total.get(name, 0.0) for n in nodes))} {name} in use"
        for name, value in sorted(demand.resources.items())
        if not any(n.total.get(name, 0.0) - n.used.get(name, 0.0) + _ROUNDING >= value for n in nodes)
    ]
    if taken:
        return "; ".join(taken)
    if any(_holds({k: v - n.used.get(k, 0.0) for k, v in n.total.items()}, demand.resources) for n in nodes):
        return "about to start: by the last count, enough is free"
    return "no node has all of it free at once"
