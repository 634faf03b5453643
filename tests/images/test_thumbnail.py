"""Small pictures of real images of every format: upright, small, and without anything but pixels."""

from __future__ import annotations

import functools
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from evaljobs.errors import ImageError, ImageErrorKind
from evaljobs.images.thumbnail import SIDE, thumbnail

LIMIT = 10**7
ORIENTATION, GPS = 0x0112, 0x8825


def gradient(width: int, height: int, bands: int = 3) -> np.ndarray:
    """Return a smooth picture, whose left upper corner is dark: orientation and colours can be told."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [255 * x / width, 255 * y / height, 255 * (x + y) / (width + height), np.full_like(x, 255)]
    return np.stack(planes[:bands], axis=-1).astype(np.uint8)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(thumbnail(data, LIMIT)))
    image.load()
    assert image.format in {"PNG", "JPEG"}
    assert image.mode in {"RGB", "L"}
    return image


@functools.cache
def pictures() -> dict[str, tuple[bytes, np.ndarray]]:
    """Return encoded images of 200 x 100, and what each is to look like before it is made smaller."""
    rgb = gradient(200, 100)
    colour, grey = Image.fromarray(rgb), Image.fromarray(rgb[..., 0])
    alpha = Image.fromarray(np.dstack([rgb, rgb[..., 1]]))
    deep = Image.fromarray((rgb[..., 0].astype(np.uint16) + 100) * 256)
    palette = colour.quantize(200)
    frames = [colour, Image.fromarray(255 - rgb)]
    white = np.full((100, 200, 3), 255, np.uint8)
    return {
        "png": (encoded(colour, "PNG"), rgb),
        "jpeg": (encoded(colour, "JPEG", quality=95), rgb),
        "grey": (encoded(grey, "PNG"), np.repeat(rgb[..., :1], 3, axis=2)),
        "alpha": (encoded(alpha, "PNG"), rgb),
        "16 bit": (encoded(deep, "PNG"), white),
        "float": (encoded(Image.fromarray(rgb[..., 0].astype(np.float32)), "TIFF"), np.repeat(rgb[..., :1], 3, axis=2)),
        "cmyk": (encoded(colour.convert("CMYK"), "JPEG", quality=95), rgb),
        "palette": (encoded(palette, "PNG"), rgb),
        "transparent palette": (encoded(palette, "PNG", transparency=3), rgb),
        "animated gif": (encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), rgb),
        "animated webp": (encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True), rgb),
        "tiff": (encoded(colour, "TIFF", compression="tiff_lzw"), rgb),
        "bmp": (encoded(colour, "BMP"), rgb),
        "jpeg 2000": (encoded(colour, "JPEG2000"), rgb),
        "ppm": (encoded(colour, "PPM"), rgb),
        "bits": (encoded(Image.fromarray(rgb[..., 0] > 127), "PNG"), np.repeat(255 * (rgb[..., :1] > 127), 3, axis=2)),
    }


@pytest.mark.parametrize("name", pictures())
def test_every_format_has_its_picture(name: str) -> None:
    """Half the size, and the colours that models get: alpha dropped, 16 bits saturated, the first frame."""
    data, whole = pictures()[name]
    image = opened(data)
    assert image.size == (SIDE, SIDE // 2)
    expected = np.asarray(Image.fromarray(whole.astype(np.uint8)).resize(image.size, Image.Resampling.BOX), int)
    assert np.abs(np.asarray(image.convert("RGB"), int) - expected).mean() < 8


def test_large_jpegs_keep_their_look() -> None:
    """A photograph of many pixels is decoded at a part of its size, and looks the same."""
    data = encoded(Image.fromarray(gradient(3000, 2000)), "JPEG", quality=95)
    image = opened(data)
    assert image.size == (96, 64)
    expected = np.asarray(Image.fromarray(gradient(96, 64)), int)
    assert np.abs(np.asarray(image, int) - expected).mean() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright(orientation: int) -> None:
    """All eight ways in which EXIF data turn a picture."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = encoded(Image.fromarray(gradient(600, 300)), "JPEG", exif=exif)
    image = opened(data)
    turned = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
    upright = Image.fromarray(gradient(600, 300))
    if orientation in turned:
        upright = upright.transpose(Image.Transpose(turned[orientation]))
    assert image.size == ((96, 48) if orientation < 5 else (48, 96))
    expected = np.asarray(upright.resize(image.size, Image.Resampling.BOX), int)
    assert np.abs(np.asarray(image, int) - expected).mean() < 6


def test_nothing_but_pixels_is_taken_over() -> None:
    """Places, dates, comments and profiles of the original stay there: reports are passed on."""
    secret = b"Hidden Valley 7"
    exif = Image.Exif()
    exif[0x010E] = secret.decode()
    exif.get_ifd(GPS)[29] = secret.decode()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() + secret
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", secret.decode())
    image = Image.fromarray(gradient(64, 64))
    originals = [
        encoded(image, "JPEG", exif=exif, comment=secret, icc_profile=profile, quality=30),
        encoded(image, "PNG", exif=exif, pnginfo=text, icc_profile=profile),
        encoded(image, "WEBP", exif=exif, icc_profile=profile),
    ]
    for data in originals:
        assert secret in data or b"iCCP" in data
        small = thumbnail(data, LIMIT)
        assert secret not in small
        found = Image.open(io.BytesIO(small))
        found.load()
        assert not {"exif", "icc_profile", "comment", "Comment"} & set(found.info)
        assert not found.getexif()


def test_small_pictures_stay_as_they_are() -> None:
    """Digits of 8 x 8 are not blown up; what is grey in all pixels is kept as grey."""
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8)
    image = opened(encoded(Image.fromarray(pixels), "PNG"))
    assert image.size == (8, 8)
    assert image.mode == "L"
    assert np.asarray(image).tolist() == pixels.tolist()


@pytest.mark.parametrize(("width", "height"), [(5000, 1), (1, 5000), (97, 96), (1, 1)])
def test_odd_shapes(width: int, height: int) -> None:
    """A line is a line; no side is ever 0, none above 96."""
    image = opened(encoded(Image.fromarray(gradient(width, height)), "PNG"))
    assert max(image.size) == min(SIDE, max(width, height))
    assert min(image.size) >= 1


def test_the_same_bytes_each_time() -> None:
    """Two equal runs write equal files."""
    data = encoded(Image.fromarray(gradient(300, 200)), "JPEG")
    assert thumbnail(data, LIMIT) == thumbnail(data, LIMIT)
    assert len(thumbnail(data, LIMIT)) < 10_000


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", ImageErrorKind.EMPTY),
        (b"no image", ImageErrorKind.NOT_AN_IMAGE),
        (encoded(Image.fromarray(gradient(200, 100)), "PNG")[:500], ImageErrorKind.DAMAGED),
        (encoded(Image.fromarray(gradient(200, 100)), "JPEG")[:-400], ImageErrorKind.DAMAGED),
        (encoded(Image.new("L", (4000, 3000)), "PNG"), ImageErrorKind.TOO_LARGE),
    ],
    ids=["empty", "text", "cut png", "cut jpeg", "bomb"],
)
def test_damaged_images_are_errors_of_the_image(data: bytes, kind: ImageErrorKind) -> None:
    """Nothing but an error of the image leaves here, whatever the bytes."""
    with pytest.raises(ImageError) as error:
        thumbnail(data, LIMIT)
    assert error.value.kind is kind
