"""Hostile files give pixels or an ImageError, never anything else."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from evaljobs.errors import ImageError, ImageErrorKind
from evaljobs.images.decode import Geometry, decode
from evaljobs.images.looking import facts_of
from evaljobs.images.reading import digest_of

KINDS = {
    "PNG": ("PNG", {}),
    "APNG": ("PNG", {"save_all": True}),
    "JPEG": ("JPEG", {}),
    "JPEG progressive": ("JPEG", {"progressive": True}),
    "GIF": ("GIF", {"save_all": True}),
    "TIFF": ("TIFF", {"save_all": True}),
    "TIFF LZW": ("TIFF", {"compression": "tiff_lzw"}),
    "TIFF JPEG": ("TIFF", {"compression": "jpeg"}),
    "WEBP": ("WEBP", {"save_all": True}),
    "BMP": ("BMP", {}),
    "PPM": ("PPM", {}),
    "JPEG2000": ("JPEG2000", {}),
    "AVIF": ("AVIF", {}),
}
GEOMETRIES = (
    Geometry(9, 7, max_pixels=1_000_000),
    Geometry(8, 8, "gray", "crop", exif_orientation=True, max_pixels=1_000_000),
    Geometry(8, 5, "bgr", "pad", interpolation="lanczos", max_pixels=1_000_000),
)


@pytest.fixture(scope="module")
def files(golden):
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(golden.pattern(23, 31, 3))
    made = {}
    for name, (kind, options) in KINDS.items():
        more = {"append_images": [image.transpose(Image.Transpose.ROTATE_180)]} if options.get("save_all") else {}
        file = io.BytesIO()
        image.save(
            file, kind, **options, **more, **({} if kind in {"GIF", "BMP", "PPM", "JPEG2000"} else {"exif": exif})
        )
        made[name] = file.getvalue()
    return made


def survive(data):
    """Decode in each geometry; return how it ended."""
    ends = set()
    for geometry in GEOMETRIES:
        try:
            pixels = decode(data, geometry)
        except ImageError as error:
            ends.add(error.kind)
            continue
        assert pixels.dtype == np.uint8
        assert pixels.shape == (geometry.height, geometry.width, geometry.channels)
        ends.add("pixels")
    facts = facts_of(data)
    assert facts.image_digest == digest_of(data)
    assert (facts.width is None) == (facts.format is None)
    return ends


@pytest.mark.parametrize("name", KINDS)
def test_flipped_bits_and_cuts_give_pixels_or_an_image_error(files, name):
    """Whatever Pillow throws at a damaged file is one kind of error; the file itself decodes."""
    data = files[name]
    assert survive(data) == {"pixels"}
    rng = np.random.default_rng(20260101)
    ends = set()
    for i in range(60):
        broken = bytearray(data[: rng.integers(1, len(data))] if i % 3 == 0 else data)
        for at in rng.integers(0, min(len(broken), 120 if i % 2 else len(broken)), rng.integers(0, 6)):
            broken[at] ^= 1 << rng.integers(0, 8)
        ends |= survive(bytes(broken))
    assert ImageErrorKind.DAMAGED in ends
    assert ends <= {"pixels", *ImageErrorKind} - {ImageErrorKind.EMPTY}


@settings(max_examples=150, deadline=None)
@given(
    start=st.sampled_from(
        [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"II*\0", b"MM\0*", b"BM", b"P6\n", b"RIFF"]
    ),
    rest=st.binary(max_size=200),
)
def test_any_bytes_behind_any_signature_are_survived(start, rest):
    """A signature is no promise."""
    assert survive(start + rest)
