"""What happens to each kind of image: the table of docs/images.md."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps

from evaljobs.errors import ImageError, ImageErrorKind
from evaljobs.images.decode import Geometry, decode, decode_block
from evaljobs.images.notices import ImageNotice
from evaljobs.images.reading import digest_of

SMALL = Geometry(8, 8)
SMALL_16 = Geometry(16, 16)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def picture(golden):
    return Image.fromarray(golden.pattern(40, 60, 3))


def failure(data, geometry=SMALL):
    with pytest.raises(ImageError) as caught:
        decode(data, geometry)
    return caught.value


def png_header(width, height):
    """Return a PNG of a given size with a single compressed byte in it."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def test_an_empty_file_is_named_so():
    """Zero bytes are their own kind: usually a copy that was cut off."""
    assert failure(b"").kind is ImageErrorKind.EMPTY


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"])
def test_a_truncated_image_is_damaged(picture, kind):
    """Half a file gives no half picture."""
    data = encoded(picture, kind)
    assert failure(data[: len(data) // 2]).kind is ImageErrorKind.DAMAGED
    assert failure(data[:12]).kind is ImageErrorKind.DAMAGED


def test_truncated_stays_damaged_when_the_process_allows_it(picture, monkeypatch):
    """What else runs in the process does not decide what an image is; its settings are given back."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = encoded(picture, "JPEG")
    assert failure(data[: len(data) // 2]).kind is ImageErrorKind.DAMAGED
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True


@pytest.mark.parametrize("data", [b"no image at all", b"\0" * 100, b"P1 is my file", b"<html></html>", b"\xff"])
def test_other_bytes_are_not_an_image(data):
    """Text, zeros and HTML (a download that failed) are told from damaged images."""
    assert failure(data).kind is ImageErrorKind.NOT_AN_IMAGE


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"\n <svg width='4'/>", "SVG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"%PDF-1.7\n", "PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "PostScript"),
        (b"8BPS\0\1", "Photoshop"),
        (b"\xff\x0a\x00", "JPEG XL"),
    ],
)
def test_formats_that_are_not_read_are_named(data, name):
    """An SVG is no damaged image: the message says what it is and what to do."""
    error = failure(data)
    assert error.kind is ImageErrorKind.UNSUPPORTED
    assert name in str(error)


def test_content_decides_not_the_name(picture, tmp_path):
    """A PNG named .jpg is decoded as the PNG it is."""
    path = tmp_path / "wrong.jpg"
    path.write_bytes(encoded(picture, "PNG"))
    block = decode_block([str(path)], [digest_of(path.read_bytes())], SMALL)
    assert np.array_equal(block.pixels[0], decode(encoded(picture, "BMP"), SMALL))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_picture_is_taken(picture, kind):
    """The second frame changes nothing."""
    lossless = {"lossless": True} if kind == "WEBP" else {}
    first = picture.convert("P") if kind == "GIF" else picture
    animated = encoded(first, kind, save_all=True, append_images=[ImageOps.invert(picture)], **lossless)
    assert getattr(Image.open(io.BytesIO(animated)), "n_frames", 1) == 2
    assert np.array_equal(decode(animated, SMALL), decode(encoded(first, kind, **lossless), SMALL))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_saturated(kind):
    """Parity with torchvision: Pillow cuts 16-bit grey at 255, it does not scale it."""
    values = np.array([[0, 1, 200, 255], [256, 257, 30000, 65535]], np.uint16)
    pixels = decode(encoded(Image.fromarray(values), kind), Geometry(2, 4))
    assert pixels[..., 0].tolist() == [[0, 1, 200, 255], [255, 255, 255, 255]]
    assert np.array_equal(decode(encoded(Image.fromarray(values), kind), Geometry(2, 4, color="gray")), pixels[..., :1])


def test_float_pixels_are_cut_to_integers():
    """A float TIFF of values 0 to 1 becomes black, as in torchvision's pipeline; a notice names such files."""
    values = np.array([[-1.0, 0.0, 0.5, 1.6, 255.4, 300.0]], np.float32)
    assert decode(encoded(Image.fromarray(values), "TIFF"), Geometry(1, 6))[0, :, 0].tolist() == [0, 0, 0, 1, 255, 255]


def test_alpha_is_dropped_and_not_blended(golden):
    """What lies under transparent pixels shows, as convert("RGB") does it."""
    rgba = golden.pattern(8, 8, 4)
    rgba[..., 3] = 0
    assert np.array_equal(decode(encoded(Image.fromarray(rgba), "PNG"), SMALL), rgba[..., :3])


def test_one_bit_cmyk_and_palette_become_rgb(picture):
    """Each colour mode gives three channels of 8 bits."""
    for image, kind in ((picture.convert("1"), "PNG"), (picture.convert("CMYK"), "TIFF"), (picture.quantize(8), "PNG")):
        expected = np.asarray(image.convert("RGB").resize((8, 8), Image.Resampling.BILINEAR))
        assert np.array_equal(decode(encoded(image, kind), SMALL), expected)


def test_a_bomb_is_refused_by_its_header():
    """A hundred bytes that ask for 3.6 billion pixels are refused before anything is allocated, with the numbers."""
    error = failure(png_header(60_000, 60_000))
    assert error.kind is ImageErrorKind.TOO_LARGE
    assert "178,956,970" in str(error)


def test_the_limit_is_ours_and_not_the_process_s(picture, monkeypatch):
    """The limit counts alone: neither a lower one of the process nor none at all changes what is refused."""
    data = encoded(picture, "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert decode(data, Geometry(4, 4, max_pixels=2400)).shape == (4, 4, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    error = failure(data, Geometry(4, 4, max_pixels=2399))
    assert error.kind is ImageErrorKind.TOO_LARGE
    assert "60 x 40 = 2,400 pixels" in str(error)
    assert failure(data, Geometry(4, 4, max_pixels=100)).kind is ImageErrorKind.TOO_LARGE
    assert Image.MAX_IMAGE_PIXELS is None


def test_a_crop_that_would_grow_without_bound_is_refused():
    """One pixel by 20,000, its shorter side scaled to 224, would be a billion pixels."""
    data = encoded(Image.new("RGB", (1, 20_000)), "PNG")
    error = failure(data, Geometry(224, 224, resize="crop"))
    assert error.kind is ImageErrorKind.TOO_LARGE
    assert "224 x 4,480,000" in str(error)


@pytest.mark.parametrize(("color", "mode"), [("rgb", "RGB"), ("gray", "L")])
@pytest.mark.parametrize("size", [(8, 8), (20, 7), (7, 20), (61, 60)])
def test_padding_equals_pillow_s(picture, color, mode, size):
    """Fit and pad is ImageOps.pad on the converted image, up and down."""
    width, height = size
    geometry = Geometry(height, width, color=color, resize="pad", pad_value=9)
    expected = ImageOps.pad(picture.convert(mode), size, Image.Resampling.BILINEAR, color=(9,) * len(mode))
    assert np.array_equal(decode(encoded(picture, "PNG"), geometry), np.asarray(expected).reshape(height, width, -1))


def test_padding_keeps_at_least_one_pixel():
    """A line fits into any square: its thin side is never rounded to nothing."""
    pixels = decode(encoded(Image.new("RGB", (1, 5000), "white"), "PNG"), Geometry(16, 16, resize="pad"))
    assert (pixels == 255).all(axis=2).sum() == 16


def test_exif_orientation_is_off_unless_asked_for(picture):
    """A photograph taken sideways is turned on request alone, and then as its EXIF data say."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(picture, "PNG", exif=exif)
    as_stored = decode(data, Geometry(60, 40, interpolation="nearest"))
    upright = decode(data, Geometry(60, 40, interpolation="nearest", exif_orientation=True))
    assert np.array_equal(upright, np.asarray(picture.transpose(Image.Transpose.ROTATE_270)))
    assert not np.array_equal(upright, as_stored)


def test_nothing_is_said_and_no_filter_is_left_behind(picture):
    """Pillow's warnings neither reach people nor turn into failures, and the filters are as they were."""
    data = encoded(picture.quantize(4), "PNG", transparency=b"\0\1\2\3")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        decode(data, SMALL)
        assert warnings.filters == before
    assert caught == []


def test_threads_give_the_same_pixels(golden, monkeypatch):
    """Many threads with several limits share one process, and its settings come back when the last has left."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1234)
    images = list(golden.images().values())
    jobs = [(data, Geometry(16, 16, max_pixels=10_000 + i)) for i in range(20) for data in images]
    expected = [decode(data, SMALL_16).tobytes() for data in images]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda job: decode(*job).tobytes(), jobs))
    assert found == expected * 20
    assert Image.MAX_IMAGE_PIXELS == 1234


def test_a_block_tells_pixels_failures_and_changes_apart(picture, tmp_path):
    """Each image of a shard ends in one place: a row, a failure by its digest, or the list of changed files."""
    contents = {"a.png": encoded(picture, "PNG"), "b.png": b"", "c.png": encoded(picture, "JPEG"), "d.png": b"text"}
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    digests = [digest_of(data) for data in contents.values()]
    uris = [str(tmp_path / name) for name in contents]
    block = decode_block([*uris, str(tmp_path / "gone.png"), uris[0]], [*digests, digests[0], digests[1]], SMALL)
    assert block.digests == [digests[0], digests[2]]
    assert block.pixels.shape == (2, 8, 8, 3)
    assert block.pixels.flags.c_contiguous
    for row, name in zip(block.pixels, ("a.png", "c.png"), strict=True):
        assert np.array_equal(row, decode(contents[name], SMALL))
    assert [(f.digest, f.kind) for f in block.failures] == [
        (digests[1], ImageErrorKind.EMPTY),
        (digests[3], ImageErrorKind.NOT_AN_IMAGE),
    ]
    assert block.changed == [digests[0], digests[1]]


def test_a_block_without_an_image_has_its_shape():
    """Nothing decoded is an array of zero rows, not an error."""
    assert decode_block([], [], Geometry(5, 6, color="gray")).pixels.shape == (0, 5, 6, 1)


def test_want_of_memory_is_not_remembered(picture, monkeypatch):
    """What fails for memory may succeed elsewhere: the kind says that the bytes are not to blame."""

    def no_memory(*_):
        raise MemoryError

    monkeypatch.setattr(Image.Image, "resize", no_memory)
    assert failure(encoded(picture, "PNG")).kind is ImageErrorKind.UNREADABLE


def test_the_documentation_names_every_kind():
    """docs/images.md says what happens to each: a new kind of failure or notice is written down there."""
    text = (Path(__file__).parents[2] / "docs" / "images.md").read_text(encoding="utf-8")
    missing = [kind.value for kind in (*ImageErrorKind, *ImageNotice) if f"`{kind.value}`" not in text]
    assert missing == []
