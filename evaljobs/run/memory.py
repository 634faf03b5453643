"""What memory the models of a run have: batches that did not fit are tried again where there is more."""

from __future__ import annotations

from evaljobs.engine.batches import Memory
from raycluster.connection.connect import Cluster
from raycluster.errors import ClusterError
from raycluster.sensors.capacity import memory_bytes

# For all nodes to answer.
_ASK_S = 30.0


def memory_of(cluster: Cluster | None, gpu_actors: int = 1) -> Memory:
    """Return what tells, for a device, the bytes of the machine, or of an actor's share of a GPU, that has least.

    It asks until somebody knows: a cluster that starts its nodes by itself may have none yet.

    Parameters
    ----------
    cluster
        Where the run is carried out, if it is known yet that it is not this machine alone.
    gpu_actors
        On one GPU, whose memory they divide.
    """
    known: dict[str, int] = {}

    def memory(device: str) -> int | None:
        if device not in known and (found := _least(cluster, device)) is not None:
            known[device] = found // gpu_actors if device == "cuda" else found
        return known.get(device)

    return memory


def _least(cluster: Cluster | None, device: str) -> int | None:
    if cluster is None or cluster.embedded:
        return memory_bytes(device)
    # It loads Ray, which whoever is connected has done.
    from raycluster.connection.nodes import on_every_node

    try:
        having = "GPU" if device == "cuda" else "CPU"
        found = on_every_node(memory_bytes, device, timeout_s=_ASK_S, having=having)
    except ClusterError:
        return None
    known = [each for each in found.values() if each is not None]
    return min(known) if known and len(known) == len(found) else None
