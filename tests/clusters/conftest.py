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

from raycluster.connection.connect import Cluster
from tests.clusters.cluster import NetworkCluster
from tests.clusters.network import Machine, network
from tests.faults.workload import Expected, carry_out, parts, results, rows, write_workload
from tests.raycluster import command_line

Command = Callable[..., tuple[int, str]]
Start = Callable[..., subprocess.Popen[str]]
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


@pytest.fixture(scope="module")
def site(machines: dict[str, Machine]) -> Iterator[Site]:
    """A cluster that the tests of a module share.

    Its folder has a short name, since sockets lie in it, whose paths the kernel limits.
    """
    head, one, two, spare = machines.values()
    folder = Path(tempfile.mkdtemp(prefix="nc-", dir="/tmp"))
    try:
        yield Site(head, (one, two), spare, NetworkCluster(head, [one, two], folder))
    finally:
        for machine in machines.values():
            machine.power_off()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def environment(site: Site, tmp_path: Path) -> dict[str, str]:
    """What this machine needs to reach the cluster, of which it is not part, and folders of its own."""
    folders = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "XDG_STATE_HOME": str(tmp_path / "state")}
    return {**site.cluster.environment, **folders}


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Start]:
    """Return what starts the command line on this machine in a process of its own."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "raycluster", *map(str, arguments)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def raycluster(environment: dict[str, str]) -> Command:
    """Return what carries a command out in this process: exit code, and output with errors behind it."""

    def call(*arguments: object) -> tuple[int, str]:
        done = command_line.run(*arguments, environment=environment)
        return done.returncode, done.stdout + done.stderr

    return call


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workload that keeps two nodes busy for some seconds, never run."""
    return write_workload(tmp_path_factory.mktemp("workload"), images=_IMAGES, models=_MODELS).parent


@pytest.fixture(scope="session")
def expected(cluster: Cluster, template: Path, tmp_path_factory: pytest.TempPathFactory) -> Expected:
    """What it leaves on this machine alone, where nobody disturbs it."""
    assert cluster.cpus == 2
    folder = tmp_path_factory.mktemp("expected") / "workload"
    shutil.copytree(template, folder)
    carry_out(folder / "benchmark.yaml")
    found = rows(folder / "store")
    return Expected(found, results(folder / "benchmark.yaml"), len(parts(folder / "store")))


@pytest.fixture
def workload(template: Path, tmp_path: Path) -> Path:
    """A copy of the workload to run; returns its configuration."""
    shutil.copytree(template, tmp_path / "workload")
    return tmp_path / "workload" / "benchmark.yaml"
