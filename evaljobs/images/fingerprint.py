"""What an image looks like in a few bytes: two perceptual hashes, and how much there is to see."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from evaljobs.images.geometry import Geometry

# How images are decoded to be hashed: small, so that it costs little beside decoding, and upright as people see them,
# so that a turned copy whose EXIF data turn it back is found.
SIDE = 64
GEOMETRY = Geometry(height=SIDE, width=SIDE, color="gray", resize="stretch", exif_orientation=True)


class Fingerprint(NamedTuple):
    """What is kept of an image's looks.

    Attributes
    ----------
    phash
        64 bits: which of the 8 x 8 lowest frequencies of its cosine transform lie above their median.
    dhash
        64 bits: where it becomes brighter from left to right, on 9 x 8 places.
    spread
        Standard deviation of its gray values, 0 to 127.5.
    extent
        Difference between its brightest and darkest gray value, 0 to 255.
    """

    phash: int
    dhash: int
    spread: float
    extent: int


def fingerprint(pixels: npt.NDArray[np.uint8]) -> Fingerprint:
    """Return the fingerprint of an image that was decoded with `GEOMETRY`: uint8 [h, w] or [h, w, 1]."""
    import imagehash

    gray = pixels[..., 0] if pixels.ndim == 3 else pixels
    picture = Image.fromarray(np.ascontiguousarray(gray))
    return Fingerprint(
        _number(imagehash.phash(picture).hash),
        _number(imagehash.dhash(picture).hash),
        float(gray.std()),
        int(gray.max()) - int(gray.min()),
    )


def _number(bits: npt.NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
