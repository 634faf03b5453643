"""From pixels as a model sees them to a picture for people."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evaljobs.images.geometry import fit

# Of the longer side, in pixels: larger inputs are shown smaller.
SEEN = 224


def picture_of(pixels: NDArray[np.uint8], color: Literal["rgb", "bgr", "gray"], side: int = SEEN) -> bytes:
    """Return decoded pixels as a PNG.

    Parameters
    ----------
    pixels
        uint8 [h, w, c], as a geometry of this colour has them.
    side
        The longer side, in pixels; smaller images stay as they are.
    """
    upright = pixels[..., ::-1] if color == "bgr" else pixels
    image = Image.fromarray(np.ascontiguousarray(upright[..., 0] if upright.shape[2] == 1 else upright))
    if max(image.size) > side:
        image = image.resize(fit(*image.size, side, side), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()
