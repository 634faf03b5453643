"""A real Ray cluster of several nodes on this machine, and its processes to kill."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ray.cluster_utils import Cluster

NODE_MEMORY = 80 * 2**20
# A dead node is known for one after a second and a half, in place of half a minute.
_SYSTEM_CONFIG = {
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 3,
    "health_check_initial_delay_ms": 0,
}


@dataclasses.dataclass(frozen=True)
class Process:
    """One process of this machine."""

    pid: int
    parent: int
    command: str

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


def processes() -> Iterator[Process]:
    """Yield every process of this machine."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            yield Process(int(entry.name), int(stat.rsplit(")", 1)[1].split()[1]), command)


class MultiNode:
    """A head without CPUs, to which drivers connect, and nodes of one CPU each that work."""

    def __init__(self, nodes: int = 2) -> None:
        self.cluster = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 0,
                "object_store_memory": NODE_MEMORY,
                "include_dashboard": False,
                "_system_config": _SYSTEM_CONFIG,
            },
        )
        for _ in range(nodes):
            self.add()

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    @property
    def nodes(self) -> list[Any]:
        """The nodes that work, oldest first."""
        return sorted(self.cluster.worker_nodes, key=lambda node: node.start_time)

    def add(self) -> None:
        """Start one more node, and wait until the cluster knows it."""
        node = self.cluster.add_node(num_cpus=1, object_store_memory=NODE_MEMORY)
        node.start_time = time.monotonic()

    def heal(self, nodes: int = 2) -> None:
        """Start as many nodes as are missing."""
        while len(self.nodes) < nodes:
            self.add()

    def workers(self, title: str, node: Any = None) -> list[Process]:
        """Return the worker processes of a node, or of all, whose title holds a word."""
        raylets = {raylet_of(n) for n in ([node] if node is not None else self.nodes)}
        return [p for p in processes() if p.parent in raylets and title in p.command]

    def kill_node(self, node: Any) -> None:
        """Kill a machine: its raylet, which is its object store too, and all workers, at once."""
        raylet = raylet_of(node)
        victims = [p for p in processes() if raylet in {p.pid, p.parent}]
        for victim in victims:
            try:
                victim.kill()
            except ProcessLookupError:
                continue
        self.cluster.remove_node(node, allow_graceful=False)

    def kill_head(self) -> None:
        """Kill what knows the cluster; the driver's own node stays."""
        gcs = self.cluster.head_node.all_processes["gcs_server"][0].process
        gcs.kill()
        gcs.wait()

    def shutdown(self) -> None:
        for node in list(self.nodes):
            self.cluster.remove_node(node, allow_graceful=False)
        self.cluster.remove_node(self.cluster.head_node, allow_graceful=False)


def raylet_of(node: Any) -> int:
    return int(node.all_processes["raylet"][0].process.pid)
