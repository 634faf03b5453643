"""Connect to a Ray cluster, or start one on this machine that ends with this process.

Ray is imported here when it is needed, and not before: authentication must be set in the environment by then, and a run
with nothing to compute does not need it at all.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator

from raycluster.connection import auth, loopback
from raycluster.errors import ClusterError

_KNOCK_S = 5.0
# For a first node to join a head that does no work.
_WORKER_S = 60.0
_LOOK_S = 0.5

_log = logging.getLogger(__name__)

# Of the embedded Ray, for its start alone: a head that this process starts later has other readers. What the
# environment says goes before.
EMBEDDED = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # What a later Ray does anyway, and this one warns about: leave CUDA_VISIBLE_DEVICES of CPU workers alone.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Ray ends a worker that had nothing to do for a second, and starts one for the next task: two seconds of a core
    # each time, a quarter of a sweep of small models. All end with this process.
    "RAY_idle_worker_killing_time_threshold_ms": "600000",
    # What takes a quarter of what Ray's processes do beside the work, for readers that are not there: states of tasks
    # and statistics of loops for its dashboard, and logs, looked through ten times a second, for the driver's terminal.
    "RAY_task_events_report_interval_ms": "0",
    "RAY_event_stats": "0",
    "RAY_LOG_MONITOR_MANY_FILES_THRESHOLD": "0",
    "LOG_NAME_UPDATE_INTERVAL_S": "86400",
}


@dataclasses.dataclass(frozen=True)
class Cluster:
    """What a connection found.

    Attributes
    ----------
    nodes, cpus, gpus
        Of this moment.
    object_store_bytes
        Of all nodes together.
    embedded
        Whether it was started here, and ends with this process.
    grows
        Whether it starts nodes by itself: then those of this moment say little.
    """

    address: str
    nodes: int
    cpus: int
    gpus: int
    object_store_bytes: int
    embedded: bool
    grows: bool = False


@contextlib.contextmanager
def connect(
    address: str | None = None,
    *,
    cpus: int | None = None,
    object_store_mb: int | None = None,
    say: Callable[[str], None] = _log.info,
) -> Iterator[Cluster]:
    """Yield a connected cluster; on leaving, end what was started here, and nothing else.

    Parameters
    ----------
    address
        Of a running cluster. None: a Ray of our own on this machine, without dashboard, gone with this process.
    cpus
        Cores of the embedded Ray; all by default.
    object_store_mb
        Memory of the embedded Ray's object store; Ray's own choice by default.
    say
        Told what is waited for.

    Raises
    ------
    ClusterError
        If there is nothing at the address, or Ray does not start.
    """
    if _connected():
        # Somebody else's connection (a notebook, a test session): used, and left as it is.
        yield describe("this process's own connection", embedded=False)
        return
    if address is None:
        auth.protect()
    else:
        _knock(address)
    import ray

    # The first error ends a run and is raised; Ray would print those of the other calls in flight, with their stacks.
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    try:
        with _own_sigterm():
            if address is None:
                _start(cpus, object_store_mb)
            else:
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # Ray raises this very class where a node does not come up in time
        raise ClusterError(_explain(address, error)) from error
    try:
        if address is not None:
            _await_worker(say)
        yield describe(address or "embedded", embedded=address is None)
    finally:
        ray.shutdown()


def _connected() -> bool:
    """Whether this process has a connection already; asked without importing Ray, which would settle its settings."""
    if "ray" not in sys.modules:
        return False
    import ray

    return bool(ray.is_initialized())


def _knock(address: str) -> None:
    """See whether anybody listens: Ray itself tries for minutes, and ends the process when it gives up."""
    if address.startswith("ray://"):
        raise ClusterError(
            f"{address} is the address of a Ray client server; a run needs the cluster's own address (host:6379), "
            "from a machine of the cluster"
        )
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        if address == "auto":
            return
        raise ClusterError(
            f"{address!r} is no address of a cluster; expected host:port, such as 10.0.0.1:6379, or auto"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(_explain(address, error)) from error
    loopback.stay(host.strip("[]"), int(port))


def _await_worker(say: Callable[[str], None]) -> None:
    """Wait a while for a node that works: a head that was just started again has none yet."""
    import ray

    from raycluster.connection.autoscaler import may_grow

    deadline = time.monotonic() + _WORKER_S
    told = False
    while not {"CPU", "GPU"} & ray.cluster_resources().keys() and time.monotonic() < deadline and not may_grow():
        if not told:
            say(f"the cluster has no node that works; waiting up to {_WORKER_S:.0f} s for one")
        told = True
        time.sleep(_LOOK_S)


@contextlib.contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keep the caller's SIGTERM handler: Ray puts one in its place that prints a stack and exits with 15."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def _start(cpus: int | None, object_store_mb: int | None) -> None:
    import ray

    own = {name: value for name, value in EMBEDDED.items() if name not in os.environ}
    os.environ.update(own)
    try:
        ray.init(
            address="local",
            num_cpus=cpus,
            object_store_memory=object_store_mb * 2**20 if object_store_mb else None,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    finally:
        for name in own:
            del os.environ[name]


def describe(address: str, *, embedded: bool) -> Cluster:
    """Return what the cluster that this process is connected to is at this moment."""
    import ray

    from raycluster.connection.autoscaler import may_grow

    total = ray.cluster_resources()
    return Cluster(
        address=address,
        nodes=sum(1 for node in ray.nodes() if node["Alive"]),
        cpus=int(total.get("CPU", 0)),
        gpus=int(total.get("GPU", 0)),
        object_store_bytes=int(total.get("object_store_memory", 0)),
        embedded=embedded,
        grows=not embedded and may_grow(),
    )


def _explain(address: str | None, error: Exception) -> str:
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    if address is None:
        return f"Ray does not start on this machine: {reason}"
    return (
        f"no Ray cluster answers at {address}: {reason}. Check the address (`ray status` on the head shows it), "
        "or leave it out to run on this machine"
    )
