"""What the steps of views do to pixels, against plain definitions; and the same whatever stands around an image."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from evaljobs.config import STEPS, Step, validate
from evaljobs.errors import ImageError, ImageErrorKind
from evaljobs.images.decode import Geometry, decode, decode_block
from evaljobs.images.reading import digest_of
from evaljobs.images.thumbnail import thumbnail
from evaljobs.images.views import chain as chains
from evaljobs.images.views.chain import Chain, Change
from evaljobs.images.views.chain import Step as Carried
from evaljobs.images.views.drawing import chosen, draws

SIZE = Geometry(24, 20)
AT_FILE = {"at": "file"}


def step(given: dict[str, Any], seed: str = "7/0/0") -> Carried:
    """Return a step as the configuration has it."""
    declared = validate(Step, given, "a test")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in declared.values.items()}
    return Carried(declared.kind, declared.point, tuple(sorted(values.items())), seed if declared.noise else "")


def changed(data: bytes, *given: dict[str, Any], geometry: Geometry = SIZE) -> np.ndarray:
    return decode(data, geometry, Change(Chain(tuple(map(step, given))), digest_of(data)))


PINNED_NOISE = [57718, 50807, 2956, 63526]
PINNED_SHARE = [False, True, True, False, True, False, True, False, False, False, False, False]
PINNED_CHAIN = "44b7d788569e4fe24dcc66c77a1554515bc3fffe45a42e54dc9128b1399b653c"


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    """A colour gradient with a pattern, 40 x 30."""
    y, x = np.mgrid[0:30, 0:40]
    pixels = np.stack([6 * x, 8 * y, 40 * ((x // 3 + y // 4) % 5)], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


def through_a_file(image: Image.Image, geometry: Geometry = SIZE) -> np.ndarray:
    """Return what a model would get if the changed picture were the file: the meaning of `at: file`."""
    return decode(encoded(image), geometry)


@pytest.mark.parametrize(
    ("given", "by_hand"),
    [
        ({"blur": 2}, lambda image: image.filter(ImageFilter.GaussianBlur(2))),
        ({"brightness": 0.5}, lambda image: ImageEnhance.Brightness(image).enhance(0.5)),
        ({"contrast": 1.5}, lambda image: ImageEnhance.Contrast(image).enhance(1.5)),
        ({"resize": [9, 11]}, lambda image: image.resize((11, 9), Image.Resampling.BILINEAR)),
        ({"resize": {"size": 16, "interpolation": "nearest"}}, lambda image: image.resize((16, 16), 0)),
        ({"rotate": 90}, lambda image: Image.fromarray(np.rot90(np.asarray(image)).copy())),
        ({"rotate": -180}, lambda image: Image.fromarray(np.rot90(np.asarray(image), 2).copy())),
        ({"rotate": 270}, lambda image: Image.fromarray(np.rot90(np.asarray(image), 3).copy())),
        ({"rotate": 20}, lambda image: image.rotate(20, Image.Resampling.BILINEAR)),
        ({"grayscale": "true"}, lambda image: image.convert("L").convert("RGB")),
        ({"jpeg": 30}, lambda image: Image.open(io.BytesIO(as_jpeg(image, 30, "4:2:0")))),
        ({"jpeg": {"quality": 80, "subsampling": "4:4:4"}}, lambda i: Image.open(io.BytesIO(as_jpeg(i, 80, "4:4:4")))),
    ],
)
@pytest.mark.parametrize("geometry", [SIZE, Geometry(8, 8, color="gray"), Geometry(7, 9, "bgr", resize="crop")])
def test_a_step_on_the_file_is_as_if_the_file_were_changed(
    given: dict[str, Any], by_hand: Any, geometry: Geometry, picture: Image.Image
) -> None:
    """Whoever changes the files by hand with Pillow and evaluates them gets the same pixels, bit for bit."""
    data = encoded(picture)
    found = changed(data, given, geometry=geometry)
    assert np.array_equal(found, through_a_file(by_hand(picture), geometry))


def as_jpeg(image: Image.Image, quality: int, subsampling: str) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality, subsampling=subsampling)
    return stream.getvalue()


def test_every_step_is_tried() -> None:
    """A step that is added has a version, and a test of its pixels."""
    assert set(STEPS) == set(chains._VERSIONS)
    assert set(STEPS) == {"noise", "blur", "jpeg", "brightness", "contrast", "resize", "rotate", "grayscale"}


@pytest.mark.parametrize("where", [{}, AT_FILE])
def test_noise_is_the_mix_that_it_says(where: dict[str, str], picture: Image.Image) -> None:
    """(1 - s) x + s u, rounded, by the definition in float64; u is even, and no pixel knows another."""
    data = encoded(picture.resize((20, 24)))
    found = changed(data, {"noise": 0.7, **where})
    (numbers,) = draws("7/0/0", digest_of(data), 24 * 20 * 3)
    u = numbers.astype(np.float64).reshape(24, 20, 3) / 65536
    exact = 0.3 * decode(data, SIZE).astype(np.float64) + 0.7 * 255 * u
    assert np.abs(found - exact).max() <= 0.5 + 1e-4


def test_what_is_drawn_is_even_and_depends_on_seed_and_image_alone() -> None:
    """However many numbers are asked for at a time, they are those of the seed and the image; and they are uniform."""
    long = np.concatenate(list(draws("a", b"x", 2_500_001)))
    assert len(long) == 2_500_001
    assert np.array_equal(long[:1000], np.concatenate(list(draws("a", b"x", 1000))))
    assert abs(long.mean() / 65535 - 0.5) < 1e-3
    counts = np.bincount(long >> 8, minlength=256)
    # Chi-squared of 255 degrees of freedom: beyond 350 once in 30,000 seeds, and this one is fixed.
    assert ((counts - len(long) / 256) ** 2 / (len(long) / 256)).sum() < 350
    others = [np.concatenate(list(draws(seed, image, 1000))) for seed, image in (("b", b"x"), ("a", b"y"), ("a", b""))]
    assert all(abs(np.corrcoef(long[:1000], other)[0, 1]) < 0.15 for other in others)


def test_what_is_drawn_is_pinned() -> None:
    """Another stream under the same name would mix rows of two kinds in one table: then a version must be raised."""
    assert next(draws("7/0/0", b"image", 4)).tolist() == PINNED_NOISE
    assert chosen("3", [bytes([n]) * 32 for n in range(12)], 0.4).tolist() == PINNED_SHARE
    assert Chain((step({"noise": 0.7}), step({"contrast": 2, "at": "input"}))).digest.hex() == PINNED_CHAIN


def test_a_shared_pattern_is_one_for_all() -> None:
    """`pattern: shared` adds the same to every picture of a size; without it each image has noise of its own."""
    black, grey = encoded(Image.new("RGB", (20, 24))), encoded(Image.new("RGB", (20, 24), (0, 0, 1)))
    shared = [changed(data, {"noise": {"strength": 1, "pattern": "shared"}}) for data in (black, grey)]
    assert np.array_equal(*shared)
    own = [changed(data, {"noise": 1}) for data in (black, grey)]
    assert (own[0] != own[1]).mean() > 0.9
    assert (shared[0] != own[0]).mean() > 0.9


def test_a_share_is_about_as_large_as_it_says_and_grows_by_adding() -> None:
    """A larger share of the same seed holds the smaller one; images that are added move none; another seed does."""
    digests = [digest_of(bytes([n % 256, n // 256])) for n in range(20_000)]
    tenth, half = (chosen("0", digests, share) for share in (0.1, 0.5))
    # Four standard deviations.
    assert abs(tenth.mean() - 0.1) < 4 * (0.09 / 20_000) ** 0.5
    assert not (tenth & ~half).any()
    assert np.array_equal(chosen("0", digests[5000:], 0.1), tenth[5000:])
    assert (chosen("1", digests, 0.1) & tenth).mean() < 0.02
    assert chosen("0", digests, 1.0).all()


def test_steps_are_done_in_order(picture: Image.Image) -> None:
    """A blurred JPEG is not a JPEG of a blurred picture."""
    data = encoded(picture)
    blur, jpeg = {"blur": 1.5}, {"jpeg": 10}
    one = changed(data, blur, jpeg)
    by_hand = Image.open(io.BytesIO(as_jpeg(picture.filter(ImageFilter.GaussianBlur(1.5)), 10, "4:2:0")))
    assert np.array_equal(one, through_a_file(by_hand))
    assert not np.array_equal(one, changed(data, jpeg, blur))


def test_a_step_at_the_input_acts_on_what_the_geometry_makes(picture: Image.Image) -> None:
    """The size is the model's and stays it, also where a picture that is not square is turned."""
    data = encoded(picture)
    small = Image.fromarray(decode(data, SIZE))
    blurred = changed(data, {"blur": 2, "at": "input"})
    assert np.array_equal(blurred, np.asarray(small.filter(ImageFilter.GaussianBlur(2))))
    turned = changed(data, {"rotate": 90, "at": "input"})
    assert turned.shape == (24, 20, 3)
    assert np.array_equal(turned, np.asarray(small.rotate(90, Image.Resampling.BILINEAR)))
    bgr = changed(data, {"noise": 0.5}, geometry=Geometry(24, 20, "bgr"))
    assert np.array_equal(bgr[..., ::-1], changed(data, {"noise": 0.5}))


def test_grey_files_are_compressed_as_grey(picture: Image.Image) -> None:
    """A grey picture saved as a JPEG is a grey JPEG, whatever the model takes; alpha is dropped before that."""
    grey = picture.convert("L")
    expected = Image.open(io.BytesIO(as_jpeg(grey, 40, "4:2:0")))
    assert np.array_equal(changed(encoded(grey), {"jpeg": 40}), through_a_file(expected))
    clear = picture.copy()
    clear.putalpha(7)
    assert np.array_equal(changed(encoded(clear), {"jpeg": 40}), changed(encoded(picture), {"jpeg": 40}))


def test_images_are_turned_upright_before_they_are_changed(picture: Image.Image) -> None:
    """Where the geometry turns images as their EXIF says, a step acts on what people see."""
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(stream, "PNG", exif=exif)
    upright = picture.transpose(Image.Transpose.ROTATE_270).rotate(20, Image.Resampling.BILINEAR)
    found = changed(stream.getvalue(), {"rotate": 20}, geometry=Geometry(24, 20, exif_orientation=True))
    assert np.array_equal(found, through_a_file(upright))


def test_draft_does_not_scale_what_is_to_be_changed() -> None:
    """A JPEG that is decoded at a part of its size is another picture; a view changes the whole one."""
    rng = np.random.default_rng(0)
    data = encoded(Image.fromarray(rng.integers(0, 256, (400, 400, 3), dtype=np.uint8)), "JPEG")
    exact, draft = Geometry(24, 20), Geometry(24, 20, decoder="draft")
    assert not np.array_equal(decode(data, exact), decode(data, draft))
    assert np.array_equal(*(changed(data, {"blur": 3}, geometry=geometry) for geometry in (exact, draft)))


def test_a_picture_that_becomes_too_large_is_refused(picture: Image.Image) -> None:
    """The limit on pixels holds for what a step makes, too, before memory is taken."""
    with pytest.raises(ImageError, match=r"by the view's `resize` it has 4,000 x 3,000") as caught:
        changed(encoded(picture), {"resize": [3000, 4000]}, geometry=Geometry(8, 8, max_pixels=10**6))
    assert caught.value.kind == ImageErrorKind.TOO_LARGE
    wide = encoded(Image.new("L", (65_501, 1)))
    with pytest.raises(ImageError, match="a JPEG at most 65,500 a side"):
        changed(wide, {"jpeg": 50})


def test_an_image_of_a_view_has_a_digest_of_its_own() -> None:
    """Rows of one are never taken for those of another: file, kind, strength, place and seed tell them apart."""
    several = [
        Chain((step(given, seed),))
        for given, seed in [
            ({"noise": 0.5}, "0/0/0"),
            ({"noise": 0.5}, "1/0/0"),
            ({"noise": 0.6}, "0/0/0"),
            ({"noise": 0.5, "at": "file"}, "0/0/0"),
            ({"noise": {"strength": 0.5, "pattern": "shared"}}, "0/0/0"),
            ({"brightness": 0.5}, ""),
            ({"contrast": 0.5}, ""),
        ]
    ]
    several.append(Chain((*several[0].steps, *several[5].steps)))
    files = [digest_of(b"a"), digest_of(b"b")]
    digests = {chain.of(file) for chain in several for file in files} | set(files)
    assert len(digests) == 2 * len(several) + 2
    assert Chain((step({"brightness": 0.5}, "9"),)).of(files[0]) == several[5].of(files[0])  # it draws nothing


def test_a_block_holds_images_as_they_are_and_changed(picture: Image.Image, tmp_path: Any) -> None:
    """One shard makes both of one file, read once; a file that holds other bytes by now fails for both."""
    path = tmp_path / "a.png"
    data = encoded(picture)
    path.write_bytes(data)
    chain = Chain((step({"noise": 0.5}),))
    file = digest_of(data)
    digests = [file, chain.of(file)]
    changes = {digests[1]: Change(chain, file)}
    block = decode_block([str(path)] * 2, digests, SIZE, changes)
    assert block.digests == digests
    assert np.array_equal(block.pixels[0], decode(data, SIZE))
    assert np.array_equal(block.pixels[1], decode(data, SIZE, changes[digests[1]]))
    alone = decode_block([str(path)], digests[1:], SIZE, changes)
    assert np.array_equal(alone.pixels[0], block.pixels[1])
    path.write_bytes(encoded(picture.rotate(3)))
    assert decode_block([str(path)] * 2, digests, SIZE, changes).changed == digests


def test_a_thumbnail_shows_what_was_changed(picture: Image.Image) -> None:
    """People see the view's pixels, not the file's; grey pictures get grey noise."""
    data = encoded(picture)
    change = Change(Chain((step({"rotate": 90}),)), digest_of(data))
    shown = Image.open(io.BytesIO(thumbnail(data, 10**6, change=change)))
    assert shown.size == (30, 40)
    assert np.array_equal(np.asarray(shown.convert("RGB")), np.rot90(np.asarray(picture)))
    grey = encoded(picture.convert("L"))
    noisy = thumbnail(grey, 10**6, change=Change(Chain((step({"noise": 0.9}),)), digest_of(grey)))
    assert Image.open(io.BytesIO(noisy)).mode == "L"
    assert noisy != thumbnail(grey, 10**6)
