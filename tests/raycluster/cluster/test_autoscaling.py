"""The project's cluster.yaml for real, with processes in place of machines: they come for work, and go without it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raycluster.cluster.looking import status
from raycluster.cluster.state import ClusterState
from raycluster.jobs.job import ENDED, Submission
from raycluster.jobs.server import RayJobServer
from tests.engine.conftest import Bench
from tests.raycluster.cluster.fake_cloud import FakeCloud, fake_cloud

_PATIENCE_S = 200

# Two calls that each want a GPU of their own, and wait for each other there.
WORK = """
import os, pathlib, ray, tempfile, time
ray.init(address="auto", log_to_driver=False)

@ray.remote(num_cpus=1, num_gpus=1)
def embed(folder):
    node = ray.get_runtime_context().get_node_id()
    pathlib.Path(folder, node).touch()
    while len(os.listdir(folder)) < 2:
        time.sleep(0.2)
    return node

with tempfile.TemporaryDirectory() as folder:
    print("machines:", len(set(ray.get([embed.remote(folder) for _ in range(2)]))))
"""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeCloud]:
    """A head alone, and machines that come when they are needed."""
    token = tmp_path_factory.mktemp("user") / "token"
    token.write_text("a" * 64)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_MODE"):
            patch.delenv(name, raising=False)
        patch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
        with fake_cloud() as started:
            yield started


def _seen(address: str, wanted: Callable[[ClusterState], bool]) -> ClusterState:
    """Return the first state of a cluster that is as wanted."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        state = status(address)
        if wanted(state):
            return state
        assert time.monotonic() < deadline, state
        time.sleep(0.3)


def _workers(state: ClusterState) -> list[str]:
    return [node.type for node in state.nodes if node.alive and not node.head]


def _tells_of_removal(state: ClusterState) -> bool:
    return any("Removing" in event.message and "gpu_spot" in event.message for event in state.events)


def _benchmark(folder: Path, device: str) -> Submission:
    """Return a run of evaljobs over a few images with three models, by the command that people type."""
    bench = Bench(folder).images(2, 2)
    for seed in range(3):
        bench.model(f"m{seed}", seed)
    bench.config["cluster"] = {"device": device}
    bench.write()
    command = f"{sys.executable} -m evaljobs run {folder / 'benchmark.yaml'} --address auto"
    return Submission(f"on-{device}", command)


def _ended(state: ClusterState, job: str) -> bool:
    (one,) = [one.job for one in state.jobs if one.job.id == job]
    return one.status in ENDED


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_machines_come_for_work_and_go_without_it(cloud: FakeCloud) -> None:
    """From zero to two spot machines, the type of the highest priority, and back to the head; all seen by HTTP."""
    address = cloud.server.url
    assert _workers(status(address)) == []
    jobs = RayJobServer(cloud.server)
    jobs.submit(Submission("work", "python work.py", files={"work.py": WORK.encode()}))
    seen = _seen(address, lambda state: any(one.demand.what == "embed" for one in state.waiting))
    (waiting,) = [one for one in seen.waiting if one.demand.what == "embed"]
    assert (waiting.demand.job, waiting.demand.resources) == ("work", {"CPU": 1.0, "GPU": 1.0})
    _seen(address, lambda state: _workers(state) == ["gpu_spot", "gpu_spot"])
    done = _seen(address, lambda state: _ended(state, "work"))
    assert [one.job.status for one in done.jobs if one.job.id == "work"] == ["succeeded"], jobs.log("work")
    assert "machines: 2" in jobs.log("work")
    assert _seen(address, lambda state: not _workers(state)).waiting == []
    _seen(address, _tells_of_removal)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_run_that_says_cuda_makes_gpu_machines_come(cloud: FakeCloud, tmp_path: Path) -> None:
    """From a head alone, which has no GPU: `auto` is refused with what to say, `cuda` waits for an actor's GPU."""
    address, jobs = cloud.server.url, RayJobServer(cloud.server)
    assert _workers(status(address)) == []
    jobs.submit(_benchmark(tmp_path / "auto", "auto"))
    _seen(address, lambda state: _ended(state, "on-auto"))
    assert "set `cluster.device: cuda`, or `cpu`" in jobs.log("on-auto")
    jobs.submit(_benchmark(tmp_path / "cuda", "cuda"))
    seen = _seen(address, lambda state: any(one.demand.resources.get("GPU") for one in state.waiting))
    assert [one.demand.job for one in seen.waiting if one.demand.resources.get("GPU")] == ["on-cuda"]
    _seen(address, lambda state: "gpu_spot" in _workers(state))
