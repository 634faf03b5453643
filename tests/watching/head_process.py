"""A process that holds a Ray of two CPUs whose metrics can be read: `python -m tests.watching.head_process`.

Its first line is JSON: the address of the cluster, and the port where Prometheus would read. It ends with its standard
input. Not in the process of the tests, which has a Ray of its own.
"""

from __future__ import annotations

import json
import sys

import ray


def main() -> None:
    """Start, answer, and wait until nobody is there to answer."""
    ray.init(
        address="local",
        num_cpus=2,
        object_store_memory=80 * 2**20,
        include_dashboard=False,
        log_to_driver=False,
    )
    (node,) = ray.nodes()
    found = {
        "address": ray.get_runtime_context().gcs_address,
        "metrics": f"{node['NodeManagerAddress']}:{node['MetricsExportPort']}",
    }
    print(json.dumps(found), flush=True)
    sys.stdin.read()
    ray.shutdown()


if __name__ == "__main__":
    main()
