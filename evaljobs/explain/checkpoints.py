"""Grad-CAM of modules of PyTorch, by the grad-cam library: the extra ``explain``.

Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization".
"""

from __future__ import annotations

import difflib
import importlib.util
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.errors import UsageError
from evaljobs.explain.targets import ClassScore, Similarity, Target
from evaljobs.models.grid import Form, Grid, grid_of

Float64 = NDArray[np.float64]

# Submodules that are tried from the last one on.
_TRIED = 40


class Maps(NamedTuple):
    """Maps of images.

    Attributes
    ----------
    values
        ``[n, h, w]`` float64, from 0 to 1, at the pixels of the images.
    rows
        ``[n, d]`` float32: what the module gives them.
    layer
        The submodule that was taken.
    """

    values: Float64
    rows: NDArray[np.float32]
    layer: str


def explain_torch(
    module: Any, images: NDArray[np.float32], targets: Target | Sequence[Target], layer: str | None = None
) -> Maps:
    """Explain images by a module of PyTorch.

    Parameters
    ----------
    module
        A ``torch.nn.Module`` that gives [n, d] for float32 [n, c, h, w]; it is run in evaluation mode.
    images
        float32 [n, c, h, w], normalised as the module wants them.
    targets
        What is explained: one for all images, or one for each.
    layer
        Name of a submodule that gives [n, C, H, W], or [n, T, C] with tokens in a grid; left out: the last one whose
        places the target depends on.

    Raises
    ------
    UsageError
        If the grad-cam library is not installed, or there is no such layer.
    """
    require_grad_cam()
    import torch
    from pytorch_grad_cam import GradCAM

    several = list(targets) if isinstance(targets, Sequence) else [targets] * len(images)
    module.eval()
    batch = torch.from_numpy(np.ascontiguousarray(images, np.float32))
    name = _last(module, batch[:1], several[0]) if layer is None else _named(module, batch[:1], layer)
    kept = {n: p.requires_grad for n, p in module.named_parameters()}
    with GradCAM(module, [dict(module.named_modules())[name]], reshape_transform=_places(_size(images))) as cam:
        values = cam(input_tensor=batch, targets=[_callable(target) for target in several])
    for n, p in module.named_parameters():
        p.requires_grad_(kept[n])
    with torch.no_grad():
        rows = module(batch).numpy()
    return Maps(np.asarray(values, np.float64), rows, name)


def require_grad_cam() -> None:
    """Make sure that the library is there.

    Raises
    ------
    UsageError
        If it is not.
    """
    if importlib.util.find_spec("pytorch_grad_cam") is None:
        raise UsageError(
            "explaining a module of PyTorch needs the package grad-cam, which is not installed; nothing was started. "
            "Install it with: pip install 'evaljobs[explain]'. ONNX files are explained without it"
        )


def _callable(target: Target) -> Callable[[Any], Any]:
    """Return a target as grad-cam takes it: a number of a row, that gradients go through."""
    import torch

    def number(row: Any) -> Any:
        if isinstance(target, Similarity):
            to = torch.from_numpy(np.asarray(target.to, np.float32))
            return torch.nn.functional.cosine_similarity(row, to, dim=0)
        if isinstance(target, ClassScore):
            score = row[target.number]
            return score if target.are == "logits" else torch.log(score.clamp_min(torch.finfo(score.dtype).tiny))
        raise TypeError(f"found a target of type {type(target).__name__}, expected ClassScore or Similarity")

    return number


def _outputs(module: Any, image: Any) -> dict[str, Any]:
    """Return what each submodule gives for an image, in the order in which they finish, with the module's row."""
    import torch

    found: dict[str, Any] = {}

    def keep(name: str) -> Callable[[Any, Any, Any], None]:
        def hook(_module: Any, _inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor) and name:
                found[name] = output

        return hook

    hooks = [part.register_forward_hook(keep(name)) for name, part in module.named_modules()]
    try:
        with torch.enable_grad():
            row = module(image.clone().requires_grad_(True))
    finally:
        for hook in hooks:
            hook.remove()
    return {**found, "": row}


def _last(module: Any, image: Any, target: Target) -> str:
    """Return the last submodule whose places a target depends on."""
    import torch

    outputs = _outputs(module, image)
    row = outputs.pop("")
    score = _callable(target)(row[0])
    size = _size(image)
    places = _places(size)
    widths = Counter(int(output.shape[2]) for output in outputs.values() if _form(output, size) == "tokens")
    # Tokens go from block to block in one width; queries and hidden layers have others.
    width = max(widths, key=lambda width: widths[width], default=0)
    spatial = [
        name
        for name, output in outputs.items()
        if (form := _form(output, size)) is not None and (form != "tokens" or output.shape[2] == width)
    ]
    for name in islice(reversed(spatial), _TRIED):
        (slope,) = torch.autograd.grad(score, outputs[name], retain_graph=True, allow_unused=True)
        if slope is not None and bool(places(slope).abs().max() > 0):
            return name
    raise UsageError(
        "the module has no layer with places that the target depends on: no submodule gives [n, C, H, W] with "
        f"H, W > 1, or tokens in a grid; the last ones are {', '.join(list(outputs)[-5:])}"
    )


def _named(module: Any, image: Any, name: str) -> str:
    outputs = _outputs(module, image)
    if name in outputs and name:
        if _form(outputs[name], _size(image)) is not None:
            return name
        raise UsageError(
            f"the submodule {name!r} gives {list(outputs[name].shape)}; expected [n, C, H, W] or [n, H, W, C] with the "
            "image's proportions, or [n, T, C] with T tokens in a grid"
        )
    near = difflib.get_close_matches(name, outputs, n=3, cutoff=0.4) or [part for part in outputs if part][-5:]
    raise UsageError(f"the module has no submodule {name!r} that gives a tensor; the nearest are {', '.join(near)}")


def _size(images: Any) -> tuple[int, int]:
    """Return height and width of images, [n, c, h, w]."""
    return int(images.shape[2]), int(images.shape[3])


def _form(output: Any, size: tuple[int, int]) -> Form | None:
    """Return where a submodule's output has its places; None where it has none."""
    shape = tuple(int(axis) for axis in output.shape)
    if len(shape) == 3:
        return "tokens" if grid_of(shape[1], size) is not None else None
    if len(shape) != 4 or min(shape[1:]) < 2:
        return None
    if _proportional(shape[2], shape[3], size):
        return "nchw"
    return "nhwc" if _proportional(shape[1], shape[2], size) else None


def _proportional(height: int, width: int, size: tuple[int, int]) -> bool:
    """Say whether sides are those of the image made smaller, with what strides round away."""
    stride = size[0] / height
    return stride >= 1 and abs(size[1] / stride - width) <= 1


def _places(size: tuple[int, int]) -> Callable[[Any], Any]:
    """Return a function that gives the values of a layer as [n, C, H, W]; tokens that are no place are left out."""

    def as_grid(values: Any) -> Any:
        form = _form(values, size)
        if form != "tokens":
            return values.permute(0, 3, 1, 2) if form == "nhwc" else values
        grid = grid_of(int(values.shape[1]), size) or Grid(0, 1, int(values.shape[1]))
        places = values[:, grid.skipped :].reshape(values.shape[0], grid.height, grid.width, values.shape[2])
        return places.permute(0, 3, 1, 2)

    return as_grid
