"""Dropout that stays random in an exported graph, for Monte Carlo dropout.

Exporters leave dropout out of a module in evaluation mode. Training mode would change more: batch norms would measure
their batch, whole layers would be skipped at random (stochastic depth). So the module stays in evaluation mode, and the
calls of dropout alone are told that it is training: those of modules and those written out in `forward` alike.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

from evaljobs.errors import ExportError

_ALONG_CHANNELS = ("dropout1d", "dropout2d", "dropout3d")
_UNSUPPORTED = ("alpha_dropout", "feature_alpha_dropout")


@contextlib.contextmanager
def kept_dropout() -> Iterator[list[float]]:
    """Keep every dropout of what runs inside; yield the probabilities of those met, in their order.

    Raises
    ------
    ExportError
        At a dropout that ONNX has no operator for.
    """
    import torch
    from torch.nn import functional
    from torch.overrides import TorchFunctionMode

    met: list[float] = []
    along_channels = [getattr(functional, name) for name in _ALONG_CHANNELS]
    unsupported = [getattr(functional, name) for name in _UNSUPPORTED]

    class Keep(TorchFunctionMode):  # type: ignore[misc]  # torch is not there when types are checked
        def __torch_function__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
            given = kwargs or {}
            if function in unsupported:
                raise ExportError(f"{function.__name__} cannot be kept: ONNX has no such operator (--keep-dropout)")
            if function is not functional.dropout and function not in along_channels:
                return function(*args, **given)
            bound = inspect.signature(function).bind(*args, **given)
            bound.apply_defaults()
            image, p = bound.arguments["input"], bound.arguments["p"]
            if p == 0:
                return image
            met.append(float(p))
            if function is functional.dropout:
                return functional.dropout(image, p, training=True)
            # One decision for each channel: the mask of an image of one pixel, over all pixels.
            ones = torch.ones_like(image.flatten(2)[..., :1])
            mask = functional.dropout(ones, p, training=True)
            return image * mask.reshape(*mask.shape[:2], *([1] * (image.dim() - 2)))

    with Keep():
        yield met


def check_dropout(module: Any, met: list[float]) -> None:
    """Refuse a module of which a dropout would be lost without a word.

    Attention that is computed by one fused function takes the probability only in training, so that the dropout in it
    is never called.

    Parameters
    ----------
    met
        The probabilities that a run of the module came by.

    Raises
    ------
    ExportError
        If there is no dropout, or more of it than was met.
    """
    import torch

    dropouts = [name for name, part in module.named_modules() if _probability(part) > 0]
    fused = [
        name
        for name, part in module.named_modules()
        if isinstance(part, torch.nn.MultiheadAttention) and part.dropout > 0
    ]
    if fused or len(met) < len(dropouts):
        named = ", ".join((fused or dropouts)[:3])
        raise ExportError(
            f"not all dropout can be kept: of {len(dropouts) + len(fused)} with a probability above 0 ({named}, ...) "
            f"{len(met)} are called by themselves; the others are part of a fused attention, which ONNX cannot express"
        )
    if not met:
        raise ExportError(
            "there is no dropout to keep (--keep-dropout): the architecture has none with a probability above 0; "
            "give it one, such as --arg drop_rate=0.1 with timm"
        )


def _probability(part: Any) -> float:
    from torch.nn.modules.dropout import _DropoutNd

    return float(part.p) if isinstance(part, _DropoutNd) else 0.0
