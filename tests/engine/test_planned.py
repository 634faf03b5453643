"""A run that was submitted computes on what it was planned for, or says why not."""

from __future__ import annotations

import dataclasses

import pytest

from evaljobs.config import Config
from evaljobs.errors import RunFailedError, UsageError
from evaljobs.run.planned import device_of, with_planned
from raycluster.connection.connect import Cluster

CPUS = Cluster("auto", nodes=3, cpus=8, gpus=0, object_store_bytes=2**30, embedded=False)
GPUS = dataclasses.replace(CPUS, gpus=2)
GROWING = dataclasses.replace(CPUS, grows=True)


def asked(device: str, planned: int | None = None) -> Config:
    """Return a configuration: submitted, where there is a number of GPUs that the cluster had then."""
    submitted = None if planned is None else {"digest": "0" * 64, "gpus": planned}
    found = {"images": {"folder": "images"}, "models": ["m.onnx"], "cluster": {"device": device}}
    return Config.model_validate(found | ({} if submitted is None else {"submitted": submitted}))


@pytest.mark.parametrize(
    ("device", "planned", "cluster", "chosen"),
    [
        ("auto", None, CPUS, "cpu"),
        ("auto", 0, CPUS, "cpu"),
        ("auto", 0, GPUS, "cuda"),
        ("auto", 2, GPUS, "cuda"),
        ("cpu", 2, GPUS, "cpu"),
        # A cluster from zero: seen with GPUs once, it is asked for them.
        ("auto", 2, GROWING, "cuda"),
        ("cuda", None, GROWING, "cuda"),
    ],
)
def test_device_is_that_of_the_plan(device: str, planned: int | None, cluster: Cluster, chosen: str) -> None:
    """Attempts of one run compute on one device, whichever nodes are there when each of them begins."""
    config = asked(device, planned)
    assert with_planned(config, cluster, _nobody) is cluster
    assert device_of(config, cluster).name == chosen


def test_without_a_plan_growing_clusters_must_be_told() -> None:
    """As for a run that nobody has submitted."""
    with pytest.raises(UsageError, match=r"set `cluster\.device: cuda`, or `cpu`"):
        device_of(asked("auto", 0), GROWING)


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_gpus_that_do_not_come_back_are_said(device: str, cluster: Cluster) -> None:
    """On a real Ray without GPUs: it is waited for them, and nothing falls to the CPU."""
    assert cluster.gpus == 0
    said: list[str] = []
    with pytest.raises(
        RunFailedError, match=r"the cluster had 4 GPU\(s\) when this run was planned.*Nothing was computed"
    ):
        with_planned(asked(device, 4), cluster, said.append, patience_s=0.1)
    assert said == ["the cluster has no GPUs now; waiting up to 0 s for the nodes that have some"]


def _nobody(text: str) -> None:
    raise AssertionError(f"nothing is waited for, and it is said: {text}")
