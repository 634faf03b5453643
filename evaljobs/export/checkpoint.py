"""What a checkpoint holds. Nothing in it is run: weights are read with ``weights_only=True``, or as safetensors."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from evaljobs.errors import ExportError
from evaljobs.export.packages import require
from evaljobs.files import sha256_of

StateDict = Mapping[str, Any]

# Levels of mappings that are searched for weights: {"ema": {"state_dict": {...}}} has two.
_DEPTH = 3
_GLOBAL = re.compile(r"GLOBAL (\S+)")


class Checkpoint(NamedTuple):
    """The weights in a file.

    Attributes
    ----------
    sha256
        Of the file, 64 hexadecimal digits.
    states
        Mappings of names to tensors, by the keys that lead to them, joined by dots; the file itself is ``""``.
    """

    path: Path
    sha256: str
    states: dict[str, StateDict]


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint of PyTorch, or a safetensors file.

    Raises
    ------
    ExportError
        If it cannot be read, is damaged, holds more than data, or no weights.
    """
    try:
        digest = sha256_of(path)
    except OSError as error:
        raise ExportError(f"{path.name} cannot be read: {error.strerror or error}") from None
    data = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    states = dict(_states(data, ()))
    if not states:
        raise ExportError(
            f"{path.name} holds no weights: found {_describe(data)}; expected a state_dict, or a mapping that holds one"
        )
    return Checkpoint(path, digest, states)


def _read_safetensors(path: Path) -> Any:
    require("safetensors", path.name)
    import safetensors
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise ExportError(f"{path.name} is no safetensors file, or damaged: {error}") from None


def _read_torch(path: Path) -> Any:
    import pickle

    import torch

    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_inert()):
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refused(path, str(error)) from None
    except Exception as error:  # a damaged or hostile file can raise anything
        if "TorchScript" in str(error):
            raise ExportError(
                f"{path.name} is a TorchScript program, not a checkpoint; save the weights alone: "
                "torch.save(model.state_dict(), FILE)"
            ) from None
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ExportError(f"{path.name} is no checkpoint of PyTorch, or damaged ({reason})") from None


def _inert() -> list[Any]:
    """Return what stands beside weights in many checkpoints and does nothing when it is made: options and numbers."""
    import argparse

    import numpy as np

    number = np.float64(0).__reduce__()[0]  # the function that numpy pickles its numbers with
    types = [type(np.dtype(name)) for name in ("float64", "float32", "int64", "int32", "bool")]
    return [argparse.Namespace, np.dtype, number, *types]


def _refused(path: Path, message: str) -> ExportError:
    found = _GLOBAL.search(message)
    what = f"asks for {found[1]}" if found else "holds instructions that no weights need"
    return ExportError(
        f"{path.name} is refused: it holds more than weights and plain data. Its pickle {what}, which could run any "
        "code when it is loaded; nothing of it was run. If the file is your own, save the weights alone, "
        "torch.save(model.state_dict(), FILE), or as safetensors; if it is not, do not load it by other means"
    )


def _states(data: Any, keys: tuple[str, ...]) -> Iterator[tuple[str, StateDict]]:
    """Yield every mapping of names to tensors."""
    import torch

    if not isinstance(data, Mapping) or len(keys) > _DEPTH:
        return
    values = list(data.values())
    if values and all(isinstance(v, torch.Tensor) for v in values) and all(isinstance(k, str) for k in data):
        yield ".".join(keys), data
        return
    for key, value in data.items():
        if isinstance(key, str):
            yield from _states(value, (*keys, key))


def _describe(data: Any) -> str:
    if isinstance(data, Mapping):
        return f"a mapping with the keys {', '.join(map(str, list(data)[:8])) or '(none)'}"
    return f"a value of type {type(data).__name__}"
