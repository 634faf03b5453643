"""Explaining images by any ONNX file: from paths to maps, without a run and without Ray."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs import config
from evaljobs.classification.scale import known_scale, refuse_non_finite
from evaljobs.errors import ImageError, ModelError, UsageError
from evaljobs.explain.ablation import ablation_cam
from evaljobs.explain.choosing import Classes
from evaljobs.explain.halved import Halved, find_layer
from evaljobs.explain.targets import ClassScore, Similarity, Target
from evaljobs.images.decode import decode
from evaljobs.images.geometry import Geometry
from evaljobs.images.picture import picture_of
from evaljobs.models.model import EMBEDDING, SCORES, TOLD, Model
from evaljobs.models.resolve import resolve

Pixels = NDArray[np.uint8]


class Explanation(NamedTuple):
    """Where a model looks in one image.

    Attributes
    ----------
    values
        ``[H, W]`` float64, from 0 to 1, at the places of a layer or of pixels.
    target
        What is explained, in words.
    score
        Its number: a probability, or a cosine.
    pixels
        uint8 [h, w, c]: what the model sees of the image, in RGB or grey.
    layer
        The tensor or submodule whose channels are weighed.
    """

    values: NDArray[np.float64]
    target: str
    score: float
    pixels: Pixels
    layer: str

    def picture(self) -> bytes:
        """Return what the model sees as a PNG."""
        return picture_of(self.pixels, "rgb")


class Towards(NamedTuple):
    """What is explained.

    Attributes
    ----------
    of_class
        A class by its name or number; that which is predicted where left out.
    like
        Another image: the similarity to it, in place of a class.
    scores_are
        Of a checkpoint: what its class scores are, ``logits`` or ``probabilities``; left out: logits, where the numbers
        allow it. Of an ONNX file the settings say that.
    """

    of_class: str | None = None
    like: Path | None = None
    scores_are: str | None = None

    @property
    def role(self) -> str:
        """Which output of a model it is about."""
        return SCORES if self.like is None else EMBEDDING


_PREDICTED = Towards()


def explain_onnx(
    path: str | Path,
    images: Iterable[str | Path],
    towards: Towards = _PREDICTED,
    layer: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> list[Explanation]:
    """Explain images by an ONNX file, with `evaljobs.explain.ablation.ablation_cam`.

    Parameters
    ----------
    path
        The model.
    images
        Files.
    towards
        What is explained.
    layer
        A tensor of its graph; found where left out.
    settings
        Keys of a model's entry in the configuration, such as ``output``, ``scores``, ``scores_are``, ``classes``,
        ``preprocessing``.

    Raises
    ------
    UsageError
        If an image, the class or the settings cannot be used.
    ModelError
        If the model cannot be used, or has no such layer.
    InputError
        If it is not known what class scores are, or they are not what they are said to be.
    """
    if not isinstance(towards, Towards):
        raise UsageError(f"found towards of type {type(towards).__name__}; expected Towards(of_class=..., like=...)")
    if isinstance(images, str | bytes | os.PathLike) or not isinstance(images, Iterable):
        raise UsageError(f"found images of type {type(images).__name__}; expected a list of files")
    files = [_file(image, "an image") for image in images]
    towards = towards._replace(like=None if towards.like is None else _file(towards.like, "`like`"))
    model = _resolved(_file(path, "the model"), {**(settings or {})}, towards.role)
    halved = Halved(model, towards.role, find_layer(model, towards.role, layer))
    found = []
    seen = decoded(files, model.pixels.geometry)
    targets = _targets(halved, model, seen, towards)
    for file, pixels, (target, said) in zip(files, seen, targets, strict=True):
        cam = ablation_cam(halved, pixels, target)
        score = float(target.shown(cam.row[None])[0])
        shown = in_rgb(pixels, model.pixels.geometry)
        found.append(Explanation(cam.values, f"{file.name}: {said}", score, shown, halved.layer.tensor))
    return found


def _file(given: object, what: str) -> Path:
    if not isinstance(given, str | os.PathLike):
        raise UsageError(f"found {what} of type {type(given).__name__}; expected the path of a file")
    return Path(given)


def in_rgb(pixels: Pixels, geometry: Geometry) -> Pixels:
    """Return decoded pixels in RGB or grey."""
    return pixels[..., ::-1] if geometry.color == "bgr" else pixels


def decoded(files: Sequence[Path], geometry: Geometry) -> list[Pixels]:
    """Decode files as a model sees them, each as often as it is named.

    Raises
    ------
    UsageError
        Naming one that cannot be read.
    """
    found = []
    for file in files:
        try:
            found.append(decode(file.read_bytes(), geometry))
        except (OSError, ImageError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise UsageError(f"{file} cannot be explained: {reason}; expected an image") from None
    return found


def _targets(halved: Halved, model: Model, seen: Sequence[Pixels], towards: Towards) -> Sequence[tuple[Target, str]]:
    """Return what is explained of each image, and how it is called."""
    if towards.like is not None:
        (other,) = decoded([towards.like], model.pixels.geometry)
        return [(Similarity(halved.rows(other[None])[0]), f"similarity to {towards.like.name}")] * len(seen)
    rows = halved.rows(np.stack(seen))
    scores = model.scores
    names = None if scores is None or scores.classes is None else scores.classes.names
    are = (None, False) if scores is None else (scores.are, scores.source in TOLD)
    return class_targets(rows, names, are, towards.of_class)


def class_targets(
    rows: NDArray[np.float32], names: tuple[str, ...] | None, are: tuple[str | None, bool], of_class: str | None
) -> list[tuple[Target, str]]:
    """Return of each image the class that is named, or else predicted, as a target, and its name.

    Parameters
    ----------
    rows
        ``[n, k]`` class scores.
    names
        Of the classes, if they are known.
    are
        What the scores are, and whether somebody says so.
    of_class
        Name or number of a class.

    Raises
    ------
    UsageError
        If there is no class of that name or number.
    InputError
        If scores are not finite, it is not known what they are, or there are not as many names.
    """
    refuse_non_finite(rows)
    scale = known_scale(rows, are[0], told=are[1], need="what is explained")
    return [_class_target(Classes(names, scale.value, {}), row, of_class) for row in rows]


def _class_target(classes: Classes, row: NDArray[np.float32], name: str | None) -> tuple[ClassScore, str]:
    """Return the same of one image."""
    known = classes.of(len(row))
    numbers = {str(number): number for number in known.values()}
    number = int(row.argmax()) if name is None else known.get(name, numbers.get(str(name)))
    if number is None:
        raise UsageError(
            f"there is no class {name!r} among the {len(row):,}: expected a name such as {', '.join(list(known)[:3])}, "
            f"or a number up to {len(row) - 1}"
        )
    return ClassScore(number, classes.are), list(known)[number]


def _resolved(path: Path, settings: Mapping[str, Any], role: str) -> Model:
    entry = config.validate(config.Models, {**settings, "path": str(path.absolute())}, "the model")
    # The images of a configuration are not looked at here.
    run = config.Config(models=(entry,), images=config.Images(folder="."))
    found = resolve(run, Path.cwd(), needs={role})
    for refused in found.refused:
        raise ModelError(refused.kind, refused.message)
    model = found.models[0]
    if role in model.lacks:
        raise ModelError(*model.lacks[role])
    return model
