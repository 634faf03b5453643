"""Parts of the two photographs that come with scikit-learn, as image files.

A temple in China and a flower, 640 x 427 pixels each, under licences of Creative Commons (by 2.0).
"""

from __future__ import annotations

import io
from itertools import product

from PIL import Image

_NAMES = ("china", "flower")
_COLUMNS, _ROWS = 3, 2
_QUALITY = 95


def photo_files() -> dict[str, bytes]:
    """Return twelve JPEG files by name, six parts of each photograph: ``china-0-2.jpg`` is the right one above."""
    return {f"{name}-{row}-{column}.jpg": data for name in _NAMES for (row, column), data in _parts(name).items()}


def _parts(name: str) -> dict[tuple[int, int], bytes]:
    from sklearn.datasets import load_sample_image

    photo = Image.fromarray(load_sample_image(f"{name}.jpg"))
    width, height = photo.width // _COLUMNS, photo.height // _ROWS
    boxes = {
        (row, column): (column * width, row * height, (column + 1) * width, (row + 1) * height)
        for row, column in product(range(_ROWS), range(_COLUMNS))
    }
    return {place: _jpeg(photo.crop(box)) for place, box in boxes.items()}


def _jpeg(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=_QUALITY)
    return stream.getvalue()
