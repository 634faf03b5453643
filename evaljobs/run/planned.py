"""What a run computes on: what its configuration asks for, what it was planned for, and what its cluster has."""

from __future__ import annotations

from collections.abc import Callable

from evaljobs.config import Config
from evaljobs.engine.device import Device, Found, choose_device
from evaljobs.errors import RunFailedError
from raycluster.connection.connect import Cluster
from raycluster.errors import ClusterError

# For nodes with GPUs to join a head that was started again.
_GPUS_S = 900.0


def with_planned(config: Config, cluster: Cluster, say: Callable[[str], None], patience_s: float = _GPUS_S) -> Cluster:
    """Return a cluster, as soon as it has the GPUs that a run was planned for when it was submitted.

    Without them, what one attempt has computed on GPUs would be computed by the next one on CPUs, all over again.

    Raises
    ------
    RunFailedError
        If they do not come.
    """
    planned = _planned(config)
    if not planned or cluster.gpus or cluster.grows:
        return cluster
    # It loads Ray, which whoever is connected has done.
    from raycluster.connection.gpus import await_gpus

    try:
        found = await_gpus(cluster, patience_s, say)
    except ClusterError as error:
        raise RunFailedError(f"{error}. Run the same command again") from error
    if not found.gpus:
        raise RunFailedError(
            f"the cluster had {planned} GPU(s) when this run was planned, and none has come back for {patience_s:.0f} "
            "s. Nothing was computed: add the nodes again, or set `cluster.device: cpu` and submit it anew"
        )
    return found


def device_of(config: Config, cluster: Cluster | None) -> Device:
    """Choose the device of a run; see `choose_device`."""
    wanted = config.cluster.device
    if cluster is None:
        return choose_device(wanted, None)
    wanted = "cuda" if wanted == "auto" and _planned(config) else wanted
    return choose_device(wanted, Found(cluster.gpus, cluster.nodes, cluster.grows))


def _planned(config: Config) -> int:
    """Return the GPUs that the cluster had when this was submitted; 0 where none are asked for."""
    return 0 if config.submitted is None or config.cluster.device == "cpu" else config.submitted.gpus
