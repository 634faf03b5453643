"""Explaining images by a checkpoint of PyTorch: loaded as for an export, explained by Grad-CAM."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaljobs import config
from evaljobs.errors import ExportError
from evaljobs.explain.checkpoints import explain_torch, require_grad_cam
from evaljobs.explain.choosing import Classes
from evaljobs.explain.onnx_files import Explanation, Pixels, Towards, class_target, decoded, in_rgb
from evaljobs.explain.targets import Similarity, Target
from evaljobs.export.architecture import Built, build, require_torch
from evaljobs.export.checkpoint import read_checkpoint
from evaljobs.export.recipe import Recipe
from evaljobs.export.weights import load_weights
from evaljobs.models.model import Input
from evaljobs.models.model import Pixels as Preprocessed
from evaljobs.models.preprocessing import resolve_preprocessing


def explain_checkpoint(
    checkpoint: Path, recipe: Recipe, images: Sequence[Path], towards: Towards, layer: str | None = None
) -> list[Explanation]:
    """Explain images by a checkpoint.

    Parameters
    ----------
    checkpoint, recipe
        As `evaljobs.export.export_all` takes them.
    images
        Files.
    towards
        What is explained; classes by number.
    layer
        A submodule of the architecture; found where left out.

    Raises
    ------
    UsageError
        If PyTorch or grad-cam is not installed, the architecture cannot be built, or an image cannot be used.
    ExportError
        If the checkpoint cannot be loaded.
    """
    require_torch()
    require_grad_cam()
    built = build(recipe)
    load_weights(built.module, read_checkpoint(checkpoint), recipe, built.heads)
    prepared = _prepared(built)
    pixels = decoded(images, prepared.geometry)
    like = None
    if towards.like is not None:
        (other,) = decoded([towards.like], prepared.geometry).values()
        like = Similarity(_rows(built.module, _normalised(other, prepared))[0])
    found = []
    for file, block in pixels.items():
        image = _normalised(block, prepared)
        target: Target
        if like is not None and towards.like is not None:
            said = f"similarity to {towards.like.name}"
            target = like
        else:
            row = _rows(built.module, image)[0]
            target, said = class_target(Classes(recipe.classes, "logits", {}), row, towards.of_class)
        maps = explain_torch(built.module, image, target, layer)
        score = float(target.shown(maps.rows)[0])
        shown = in_rgb(block, prepared.geometry)
        found.append(Explanation(maps.values[0], f"{file.name}: {said}", score, shown, maps.layer))
    return found


def _prepared(built: Built) -> Preprocessed:
    """Return how an image becomes the input of an architecture."""
    channels, height, width = built.shape
    image = Input("image", "float32", "nchw", None, channels, height, width)
    limit = config.Config.model_fields["max_image_pixels"].default
    return resolve_preprocessing(built.preprocessing, None, None, image, limit)


def _normalised(pixels: Pixels, prepared: Preprocessed) -> NDArray[np.float32]:
    if prepared.normalisation is None:
        raise TypeError("modules of PyTorch take floats, this one takes raw pixels")
    return np.asarray(prepared.normalisation.apply(pixels[None], "nchw"), np.float32)


def _rows(module: Any, images: NDArray[np.float32]) -> NDArray[np.float32]:
    import torch

    with torch.no_grad():
        rows = module(torch.from_numpy(images))
    if not isinstance(rows, torch.Tensor) or rows.dim() != 2:
        what = list(rows.shape) if isinstance(rows, torch.Tensor) else f"a {type(rows).__name__}"
        raise ExportError(f"the architecture gives {what}, expected one row per image, [N, d]")
    found: NDArray[np.float32] = rows.numpy()
    return found
