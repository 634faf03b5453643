"""Perceptual hashes, and how much there is to see."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from evaljobs.images.decode import decode
from evaljobs.images.fingerprint import GEOMETRY, fingerprint


def encoded(image, kind="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def printed(data):
    return fingerprint(decode(data, GEOMETRY))


@pytest.fixture(scope="module")
def photos():
    return [Image.fromarray(pixels) for pixels in load_sample_images().images]


def bits(a, b):
    return (a.phash ^ b.phash).bit_count(), (a.dhash ^ b.dhash).bit_count()


def turned(photo):
    """Return a photo that lies on its side, with EXIF data that set it upright."""
    data = Image.Exif()
    data[0x0112] = 6
    return encoded(photo.rotate(90, expand=True), "PNG", exif=data)


VERSIONS = {
    "jpeg 30": lambda photo: encoded(photo, "JPEG", quality=30),
    "half": lambda photo: encoded(photo.resize((photo.width // 2, photo.height // 2))),
    "brighter": lambda photo: encoded(photo.point(lambda value: min(255, int(value * 1.1)))),
    "turned": turned,
    "gray": lambda photo: encoded(photo.convert("L")),
}


@pytest.mark.parametrize("version", VERSIONS)
def test_versions_of_a_photo_are_near_and_others_are_far(photos, version):
    """Saving, scaling and light move few of the 64 bits; another photo has about half of them otherwise."""
    for photo, other in (photos, photos[::-1]):
        whole = printed(encoded(photo))
        near, gradients = bits(whole, printed(VERSIONS[version](photo)))
        assert near <= 4
        assert gradients <= 16
        assert bits(whole, printed(encoded(other)))[0] > 16


def test_hashes_are_those_of_the_library(photos):
    """The numbers are ImageHash's, bit by bit, first one first."""
    import imagehash

    pixels = decode(encoded(photos[0]), GEOMETRY)
    assert pixels.shape == (64, 64, 1)
    picture = Image.fromarray(pixels[..., 0])
    found = fingerprint(pixels)
    assert f"{found.phash:016x}" == str(imagehash.phash(picture))
    assert f"{found.dhash:016x}" == str(imagehash.dhash(picture))


def test_spread_tells_blank_images():
    """Nothing to see has spread 0, whatever its colour; a small dark mark is seen."""
    gray = printed(encoded(Image.new("RGB", (200, 100), (130, 130, 130))))
    assert (gray.spread, gray.extent) == (0, 0)
    marked = Image.new("L", (64, 64), 255)
    marked.paste(0, (10, 10, 14, 14))
    found = printed(encoded(marked))
    assert found.extent == 255
    assert found.spread == pytest.approx(np.asarray(marked).std())
