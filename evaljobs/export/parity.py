"""Whether an exported model gives what PyTorch gives, on real images and on evaljobs' own way from bytes to rows."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.errors import ExportError, ImageError
from evaljobs.export.samples import Sample
from evaljobs.images.decode import decode
from evaljobs.models.model import Model
from evaljobs.models.options import Runtime
from evaljobs.models.session import Session

Rows = NDArray[np.float32]
Torch = Callable[[NDArray[np.float32]], Rows]

# Two engines that compute one network in float32 differ by 1e-6 to 1e-5 of a row's length; a wrong weight, padding or
# resize by 1e-2 and more. A row that is off by 1e-4 moves a cosine by at most 1e-4, another such row by as much again.
TOLERANCE = 1e-4


class Check(NamedTuple):
    """What is compared, and the largest difference that passes, as a share of a row's length."""

    images: Sequence[Sample]
    tolerance: float = TOLERANCE


class Parity(NamedTuple):
    """How far PyTorch and onnxruntime are apart.

    Attributes
    ----------
    images
        How many were compared.
    difference
        The largest ``|torch - onnx| / |torch|`` of a row, by Euclidean lengths in float64.
    cosine
        The lowest between the two rows of an image.
    image
        Where the difference is largest.
    batch
        And in batches of how many.
    notes
        Images that could not be compared.
    """

    images: int
    difference: float
    cosine: float
    image: str
    batch: int
    notes: tuple[str, ...]


def check_parity(model: Model, torch_rows: Torch, check: Check) -> Parity:
    """Compare PyTorch with onnxruntime, one image at a time and all in one batch.

    Both are given the same pixels, decoded and normalised as a run does it with the model's own metadata.

    Parameters
    ----------
    model
        The exported file, as a run resolves it.
    torch_rows
        Gives the rows, float32 [n, d], of normalised images, float32 [n, c, h, w].

    Raises
    ------
    ExportError
        If a row differs by more than the tolerance, is not finite or zero, or no image can be decoded.
    ModelError
        If onnxruntime cannot run it.
    """
    names, block, notes = _decoded(model, check.images)
    worst = max(
        (_compare(model, torch_rows, names, block, batch) for batch in dict.fromkeys((1, len(names)))),
        key=lambda found: found.difference,
    )
    if worst.difference > check.tolerance:
        raise ExportError(
            f"torch and onnxruntime do not agree: on {worst.image}, in batches of {worst.batch}, the rows differ by "
            f"{worst.difference:.2g} of their length (cosine {worst.cosine:.7f}), allowed is {check.tolerance:g} "
            "(--tolerance); nothing was written. Another exporter (--exporter) or --opset may translate it rightly"
        )
    return worst._replace(notes=notes)


def _decoded(model: Model, images: Sequence[Sample]) -> tuple[list[str], NDArray[np.uint8], tuple[str, ...]]:
    names, pixels, notes = [], [], []
    for image in images:
        try:
            pixels.append(decode(image.data, model.pixels.geometry))
            names.append(image.name)
        except ImageError as error:
            notes.append(f"not compared: {image.name} ({error})")
    if not pixels:
        raise ExportError(f"none of the {len(images)} images for the check can be decoded: {'; '.join(notes[:3])}")
    return names, np.stack(pixels), tuple(notes)


def _compare(model: Model, torch_rows: Torch, names: Sequence[str], block: NDArray[np.uint8], batch: int) -> Parity:
    normalisation = model.pixels.normalisation
    if normalisation is None:
        raise TypeError("exported models take floats, this one takes raw pixels")
    seen = np.asarray(normalisation.apply(block, "nchw"), np.float32)
    expected = np.concatenate([torch_rows(seen[i : i + batch]) for i in range(0, len(seen), batch)])
    session = Session(replace(model, batch_size=batch), Runtime(threads=os.cpu_count() or 1))
    found = session.run(block)[model.outputs[0].role]
    for engine, rows in (("torch", expected), ("onnxruntime", found)):
        _check_rows(engine, rows, names)
    differences, cosines = _apart(expected.astype(np.float64), found.astype(np.float64))
    at = int(differences.argmax())
    return Parity(len(names), float(differences[at]), float(cosines.min()), names[at], batch, ())


def _apart(a: NDArray[np.float64], b: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    length_a, length_b = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    return np.linalg.norm(a - b, axis=1) / length_a, (a * b).sum(axis=1) / (length_a * length_b)


def _check_rows(engine: str, rows: Rows, names: Sequence[str]) -> None:
    bad = ~np.isfinite(rows).all(axis=1) | ~rows.any(axis=1)
    if bad.any():
        raise ExportError(
            f"the embedding of {int(bad.sum())} of {len(names)} images is NaN, infinite or zero with {engine}, "
            f"first of {names[int(bad.argmax())]}; nothing was written. Weights that no checkpoint gave "
            "(--drop) are NaN: the embedding must not depend on them"
        )
