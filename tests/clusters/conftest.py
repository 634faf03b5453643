"""Machines on a network of their own, a cluster on them, and the command line outside of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.clusters.cluster import NetworkCluster
from tests.clusters.network import Machine, network
from tests.faults.workload import Expected, Run, parts, results, rows, write_workload

Command = Callable[..., subprocess.Popen[str]]
_IMAGES, _MODELS = 480, 3


class Site(NamedTuple):
    """A cluster with two workers, and a machine that is not part of it yet."""

    head: Machine
    workers: tuple[Machine, Machine]
    spare: Machine
    cluster: NetworkCluster


@pytest.fixture(scope="session")
def machines() -> Iterator[dict[str, Machine]]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("machines of their own need root and iproute2")
    with network(["head", "one", "two", "three"]) as found:
        yield found


@pytest.fixture
def site(machines: dict[str, Machine]) -> Iterator[Site]:
    """A fresh cluster; its folder has a short name, since sockets lie in it, whose paths the kernel limits."""
    head, one, two, spare = machines.values()
    folder = Path(tempfile.mkdtemp(prefix="nc-", dir="/tmp"))
    try:
        yield Site(head, (one, two), spare, NetworkCluster(head, [one, two], folder))
    finally:
        for machine in machines.values():
            machine.power_off()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def raycluster(site: Site, tmp_path: Path) -> Iterator[Command]:
    """Return what starts the command line on this machine, which is not part of the cluster."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> subprocess.Popen[str]:
        folders = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "XDG_STATE_HOME": str(tmp_path / "state")}
        process = subprocess.Popen(
            [sys.executable, "-m", "raycluster", *map(str, arguments)],
            env={**site.cluster.environment, **folders},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workload that keeps two nodes busy for some seconds, never run."""
    return write_workload(tmp_path_factory.mktemp("workload"), images=_IMAGES, models=_MODELS).parent


@pytest.fixture(scope="session")
def expected(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Expected:
    """What it leaves on this machine alone, where nobody disturbs it."""
    folder = tmp_path_factory.mktemp("expected") / "workload"
    shutil.copytree(template, folder)
    code, output = Run(folder / "benchmark.yaml").wait()
    assert code == 0, output
    found = rows(folder / "store")
    return Expected(found, results(folder / "benchmark.yaml"), len(parts(folder / "store")))


@pytest.fixture
def workload(template: Path, tmp_path: Path) -> Path:
    """A copy of the workload to run; returns its configuration."""
    shutil.copytree(template, tmp_path / "workload")
    return tmp_path / "workload" / "benchmark.yaml"
