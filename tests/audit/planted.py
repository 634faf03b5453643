"""Real images saved in ways that tell their labels, or that do not."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from evaljobs import schemas
from evaljobs.demo.images import load
from evaljobs.images.facts import Facts, facts_of

Save = Callable[[Image.Image, bool], bytes]


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """Save an image."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def exif(**tags: object) -> Image.Exif:
    """Make EXIF data with orientation, make, model or software."""
    numbers = {"orientation": 0x0112, "make": 0x010F, "model": 0x0110, "software": 0x0131}
    made = Image.Exif()
    for name, value in tags.items():
        made[numbers[name]] = value
    return made


@functools.cache
def pictures(n: int, side: int = 24) -> tuple[Image.Image, ...]:
    """Return n different handwritten digits in colour, in the order of the data, which is nearly random."""
    found = [Image.fromarray(np.stack([p, p, 255 - p], axis=2)) for p in load().pixels[:n]]
    return tuple(image.resize((side, side), Image.Resampling.BICUBIC) for image in found)


def samples_of(files: Sequence[bytes]) -> pa.Table:
    """Return the facts of files, as they stand in samples.arrow."""
    facts = [facts_of(data) for data in files]
    columns = {name: [getattr(one, name) for one in facts] for name in Facts._fields}
    return pa.table({name: pa.array(values, schemas.SAMPLES.field(name).type) for name, values in columns.items()})
