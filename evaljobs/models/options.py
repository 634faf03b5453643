"""Options of onnxruntime sessions: one place, since they are part of a model's key."""

from __future__ import annotations

from typing import Literal

Device = Literal["cpu", "cuda"]

CPU_PROVIDER = "CPUExecutionProvider"
CUDA_PROVIDER = "CUDAExecutionProvider"

_CUDA_OPTIONS = {
    # The default search takes gigabytes of workspace, and may choose other algorithms on another day.
    "cudnn_conv_algo_search": "HEURISTIC",
    # float32 is computed as float32: a 10-bit mantissa moves scores near a threshold.
    "use_tf32": "0",
}


def provider_of(device: Device) -> str:
    """Return the execution provider that a device asks for."""
    return CUDA_PROVIDER if device == "cuda" else CPU_PROVIDER


def provider_options(provider: str) -> dict[str, str]:
    """Return the options of a provider."""
    return dict(_CUDA_OPTIONS) if provider == CUDA_PROVIDER else {}


def session_options(threads: int) -> dict[str, int | str]:
    """Return the options of a session; `threads` compute one call, and calls do not overlap."""
    return {"intra_op_num_threads": threads, "inter_op_num_threads": 1, "graph_optimization_level": "all"}
