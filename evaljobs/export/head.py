"""What the embedding is: a module around the architecture that returns [N, d]."""

from __future__ import annotations

import difflib
from typing import Any

from evaljobs.errors import ExportError, UsageError
from evaljobs.export.recipe import Head
from evaljobs.models.model import Pooling


def embedder(module: Any, head: Head) -> Any:
    """Return a ``torch.nn.Module`` that gives the embedding of a batch of images.

    Its ``forward`` takes float32 [N, c, h, w] and returns [N, d].

    Raises
    ------
    UsageError
        If the module has no submodule of the head's name.
    """
    import torch

    taken: list[Any] = []
    if head.output is not None:
        _submodule(module, head.output).register_forward_hook(lambda _module, _inputs, output: taken.append(output))

    class Embedder(torch.nn.Module):  # type: ignore[misc]  # torch is not there when types are checked
        def __init__(self) -> None:
            super().__init__()
            self.model = module

        def forward(self, image: Any) -> Any:
            taken.clear()
            found = self.model(image)
            rows = _rows(found if head.output is None else _only(taken, head.output), head)
            return torch.nn.functional.normalize(rows, dim=1) if head.l2_normalise else rows

    return Embedder().eval()


def _submodule(module: Any, name: str) -> Any:
    parts = dict(module.named_modules())
    if name in parts and name:
        return parts[name]
    near = difflib.get_close_matches(name, parts, n=3, cutoff=0.4) or [part for part in parts if part][-5:]
    raise UsageError(f"--output {name}: the architecture has no such submodule; the nearest are {', '.join(near)}")


def _only(taken: list[Any], name: str) -> Any:
    if len(taken) != 1:
        raise ExportError(
            f"the submodule {name!r} runs {len(taken)} times for a batch; expected once, so that there is one output"
        )
    return taken[0]


def _rows(found: Any, head: Head) -> Any:
    """Check what came out, and pool it; the words are those of the configuration's `pooling`."""
    import torch

    what = f"the submodule {head.output!r}" if head.output else "the architecture"
    if not isinstance(found, torch.Tensor):
        raise ExportError(
            f"{what} returns a {type(found).__name__}, expected one tensor; name the submodule whose output is the "
            "embedding with --output"
        )
    if found.dim() < 2 or (found.dim() > 2 and head.pooling is None):
        raise ExportError(
            f"{what} returns a tensor of shape {list(found.shape)}, expected [N, d]; say how it becomes one with "
            "--pooling mean, max, first or flatten, or name another submodule with --output"
        )
    return found if found.dim() == 2 else _pooled(found, head.pooling)


def _pooled(found: Any, pooling: Pooling | None) -> Any:
    """Pool [N, T, d] over T, and [N, c, h, w] over h and w."""
    if pooling == "flatten":
        return found.flatten(1)
    by_position = found if found.dim() == 3 else found.flatten(2).transpose(1, 2)
    if pooling == "mean":
        return by_position.mean(1)
    return by_position.amax(1) if pooling == "max" else by_position[:, 0]
