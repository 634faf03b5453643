"""Wait for GPUs: a head that was started again is there before its nodes are."""

from __future__ import annotations

import time
from collections.abc import Callable

import ray

from raycluster.connection.connect import Cluster, describe
from raycluster.connection.head import Head

_LOOK_S = 1.0


def await_gpus(cluster: Cluster, patience_s: float, say: Callable[[str], None]) -> Cluster:
    """Return a cluster as it is when a node with GPUs has joined, or when so many seconds are over.

    Parameters
    ----------
    say
        Told that it is waited for, where it is.

    Raises
    ------
    ClusterError
        If the head goes away meanwhile.
    """
    head, deadline = Head(), time.monotonic() + patience_s
    if not ray.cluster_resources().get("GPU"):
        say(f"the cluster has no GPUs now; waiting up to {patience_s:.0f} s for the nodes that have some")
    while not ray.cluster_resources().get("GPU") and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
        head.look()
    return describe(cluster.address, embedded=cluster.embedded)
