"""What memory a machine has for models, whatever of it is free."""

from __future__ import annotations

import os

import psutil

from raycluster.sensors.cgroups import limits
from raycluster.sensors.nvml import smallest_memory


def memory_bytes(device: str) -> int | None:
    """Return the memory of this machine's smallest GPU for ``cuda``, else its own; None where nobody tells.

    Its own is that of the machine, or of the control group that this process is in.
    """
    if device == "cuda":
        return smallest_memory(os.environ.get("CUDA_VISIBLE_DEVICES"))
    return min([psutil.virtual_memory().total, *limits()])
