"""Whole processes that are killed: the command as people start it, on this machine alone and on a cluster of nodes."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from raycluster.connection.connect import Cluster
from tests.faults.multinode import MultiNode
from tests.faults.workload import Expected, Run, carry_out, parts, results, rows, write_workload


@pytest.fixture
def start() -> Iterator[Callable[..., Run]]:
    """Start runs, and leave none behind."""
    started: list[Run] = []

    def begin(config: Path, *arguments: str, **options: Any) -> Run:
        started.append(Run(config, *arguments, **options))
        return started[-1]

    yield begin
    for run in started:
        if run.running:
            run.signal_group(signal.SIGKILL)
            run.popen.communicate()


@pytest.fixture(scope="session")
def nodes() -> Iterator[MultiNode]:
    """A real cluster: a head without CPUs, and two nodes of one CPU."""
    cluster = MultiNode()
    yield cluster
    cluster.shutdown()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workload that keeps two nodes busy for some seconds, never run."""
    return write_workload(tmp_path_factory.mktemp("workload"), images=480, models=3).parent


@pytest.fixture(scope="session")
def expected(cluster: Cluster, template: Path, tmp_path_factory: pytest.TempPathFactory) -> Expected:
    """What the workload leaves on one machine, where nobody disturbs it."""
    assert cluster.cpus == 2
    folder = tmp_path_factory.mktemp("expected") / "workload"
    shutil.copytree(template, folder)
    config = folder / "benchmark.yaml"
    carry_out(config)
    found = rows(folder / "store")
    assert len(found) == 3 * 480
    return Expected(found, results(config), len(parts(folder / "store")))


@pytest.fixture
def workload(template: Path, tmp_path: Path, nodes: MultiNode) -> Path:
    """A copy of the workload to run; returns its configuration. Both nodes are alive."""
    nodes.heal()
    shutil.copytree(template, tmp_path / "workload")
    return tmp_path / "workload" / "benchmark.yaml"
