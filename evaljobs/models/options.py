"""How sessions run: one place, since all of it is part of a model's key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Device = Literal["cpu", "cuda"]
ConvSearch = Literal["heuristic", "exhaustive", "default"]

CPU_PROVIDER = "CPUExecutionProvider"
CUDA_PROVIDER = "CUDAExecutionProvider"


@dataclass(frozen=True)
class GpuOptions:
    """What is set on a GPU alone.

    The options are those of https://onnxruntime.ai/docs/execution-providers/CUDA-ExecutionProvider.html, in our units.

    Attributes
    ----------
    memory_mb
        Limit of the arena of one session, in MiB; None for all of the GPU's. CUDA itself and the convolutions'
        workspace come on top.
    conv_search
        How cuDNN chooses an algorithm. Searching exhaustively takes gigabytes of workspace, and may choose other
        algorithms, with other last bits, on another day.
    tf32
        Whether float32 is computed with mantissas of 10 bits: faster, and scores near a threshold move.
    """

    memory_mb: int | None = None
    conv_search: ConvSearch = "heuristic"
    tf32: bool = False


@dataclass(frozen=True)
class Runtime:
    """What a session runs on, and how.

    Attributes
    ----------
    device
        ``cuda`` is never replaced by the CPU.
    threads
        That compute one call on the CPU.
    gpu
        Without meaning on the CPU.
    """

    device: Device = "cpu"
    threads: int = 1
    gpu: GpuOptions = GpuOptions()

    @property
    def provider(self) -> str:
        """The execution provider that is asked for."""
        return provider_of(self.device)

    def provider_options(self) -> dict[str, str]:
        """Return the options of the provider, as onnxruntime takes them."""
        if self.device == "cpu":
            return {}
        limit = {"gpu_mem_limit": str(self.gpu.memory_mb * 2**20)} if self.gpu.memory_mb else {}
        return {
            "cudnn_conv_algo_search": self.gpu.conv_search.upper(),
            "use_tf32": str(int(self.gpu.tf32)),
            **limit,
        }

    def session_options(self) -> dict[str, int | str]:
        """Return the options of a session: calls do not overlap."""
        return {"intra_op_num_threads": self.threads, "inter_op_num_threads": 1, "graph_optimization_level": "all"}


def provider_of(device: Device) -> str:
    """Return the execution provider that a device asks for."""
    return CUDA_PROVIDER if device == "cuda" else CPU_PROVIDER
