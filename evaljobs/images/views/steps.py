"""The steps of views, on pictures: 8-bit RGB or grey in, the same out."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from evaljobs.errors import ImageError, ImageErrorKind
from evaljobs.images import pillow
from evaljobs.images.views.chain import Change, Point
from evaljobs.images.views.drawing import draws

_GREY = frozenset({"1", "L", "LA", "La", "I", "F"})
# Of a JPEG's side: libjpeg's limit.
_LARGEST_JPEG = 65_500


def apply(image: Image.Image, change: Change | None, point: Point, max_pixels: int) -> Image.Image:
    """Carry out the steps of a change that act at one place, in order.

    Parameters
    ----------
    image
        Mode RGB or L; the result has the same mode.
    change
        None: the image stays as it is.
    point
        The place.
    max_pixels
        A picture that would become larger is refused.

    Raises
    ------
    ImageError
        TOO_LARGE, if a step asks for more pixels than are allowed.
    """
    if change is None:
        return image
    for step in change.chain.at(point):
        values: dict[str, Any] = dict(step.values)
        if step.kind == "noise":
            image = _noise(image, step.seed, change.file, **values)
        elif step.kind == "resize":
            image = _resize(image, max_pixels, **values)
        elif step.kind == "rotate":
            # What models get has one size.
            image = _rotate(image, whole=point == "file", **values)
        else:
            image = _PLAIN[step.kind](image, **values)
    return image


def as_picture(image: Image.Image) -> Image.Image:
    """Return a decoded image as the steps take it: grey (L) where its file is grey, else RGB.

    Alpha is dropped and values above 255 are saturated, as they are without a view.
    """
    return image.convert("L" if image.mode in _GREY or image.mode.startswith("I;16") else "RGB")


def _noise(image: Image.Image, seed: str, file: bytes, *, strength: float, pattern: str) -> Image.Image:
    """Mix (1 - s) x + s u, rounded; u is even on [0, 255), of 65,536 steps."""
    pixels = np.asarray(image, np.uint8)
    flat = pixels.reshape(-1)
    mixed = np.empty_like(flat)
    start = 0
    for some in draws(seed, b"" if pattern == "shared" else file, len(flat)):
        part = slice(start, start + len(some))
        kept = flat[part].astype(np.float32) * np.float32(1 - strength)
        added = some.astype(np.float32) * np.float32(strength * 255 / 65536)
        mixed[part] = np.rint(kept + added)
        start += len(some)
    return Image.fromarray(mixed.reshape(pixels.shape))


def _blur(image: Image.Image, *, radius: float) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(radius))


def _jpeg(image: Image.Image, *, quality: int, subsampling: str) -> Image.Image:
    if max(image.size) > _LARGEST_JPEG:
        message = f"it has {image.width:,} x {image.height:,} pixels, and a JPEG at most {_LARGEST_JPEG:,} a side"
        raise ImageError(ImageErrorKind.TOO_LARGE, message)
    stream = io.BytesIO()
    colours = {} if image.mode == "L" else {"subsampling": subsampling}
    image.save(stream, "JPEG", quality=quality, **colours)
    stream.seek(0)
    saved = Image.open(stream, formats=["JPEG"])
    saved.load()
    return saved


def _brightness(image: Image.Image, *, factor: float) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(factor)


def _contrast(image: Image.Image, *, factor: float) -> Image.Image:
    return ImageEnhance.Contrast(image).enhance(factor)


def _resize(image: Image.Image, max_pixels: int, *, size: Sequence[int], interpolation: str) -> Image.Image:
    height, width = size
    pillow.check_pixels(width, height, max_pixels, "by the view's `resize` it has")
    return image.resize((width, height), pillow.FILTERS[interpolation])


def _rotate(image: Image.Image, *, degrees: float, whole: bool) -> Image.Image:
    """Turn a picture: by multiples of 90 degrees as a `whole`, its sides exchanged, else inside its frame."""
    return image.rotate(degrees, Image.Resampling.BILINEAR, expand=whole and degrees % 90 == 0)


def _grayscale(image: Image.Image) -> Image.Image:
    return image.convert("L").convert(image.mode)


_PLAIN: Final[dict[str, Callable[..., Image.Image]]] = {
    "blur": _blur,
    "jpeg": _jpeg,
    "brightness": _brightness,
    "contrast": _contrast,
    "grayscale": _grayscale,
}
