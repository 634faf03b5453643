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
from evaljobs.explain.onnx_files import Explanation, Pixels, Towards, class_targets, decoded, in_rgb
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
        What is explained; classes by the names of the recipe, or by number.
    layer
        A submodule of the architecture; found where left out.

    Raises
    ------
    UsageError
        If PyTorch or grad-cam is not installed, the architecture cannot be built, or an image cannot be used.
    ExportError
        If the checkpoint cannot be loaded.
    InputError
        If class scores are not what they are said to be, or are not as many as their names.
    """
    require_torch()
    require_grad_cam()
    built = build(recipe)
    load_weights(built.module, read_checkpoint(checkpoint), recipe, built.heads)
    prepared = _prepared(built)
    blocks = decoded(images, prepared.geometry)
    inputs = [_normalised(block, prepared) for block in blocks]
    targets: Sequence[tuple[Target, str]]
    if towards.like is not None:
        (other,) = decoded([towards.like], prepared.geometry)
        like = Similarity(_rows(built.module, _normalised(other, prepared))[0])
        targets = [(like, f"similarity to {towards.like.name}")] * len(images)
    else:
        rows = np.concatenate([_rows(built.module, image) for image in inputs])
        # Most modules end in logits; whether these may be some is held against the numbers.
        are, told = towards.scores_are or "logits", towards.scores_are is not None
        targets = class_targets(rows, recipe.classes, (are, told), towards.of_class)
    found = []
    for file, block, image, (target, said) in zip(images, blocks, inputs, targets, strict=True):
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
