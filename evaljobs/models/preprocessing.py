"""How pixels reach a model: field by field from the config, the model's metadata, its input shape, or the defaults."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from evaljobs import config
from evaljobs.errors import ModelError, ModelErrorKind, UsageError
from evaljobs.images.decode import Geometry
from evaljobs.images.geometry import DRAFT_NOTE
from evaljobs.images.normalise import Normalisation
from evaljobs.models.model import Input, Pixels

if TYPE_CHECKING:
    from typing import Any

METADATA_KEY = "evaljobs.preprocessing"

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# ImageNet has no grey statistics; this maps [0, 1] to [-1, 1].
GRAY_MEAN = GRAY_STD = (0.5,)

_SCALING = ("divisor", "mean", "std")
_NUMPY_TYPES: dict[str, type[np.float32] | type[np.float16]] = {"float32": np.float32, "float16": np.float16}
_DEFAULTS = {
    "resize": "stretch",
    "shorter_side": None,
    "pad_value": 0,
    "interpolation": "bilinear",
    "exif_orientation": False,
    "decoder": "exact",
    "divisor": 255.0,
}


def resolve_preprocessing(
    configured: config.Preprocessing | None,
    default: config.Preprocessing | None,
    metadata: str | None,
    image_input: Input,
    max_pixels: int,
) -> Pixels:
    """Decide how an image becomes the input of a model.

    Each field is taken from the first that has it: the model's own entry in the config, the run's preprocessing, the
    model's metadata, its input shape, the defaults (RGB, stretched to size, bilinear, /255, ImageNet mean and standard
    deviation; for BGR these in BGR order; for grey .5 and .5).

    Parameters
    ----------
    configured, default
        The model's entry, and the run's.
    metadata
        The JSON text under the model's metadata key ``evaljobs.preprocessing``.
    image_input
        The input; its open axes are None.
    max_pixels
        Larger images are refused by the decoder.

    Raises
    ------
    ModelError
        PREPROCESSING, if the metadata is not valid, no size can be found, or two of them contradict each other.
    """
    layers = [("model config", configured), ("run config", default), ("metadata", parse_metadata(metadata))]
    choice = _Choice([(source, layer) for source, layer in layers if layer is not None])
    height, width = _size(choice, image_input)
    color = _color(choice, image_input)
    rest = {name: choice.take(name, value) for name, value in _DEFAULTS.items() if name != "divisor"}
    if rest["resize"] != "crop":
        rest["shorter_side"] = choice.unused("shorter_side", None, "it belongs to `resize: crop`")
    elif rest["shorter_side"] is None:
        rest["shorter_side"] = max(height, width)
    if rest["resize"] != "pad":
        rest["pad_value"] = choice.unused("pad_value", 0, "it belongs to `resize: pad`")
    if rest["decoder"] == "draft":
        choice.notes.append(DRAFT_NOTE)
    geometry = Geometry(height=height, width=width, color=color, max_pixels=max_pixels, **rest)
    normalisation: Normalisation | None = None
    if image_input.dtype == "uint8":
        _check_raw(choice, image_input)
    else:
        normalisation = _normalisation(choice, geometry, image_input.dtype)
    return Pixels(geometry, normalisation, choice.sources, tuple(choice.notes))


def parse_metadata(text: str | None) -> config.Preprocessing | None:
    """Read the preprocessing object that a model carries.

    Raises
    ------
    ModelError
        PREPROCESSING, if it is not JSON or not a preprocessing object.
    """
    if text is None:
        return None
    where = f"the model's metadata entry {METADATA_KEY}"
    try:
        data = json.loads(text)
    except ValueError as error:
        _refuse(f"{where} is not valid JSON ({error}); expected the config's preprocessing object")
    if not isinstance(data, dict):
        _refuse(f'{where} holds {text[:60]!r}; expected an object such as {{"size": [112, 112], "mean": [0.5]}}')
    try:
        return config.validate(config.Preprocessing, data, where)
    except UsageError as error:
        _refuse(str(error).replace(", nothing was started", ""))


def _refuse(message: str) -> NoReturn:
    raise ModelError(ModelErrorKind.PREPROCESSING, message)


@dataclass
class _Choice:
    """Takes each field from the first layer that has it, and remembers which that was."""

    layers: list[tuple[str, config.Preprocessing]]
    sources: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def given(self, name: str) -> str | None:
        """Return the first layer that has a field."""
        return next((source for source, layer in self.layers if getattr(layer, name) is not None), None)

    def take(self, name: str, default: Any, source: str = "default") -> Any:
        for layer_name, layer in self.layers:
            if (value := getattr(layer, name)) is not None:
                self.sources[name] = layer_name
                return value
        self.sources[name] = source
        return default

    def unused(self, name: str, value: Any, why: str) -> Any:
        if source := self.given(name):
            self.notes.append(f"{name} ({source}) is not used: {why}")
        del self.sources[name]
        return value


def _size(choice: _Choice, image_input: Input) -> tuple[int, int]:
    fixed = (image_input.height, image_input.width)
    size = choice.take("size", None if None in fixed else fixed, "input shape")
    if size is None:
        found = " x ".join(str(axis or "?") for axis in fixed)
        _refuse(
            f"the input {image_input.name!r} leaves its size open ({found}) and nothing else gives one; "
            "add `preprocessing: {size: [height, width]}` to the model"
        )
    if any(axis is not None and axis != wanted for axis, wanted in zip(fixed, size, strict=True)):
        found = " x ".join(str(axis or "any") for axis in fixed)
        _refuse(
            f"size {size[0]} x {size[1]} ({choice.sources['size']}) contradicts the input {image_input.name!r}, "
            f"which takes {found}; leave size out or give that"
        )
    height, width = size
    return height, width


def _color(choice: _Choice, image_input: Input) -> Any:
    channels = image_input.channels
    if channels is None:
        color = choice.take("color", "rgb")
        choice.notes.append(f"the input leaves its channels open: {color} assumed ({choice.sources['color']})")
        return color
    color = choice.take("color", "gray" if channels == 1 else "rgb", "input shape")
    if (color == "gray") != (channels == 1):
        _refuse(
            f"color {color} ({choice.sources['color']}) contradicts the input {image_input.name!r}, which takes "
            f"{channels} channel(s); expected {'gray' if channels == 1 else 'rgb or bgr'}"
        )
    return color


def _normalisation(choice: _Choice, geometry: Geometry, dtype: str) -> Normalisation:
    channels, color = geometry.channels, geometry.color
    divisor = choice.take("divisor", _DEFAULTS["divisor"])
    mean, std = choice.take("mean", None), choice.take("std", None)
    _note_defaults(choice, color, divisor)
    mean = _per_channel(choice, "mean", mean or _of_color(color, IMAGENET_MEAN, GRAY_MEAN), channels)
    std = _per_channel(choice, "std", std or _of_color(color, IMAGENET_STD, GRAY_STD), channels)
    try:
        normalisation = Normalisation(divisor=divisor, mean=mean, std=std)
        # It refuses values that its type cannot hold: better now than in the middle of a run.
        normalisation.apply(np.zeros((1, 1, 1, channels), np.uint8), "nhwc", _NUMPY_TYPES[dtype])
    except ValueError as error:
        origin = ", ".join(f"{name}: {choice.sources[name]}" for name in _SCALING)
        _refuse(f"{error} ({origin})")
    return normalisation


def _per_channel(choice: _Choice, name: str, values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """Spread a single value: written once or thrice it makes the same pixels, so it has the same key."""
    if len(values) not in {1, channels}:
        _refuse(
            f"{name} has {len(values)} values ({choice.sources[name]}), the model takes {channels} channel(s); "
            f"expected {channels} or one for all"
        )
    return values * channels if len(values) == 1 else values


def _of_color(color: str, rgb: tuple[float, ...], gray: tuple[float, ...]) -> tuple[float, ...]:
    return {"rgb": rgb, "bgr": rgb[::-1], "gray": gray}[color]


def _note_defaults(choice: _Choice, color: str, divisor: float) -> None:
    left_out = [name for name in ("mean", "std") if choice.sources[name] == "default"]
    if not left_out:
        return
    whose = {"rgb": "ImageNet's", "bgr": "ImageNet's, in BGR order", "gray": ".5, as ImageNet has no grey ones"}[color]
    note = f"{' and '.join(left_out)} not given: {whose}"
    if divisor != _DEFAULTS["divisor"] or len(left_out) == 1:
        note += "; these belong to a divisor of 255 and to each other: give mean and std together"
    choice.notes.append(note)


def _check_raw(choice: _Choice, image_input: Input) -> None:
    """Refuse or note a scaling for an integer input: it takes pixels as they are, and normalises by itself."""
    for name in _SCALING:
        source = choice.given(name)
        if source == "model config":
            _refuse(
                f"{name} is given, but the input {image_input.name!r} takes raw pixels (uint8), which are not scaled; "
                "leave divisor, mean and std out"
            )
        if source is not None:
            choice.notes.append(f"{name} ({source}) is not used: the input takes raw pixels (uint8)")
    choice.notes.append("the input takes raw pixels (uint8): values 0 to 255 as decoded, nothing subtracted or divided")
