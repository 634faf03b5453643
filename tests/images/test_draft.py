"""Scaled decoding: an option that says that its pixels differ."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from evaljobs.images import decode as decode_module
from evaljobs.images.decode import decode
from evaljobs.images.draft import draft, scaled_size
from evaljobs.images.geometry import Geometry


def encoded(image, form="JPEG", **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def photos():
    """Return scikit-learn's two photos at four times their size, as a camera has it."""
    photos = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    return [photo.resize((4 * photo.width, 4 * photo.height), Image.Resampling.LANCZOS) for photo in photos]


def both(data, *size, **options):
    exact = decode(data, Geometry(*size, **options)).astype(int)
    return exact, decode(data, Geometry(*size, **options, decoder="draft")).astype(int)


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("quality", [75, 95])
def test_pixels_differ_little_on_photos(photos, resize, quality):
    """What the documentation says of these photos; where a block is cut by the edge, the last row differs by more."""
    for photo in photos:
        exact, drafted = both(encoded(photo, quality=quality), 112, 112, resize=resize)
        difference = np.abs(exact - drafted)
        assert 0 < difference.mean() < 0.3
        assert np.percentile(difference, 99) <= 3
        assert difference.max() <= (3 if resize != "pad" else 20)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_photos_stay_turned(photos, orientation):
    """The EXIF orientation is kept, and the size is asked for in the picture's own direction."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(photos[0].crop((0, 0, 2555, 1203)), quality=90, exif=exif)
    exact, drafted = both(data, 60, 130, resize="crop", exif_orientation=True)
    difference = np.abs(exact - drafted)
    assert 0 < difference.mean() < 2


def test_the_smaller_picture_is_never_less_than_twice_what_is_wanted():
    """Nothing is scaled up, whatever the shapes; small images are decoded as they are."""
    rng = np.random.default_rng(0)
    scaled = 0
    for _ in range(150):
        width, height, to_width, to_height = rng.integers(1, [600, 600, 90, 90]).tolist()
        geometry = Geometry(to_height, to_width, resize=rng.choice(["stretch", "crop", "pad"]).item(), decoder="draft")
        image = Image.open(io.BytesIO(encoded(Image.new("RGB", (width, height)))))
        box = draft(image, geometry)
        assert (box is None) == (image.size == (width, height))
        if box is not None:
            scaled += 1
            wanted = scaled_size(width, height, geometry)
            assert image.size[0] >= 2 * wanted[0]
            assert image.size[1] >= 2 * wanted[1]
            image.load()
            assert image.size[0] - 1 < box[2] <= image.size[0]
            assert image.size[1] - 1 < box[3] <= image.size[1]
    assert scaled > 25


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF", "BMP", "GIF"])
def test_other_formats_are_decoded_as_ever(photos, form):
    """JPEG alone can be decoded at a part of its size."""
    exact, drafted = both(encoded(photos[0].crop((0, 0, 800, 800)), form), 50, 50)
    assert (exact == drafted).all()


@pytest.mark.parametrize("mode", ["L", "CMYK"])
@pytest.mark.parametrize("color", ["rgb", "bgr", "gray"])
def test_every_kind_of_jpeg_is_scaled(photos, mode, color):
    """Grey and CMYK JPEGs are JPEGs."""
    exact, drafted = both(encoded(photos[0].convert(mode)), 100, 100, color=color)
    assert 0 < np.abs(exact - drafted).mean() < 0.5


def test_a_bomb_is_refused_by_its_own_size(photos):
    """The limit is of the image, not of the part that would be decoded."""
    data = encoded(photos[0])
    width, height = photos[0].size
    geometry = Geometry(8, 8, decoder="draft", max_pixels=width * height - 1)
    with pytest.raises(decode_module.ImageError, match="above the limit"):
        decode(data, geometry)


def test_exact_and_draft_never_share_pixels():
    """The decoder is part of every key; exact keeps the one that it has had."""
    exact, drafted = Geometry(8, 8).key(), Geometry(8, 8, decoder="draft").key()
    assert drafted.pop("decoder") == f"{exact['decoder']} draft"
    assert exact.pop("decoder").startswith("pillow ")
    assert exact == drafted
