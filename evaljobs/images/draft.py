"""Scaled decoding of JPEGs: fewer pixels come out of the decoder, where far fewer are wanted.

A JPEG holds blocks of 8 x 8 pixels as cosine transforms; leaving out their high frequencies gives the picture at 1/2,
1/4 or 1/8 of its size (libjpeg's ``scale_denom``; Pillow's ``Image.draft``). The result is not what resizing gives.
"""

from __future__ import annotations

from PIL import Image

from evaljobs.images import geometry as geometry_module
from evaljobs.images.geometry import Geometry

Box = tuple[float, float, float, float]

# How many times larger than wanted the picture stays, at least: then resizing decides about the pixels, as it does
# without this. Pillow's thumbnails take the same.
_GAP = 2

_ORIENTATION = 0x0112
_TURNED = frozenset({5, 6, 7, 8})


def draft(image: Image.Image, geometry: Geometry) -> Box | None:
    """Let a JPEG be decoded at a part of its size, no side less than twice what the geometry scales it to.

    Parameters
    ----------
    image
        Opened and not loaded yet. Other formats stay as they are.
    geometry
        What is wanted.

    Returns
    -------
    What of the smaller picture shows the image (left, upper, right, lower), since its size is rounded up; None where it
    is decoded as it is.
    """
    if image.format != "JPEG":
        return None
    turned = geometry.exif_orientation and image.getexif().get(_ORIENTATION) in _TURNED
    width, height = image.size[::-1] if turned else image.size
    scaled = scaled_size(width, height, geometry)
    wanted = (_GAP * scaled[0], _GAP * scaled[1])
    before = image.size
    drafted = image.draft(None, wanted[::-1] if turned else wanted)
    return None if drafted is None or image.size == before else drafted[1]


def scaled_size(width: int, height: int, geometry: Geometry) -> tuple[int, int]:
    """Return the (width, height) to which a geometry scales an image, before it is cropped or padded."""
    size = geometry.width, geometry.height
    if geometry.resize == "pad":
        return geometry_module.fit(width, height, *size)
    if geometry.resize == "crop":
        return geometry_module.shorter_to(width, height, geometry.shorter_side or max(size))
    return size
