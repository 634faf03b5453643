"""Calls that get lost on their way are made again: carried out twice, answered once, and the store is the same."""

from __future__ import annotations

import collections
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from evaljobs.schemas import DIGEST
from evaljobs.store import Store
from tests.faults.multinode import MultiNode

LOADS, BLOCKS, ROWS = 3, 8, 4

# The driver, in a process of its own: Ray reads what is to fail when it is imported. Every call leaves a line.
DRIVER = f"""
import os, sys
import numpy as np
import pyarrow as pa
from evaljobs.schemas import DIGEST
from evaljobs.store import Store
from raycluster.connection.connect import connect
from raycluster.planning.plan import Limits, Plan
from raycluster.pool.events import BlockMade, CellDone
from raycluster.pool.pool import Pool
from raycluster.pool.work import Actors, Work

folder = sys.argv[2]

def note(what):
    with open(f"{{folder}}/calls", "a") as calls:
        calls.write(what + "\\n")

def make(block):
    note(f"make {{block}}")
    return np.full({ROWS}, block), None, False

def build():
    store = Store(f"{{folder}}/store")
    def process(load, block):
        note(f"process {{load}} {{block[0]}}")
        digests = [bytes([block[0], row]) + bytes(30) for row in range({ROWS})]
        rows = np.outer(np.arange({ROWS}) + 10 * block[0], [1, load + 1]).astype(np.float32)
        store.table({{"model": f"{{load}}"}}).commit(pa.array(digests, DIGEST), {{"embedding": rows}})
        return int(block[0])
    return process

Store(f"{{folder}}/store").open()
blocks = range({BLOCKS})
plan = Plan([100] * {BLOCKS}, {{load: set(blocks) for load in range({LOADS})}}, Limits(10_000))
with connect(sys.argv[1]):
    work = Work(make, lambda block: (block,), {{load: load for load in range({LOADS})}})
    with Pool(plan, work, Actors(build, count=2)) as pool:
        for event in pool.events():
            match event:
                case BlockMade(block):
                    print("made", block)
                case CellDone(cell, answer):
                    assert answer == cell.block
                    print("done", cell.load, cell.block)
"""

# The first two are carried out, and their answers lost; the next two fail while they are on their way; then by chance.
LOST = {
    "CoreWorkerService.grpc_client.PushTask": {
        "num_failures": 6,
        "req_failure_prob": 0,
        "resp_failure_prob": 5,
        "in_flight_failure_prob": 5,
        "num_lower_bound_resp_failures": 2,
        "num_lower_bound_in_flight_failures": 2,
    }
}


@pytest.mark.slow
def test_repeated_calls_change_nothing(nodes: MultiNode, tmp_path: Path) -> None:
    """Ray loses answers of calls on purpose: some calls run twice, each is answered once, and every row stands once."""
    nodes.heal()
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, nodes.address, str(tmp_path)],
        env={**os.environ, "RAY_testing_rpc_failure": json.dumps(LOST)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    carried_out = collections.Counter((tmp_path / "calls").read_text(encoding="utf-8").splitlines())
    assert max(carried_out.values()) > 1, "nothing was repeated: this proves nothing"
    cells = [f"done {load} {block}" for load in range(LOADS) for block in range(BLOCKS)]
    told = [line for line in done.stdout.splitlines() if line.startswith(("made", "done"))]
    assert sorted(told) == sorted([*cells, *(f"made {block}" for block in range(BLOCKS))])
    digests = pa.array([bytes([b, row]) + bytes(30) for b in range(BLOCKS) for row in range(ROWS)], DIGEST)
    for load in range(LOADS):
        table = Store(str(tmp_path / "store")).table({"model": f"{load}"})
        assert sorted(table.digests().to_pylist()) == sorted(digests.to_pylist())
        expected = np.concatenate([np.outer(np.arange(ROWS) + 10 * b, [1, load + 1]) for b in range(BLOCKS)])
        assert np.array_equal(table.read(digests, "embedding"), expected.astype(np.float32))
