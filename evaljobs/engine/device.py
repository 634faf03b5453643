"""What the sessions run on, and how: decided once for a run, since its arithmetic is part of every model key."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import NamedTuple

from evaljobs.config import Cluster
from evaljobs.errors import UsageError
from evaljobs.models.options import Device as DeviceName
from evaljobs.models.options import GpuOptions, Runtime

# What an NVIDIA driver makes, on bare metal and under WSL.
_DEVICE_FILES = (Path("/dev/nvidia0"), Path("/dev/dxg"))


@dataclasses.dataclass(frozen=True)
class Device:
    """What sessions run on, and what people are to be told about that choice."""

    name: DeviceName
    notes: tuple[str, ...] = ()


def runtime_of(settings: Cluster, device: Device) -> Runtime:
    """Return how the sessions of a run are carried out."""
    gpu = GpuOptions(settings.gpu.memory_mb, settings.gpu.conv_search, settings.gpu.tf32)
    return Runtime(device.name, settings.threads, gpu)


class Found(NamedTuple):
    """A cluster at the moment at which a run has connected to it; `grows`: it starts nodes by itself."""

    gpus: int
    nodes: int = 1
    grows: bool = False


def choose_device(wanted: str, cluster: Found | None) -> Device:
    """Choose the device of a run.

    Parameters
    ----------
    wanted
        ``cpu``, ``cuda``, or ``auto``: cuda where there is a GPU that can be used.
    cluster
        That the run is connected to; None: it will run on this machine.

    Raises
    ------
    UsageError
        If cuda is wanted and there is none: never a silent fall to the CPU. If it is to be chosen by the GPUs of a
        cluster that starts none before it is asked: what was computed is found by it.
    """
    if wanted == "cpu":
        return Device("cpu")
    if cluster is not None:
        return _on_cluster(wanted, cluster)
    present = any(path.exists() for path in _DEVICE_FILES)
    if wanted == "auto" and not present:
        return Device("cpu")
    # Only where it matters: it loads onnxruntime and, where there is one, asks the GPU.
    from evaljobs.models.session import provider_devices

    reason = provider_devices().why_no_cuda
    if reason is None:
        return Device("cuda")
    mend = "install evaljobs[cuda], or set `cluster.device: cpu`"
    if wanted == "cuda":
        raise UsageError(f"`cluster.device: cuda`, and onnxruntime cannot use a GPU here: {reason}; {mend}")
    return Device("cpu", (f"A GPU is here, but onnxruntime cannot use it ({reason}): running on the CPU; {mend}.",))


def _on_cluster(wanted: str, cluster: Found) -> Device:
    if cluster.gpus or (wanted == "cuda" and cluster.grows):
        return Device("cuda")
    if wanted == "cuda":
        raise UsageError(
            "`cluster.device: cuda`, and the cluster has no GPUs; add nodes with GPUs, or set `cluster.device: cpu`"
        )
    if cluster.grows:
        raise UsageError(
            "the cluster has no GPUs now and starts nodes when they are asked for, so `cluster.device: auto` cannot "
            "tell which are meant: set `cluster.device: cuda`, or `cpu`"
        )
    if cluster.nodes == 1:
        return Device("cpu")
    return Device("cpu", (f"The cluster's {cluster.nodes} nodes have no GPUs now: running on their CPUs.",))
