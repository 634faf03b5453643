"""From encoded bytes to a small picture for people."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageOps

from evaljobs.images import pillow
from evaljobs.images.geometry import fit
from evaljobs.images.views import steps
from evaljobs.images.views.chain import Change

# Of the longer side, in pixels.
SIDE = 96
# How much larger than wanted a picture stays while cheap steps make it smaller: what Pillow's own thumbnails take.
_GAP = 2
_QUALITY = 85


def thumbnail(data: bytes, max_pixels: int, side: int = SIDE, change: Change | None = None) -> bytes:
    """Return a small picture as PNG or JPEG, whichever is smaller; nothing but pixels is taken over.

    Colours are those that models get: alpha is dropped, values above 255 are white, of several frames the first is
    taken. Unlike theirs, the picture stands upright as its EXIF data say.

    Parameters
    ----------
    data
        An encoded image.
    max_pixels
        An image of more is refused.
    side
        The longer side, in pixels; smaller images stay as they are.
    change
        What a view does to the image; its steps at the input of models act on the small picture.

    Raises
    ------
    ImageError
        Whatever the bytes hold: no other exception leaves here.
    """
    with pillow.guarded(max_pixels):
        image = pillow.open_image(data, max_pixels)
        with pillow.explained(image):
            return _encoded(_small(image, max_pixels, side, change))


def _small(image: Image.Image, max_pixels: int, side: int, change: Change | None) -> Image.Image:
    if change is None:
        image.draft(None, (_GAP * side, _GAP * side))
    image.load()
    image = ImageOps.exif_transpose(image)
    # The conversion carries this entry along, warning about it, and no pixel depends on it.
    image.info.pop("transparency", None)
    # Grey files get grey noise.
    image = image.convert("RGB") if change is None else steps.apply(steps.as_picture(image), change, "file", max_pixels)
    if max(image.size) > side:
        image = image.resize(fit(*image.size, side, side), Image.Resampling.LANCZOS, reducing_gap=_GAP)
    pixels = np.asarray(steps.apply(image, change, "input", max_pixels).convert("RGB"), np.uint8)
    grey = bool((pixels == pixels[..., :1]).all())
    # Made anew, so that no comment, profile, place or date comes along.
    return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if grey else pixels))


def _encoded(image: Image.Image) -> bytes:
    def written(kind: str, **options: int) -> bytes:
        stream = io.BytesIO()
        image.save(stream, kind, **options)
        return stream.getvalue()

    return min(written("PNG"), written("JPEG", quality=_QUALITY), key=len)
