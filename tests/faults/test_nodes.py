"""A real cluster of nodes, and what is killed there: the finished run equals an undisturbed one, row for row."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.multinode import ACTOR, MultiNode, Process
from tests.faults.workload import Expected, Run, results, rows

Start = Callable[..., Run]

pytestmark = pytest.mark.slow


def assert_ends_as(run: Run, expected: Expected) -> str:
    """Wait for a run; compare every row of every table, and the results; return what it said."""
    code, output = run.wait()
    assert code == 0, output
    assert rows(run.config.parent / "store") == expected.rows
    assert results(run.config) == expected.results
    return output


def kill_one(run: Run, victims: Callable[[], list[Process]], rng: random.Random) -> None:
    """Kill one of them as soon as there is one."""
    found: list[Process] = []

    def killed() -> bool:
        found[:] = victims()
        if not found:
            return False
        rng.choice(found).kill()
        return True

    run.until(killed)


def test_whatever_is_killed_nothing_changes(workload: Path, nodes: MultiNode, start: Start, expected: Expected) -> None:
    """SIGKILL of a decoding worker, an actor, a node and the driver, one after the other at moments by chance."""
    rng = random.Random(1)
    run = start(workload, "--address", nodes.address)
    kill_one(run, lambda: nodes.workers("ray::decode_shard"), rng)
    # A tenth of all parts at most between two of them, so that each finds the run at work.
    few = max(1, expected.parts // 10)
    for kind in rng.sample(["actor", "node", "driver"], 3):
        run.until_parts(run.parts() + rng.randint(1, few))
        time.sleep(rng.uniform(0, 0.1))
        if kind == "actor":
            kill_one(run, lambda: nodes.workers(ACTOR), rng)
        elif kind == "node":
            with nodes.held():
                nodes.kill_node(rng.choice(nodes.nodes))
                nodes.add()
        else:
            run.kill()
            rows(workload.parent / "store")  # raises where a part is not whole
            run = start(workload, "--address", nodes.address)
    assert_ends_as(run, expected)


def test_node_that_joins_later_is_used(workload: Path, nodes: MultiNode, start: Start, expected: Expected) -> None:
    """One of two nodes dies: the run goes on with one worker, with two as soon as there is a new node, and says so.

    The actor of the other node is held until then, so that the run cannot end before.
    """
    run = start(workload, "--address", nodes.address)
    run.until_parts(1)
    with nodes.held():
        nodes.kill_node(nodes.nodes[0])
        nodes.add()
    assert "2 worker(s)" in assert_ends_as(run, expected)


def test_two_runs_on_one_store_and_one_cluster(
    workload: Path, nodes: MultiNode, start: Start, expected: Expected
) -> None:
    """Both end right, though the actors of each hold the room that the other's tasks need."""
    folder = str(workload.parent / "other")
    runs = [start(workload, "--address", nodes.address), start(workload, "--address", nodes.address, "--out", folder)]
    for run in runs:
        assert_ends_as(run, expected)
    assert results(workload, "other") == expected.results


@pytest.mark.root
def test_what_fails_on_one_node_is_tried_on_another(
    workload: Path, nodes: MultiNode, start: Start, expected: Expected
) -> None:
    """A node that cannot read the models fails each of them: none is lost, and the node is avoided.

    The other nodes are held from their first part on until that has happened, so that they cannot do everything before.
    """
    with nodes.blind_node(workload.parent / "models") as blind:
        run = start(workload, "--address", nodes.address)
        come: list[bool] = []

        def come_and_gone() -> bool:
            if run.parts():
                nodes.hold()
            come.append(bool(nodes.workers(ACTOR, blind)))
            return any(come) and not come[-1]

        try:
            run.until(come_and_gone)
        finally:
            nodes.release()
        output = assert_ends_as(run, expected)
    assert "it is tried on another node" in output
    assert "it is avoided" in output


# The same program, with less patience than a head needs that is started again.
_IMPATIENT = "import raycluster.connection.head as head; head.PATIENCE_S = 2.0; from evaljobs.cli import main; main()"


def test_lost_head_ends_the_run_with_a_message(workload: Path, start: Start, expected: Expected) -> None:
    """Exit code 4 and a reason, before Ray itself ends the process; what was committed is kept."""
    lost = MultiNode(nodes=1)
    try:
        run = start(workload, "--address", lost.address, program=("-c", _IMPATIENT))
        run.until_parts(2)
        lost.kill_head()
        code, output = run.wait()
    finally:
        lost.shutdown()
    assert code == 4, output
    assert "the head of the cluster" in output
    assert "What was computed is kept" in output
    assert "Traceback" not in output
    kept = rows(workload.parent / "store")
    assert kept
    assert kept.items() <= expected.rows.items()
