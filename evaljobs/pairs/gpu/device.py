"""Find torch and the device, or say what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evaljobs.errors import InputError, UsageError

if TYPE_CHECKING:
    import torch

_INSTALL = "pip install 'evaljobs[torch]', or a build of torch for your CUDA from pytorch.org"


def open_device(name: str) -> torch.device:
    """Return the device of a name: `cuda`, `cuda:1`; or `cpu`, where torch does the same without a GPU, slowly.

    Raises
    ------
    UsageError
        If torch is not installed, or sees no such device.
    InputError
        If the name is not one of these.
    """
    try:
        import torch
    except ImportError as error:
        raise UsageError(
            f"device={name!r} needs torch, which cannot be imported: {error}. Install it: {_INSTALL}"
        ) from None
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        device = torch.device("meta")
    if device.type not in {"cuda", "cpu"}:
        raise InputError(f"found device={name!r}; expected 'cuda', 'cuda:N' or 'cpu'")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        found = f"{torch.cuda.device_count()} CUDA device(s)"
        raise UsageError(
            f"device={name!r}: torch {torch.__version__} sees {found}. Check nvidia-smi; install: {_INSTALL}"
        )
    return device
