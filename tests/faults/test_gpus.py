"""Nodes with GPUs that come back after their head: a run waits for them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.faults.multinode import MultiNode

pytestmark = pytest.mark.slow

_WAIT = """
import sys
from raycluster.connection.connect import connect
from raycluster.connection.gpus import await_gpus
with connect(sys.argv[1]) as cluster:
    found = await_gpus(cluster, 120, lambda line: print(line, flush=True))
    print("GPUs:", cluster.gpus, found.gpus, "new nodes:", found.nodes - cluster.nodes, flush=True)
"""


def test_gpus_that_join_later_are_waited_for(nodes: MultiNode) -> None:
    """Until the first node that has some is there; the cluster is looked at anew then."""
    nodes.heal()
    waiting = subprocess.Popen([sys.executable, "-c", _WAIT, nodes.address], stdout=subprocess.PIPE, text=True)
    assert waiting.stdout is not None
    assert waiting.stdout.readline() == (
        "the cluster has no GPUs now; waiting up to 120 s for the nodes that have some\n"
    )
    nodes.add(gpus=1)
    output, _ = waiting.communicate(timeout=120)
    nodes.kill_node(nodes.nodes[-1])
    assert (waiting.returncode, output) == (0, "GPUs: 0 1 new nodes: 1\n")
