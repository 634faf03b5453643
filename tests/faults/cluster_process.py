"""A process that holds a Ray cluster and obeys its standard input: `python -m tests.faults.cluster_process`.

Not in the process of the tests: what Ray keeps for a whole process (its key-value client, say) would be that of the
last cluster that was started, and when that one is killed, Ray ends the process after a minute without a word.

Each line is a command, and is answered by one line: ``add`` starts a node and answers the process id of its raylet,
``remove PID`` forgets a node that was killed, ``kill-head`` kills what knows the cluster, ``shutdown`` ends all.
"""

from __future__ import annotations

import sys
from typing import Any

from ray.cluster_utils import Cluster

NODE_MEMORY = 80 * 2**20
ANSWER = "answer: "
# A dead node is known for one after a second and a half, in place of half a minute.
_SYSTEM_CONFIG = {
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 3,
    "health_check_initial_delay_ms": 0,
}


class Held:
    """The cluster, and its nodes by the process ids of their raylets."""

    def __init__(self) -> None:
        self.cluster = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 0,
                "object_store_memory": NODE_MEMORY,
                "include_dashboard": False,
                "_system_config": _SYSTEM_CONFIG,
            },
        )
        self._nodes: dict[int, Any] = {}

    def obey(self, command: str, argument: str) -> object:
        """Carry a command out and return its answer."""
        match command:
            case "add":
                node = self.cluster.add_node(num_cpus=1, num_gpus=int(argument), object_store_memory=NODE_MEMORY)
                pid = int(node.all_processes["raylet"][0].process.pid)
                self._nodes[pid] = node
                return pid
            case "remove":
                self.cluster.remove_node(self._nodes.pop(int(argument)), allow_graceful=False)
            case "kill-head":
                gcs = self.cluster.head_node.all_processes["gcs_server"][0].process
                gcs.kill()
                gcs.wait()
            case "shutdown":
                for node in [*self._nodes.values(), self.cluster.head_node]:
                    self.cluster.remove_node(node, allow_graceful=False)
            case other:
                raise ValueError(f"found the command {other!r}, expected add, remove, kill-head or shutdown")
        return "done"


def main() -> None:
    """Start a cluster, answer its address, and obey until told to shut down, or until nobody is there to tell."""
    held = Held()
    print(f"{ANSWER}{held.cluster.address}", flush=True)
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        print(f"{ANSWER}{held.obey(command, argument)}", flush=True)
        if command == "shutdown":
            return
    held.obey("shutdown", "")


if __name__ == "__main__":
    main()
