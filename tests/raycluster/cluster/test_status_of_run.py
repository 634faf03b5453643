"""`raycluster status` while a run is on the cluster: how far it is, and each of its models."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from raycluster.cluster.looking import status
from raycluster.jobs.job import ENDED
from raycluster.jobs.stages import summary
from raycluster.jobs.submitting import Wish, submit
from raycluster.program import Stage
from tests.engine.conftest import Bench
from tests.ray_head import RayHead
from tests.s3_server import S3Server

_PATIENCE_S = 240


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_sweep_says_how_far_it_is(
    tmp_path: Path, s3: S3Server, ray_head: RayHead, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From outside, over HTTP: the run's stages and its models by name, and what is in use, until it ends."""
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(ray_head.token_file))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "bench").mkdir()
    bench = Bench(tmp_path / "bench").images(30, 30)
    for number in range(6):
        bench.model(f"model{number}", number + 1)
    bench.config["store"] = f"{s3.bucket()}/store"
    job = submit(bench.write(), Wish(), address=ray_head.address, say=print).job
    seen: dict[tuple[str | None, str], Stage] = {}
    busy = 0.0
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        state = status(ray_head.address)
        (one,) = [found for found in state.jobs if found.job.id == job.id]
        seen |= {(stage.model, stage.stage): stage for stage in one.stages}
        busy = max(busy, *(node.used.get("CPU", 0.0) for node in state.nodes))
        if one.job.status in ENDED:
            break
        assert time.monotonic() < deadline, state
        time.sleep(0.2)
    assert one.job.status == "succeeded", one.job.message
    assert {model for model, _ in seen if model} >= {"model0"}
    assert any(model is None for model, _ in seen)
    assert summary(list(seen.values()))
    assert busy > 0
    assert [node.alive for node in state.nodes] == [True]
