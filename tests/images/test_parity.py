"""Pixels equal torchvision's."""

from __future__ import annotations

import importlib.util
import io
import itertools
import json
import pickle

import numpy as np
import pytest
from PIL import Image

from evaljobs.images.decode import Geometry, decode
from evaljobs.images.normalise import Normalisation


def ours(golden, data, case):
    geometry = Geometry(
        case.height,
        case.width,
        color=case.color,
        resize="crop" if case.shorter_side else "stretch",
        shorter_side=case.shorter_side,
        interpolation=case.interpolation,
    )
    normalisation = Normalisation(255.0, golden.MEAN[case.color], golden.STD[case.color])
    return normalisation.apply(decode(data, geometry)[None], "nchw", np.float32)[0]


def test_tensors_equal_the_golden_digests_of_torchvision(golden):
    """Decode and normalise give the bits of torchvision's Resize + ToTensor + Normalize, on every kind of image."""
    expected = json.loads(golden.GOLDEN.read_text(encoding="utf-8"))["tensors"]
    found = {
        name: {case: golden.digest(ours(golden, data, spec)) for case, spec in golden.CASES.items()}
        for name, data in golden.images().items()
    }
    assert len(expected) >= 15
    assert found == expected


def test_tensors_equal_the_definition_value_by_value(golden):
    """The golden digests mean what torchvision's source says: Pillow's resize, then three roundings to float32."""
    for name in ("rgb", "palette-transparent", "gray16", "cmyk.jpg"):
        case, data = golden.CASES["down"], golden.images()[name]
        assert np.array_equal(ours(golden, data, case), plain_reference(golden, data, case)), name


def test_tensors_equal_torchvision_itself_where_it_is_installed(golden):
    """The golden digests are complete, and not stale: where torchvision can be asked, it is asked again."""
    images = golden.images()
    expected = json.loads(golden.GOLDEN.read_text(encoding="utf-8"))["tensors"]
    assert {name: set(cases) for name, cases in expected.items()} == {name: set(golden.CASES) for name in images}
    if importlib.util.find_spec("torchvision"):
        for name, case in itertools.product(("rgb", "tall", "alpha", "rgb.jpg"), golden.CASES.values()):
            reference = golden.torchvision_tensor(images[name], case)
            assert np.array_equal(ours(golden, images[name], case), reference), (name, case)


def plain_reference(golden, data, case):
    """Do what torchvision's source does, in Pillow and numpy, one value at a time."""
    image = Image.open(io.BytesIO(data))
    image.info.pop("transparency", None)
    image = image.convert("RGB").resize((case.width, case.height), Image.Resampling.BILINEAR)
    out = np.empty((3, case.height, case.width), np.float32)
    for x, y in itertools.product(range(case.width), range(case.height)):
        for c, value in enumerate(image.getpixel((x, y))):
            scaled = np.float32(value) / np.float32(255)
            centred = np.float32(scaled - np.float32(golden.MEAN["rgb"][c]))
            out[c, y, x] = centred / np.float32(golden.STD["rgb"][c])
    return out


def test_bgr_is_rgb_reversed(golden):
    """BGR holds the same values with the channels in the other order, C-contiguous."""
    data = golden.images()["rgb"]
    bgr = decode(data, Geometry(20, 30, color="bgr"))
    assert np.array_equal(bgr[..., ::-1], decode(data, Geometry(20, 30)))
    assert not np.array_equal(bgr, bgr[..., ::-1])
    assert bgr.flags.c_contiguous


def test_geometries_that_make_equal_pixels_are_equal():
    """What a way of resizing does not use changes neither equality nor key, so that an image is decoded once."""
    assert Geometry(8, 8, pad_value=7, shorter_side=9) == Geometry(8, 8)
    assert Geometry(8, 8, pad_value=7).key() == Geometry(8, 8).key()
    assert Geometry(8, 6, resize="crop") == Geometry(8, 6, resize="crop", shorter_side=8)
    keys = [
        Geometry(8, 8, resize="pad", pad_value=7).key(),
        Geometry(8, 8, resize="pad").key(),
        Geometry(8, 8).key(),
        Geometry(8, 9).key(),
        Geometry(8, 8, color="bgr").key(),
        Geometry(8, 8, exif_orientation=True).key(),
        Geometry(8, 8, interpolation="box").key(),
        Geometry(8, 8, max_pixels=100).key(),
    ]
    assert len({json.dumps(key) for key in keys}) == len(keys)
    assert keys[0]["decoder"].startswith("pillow ")
    assert pickle.loads(pickle.dumps(Geometry(8, 6, resize="crop"))) == Geometry(8, 6, resize="crop")  # noqa: S301


@pytest.mark.parametrize(
    "wrong",
    [
        {"height": 0},
        {"color": "cmyk"},
        {"resize": "squash"},
        {"interpolation": "cubic"},
        {"resize": "pad", "pad_value": 256},
        {"max_pixels": 0},
        {"resize": "crop", "shorter_side": -1},
    ],
)
def test_a_geometry_outside_its_range_is_refused(wrong):
    """A specification that no image could meet is an error where it is made."""
    with pytest.raises(ValueError, match=next(reversed(wrong))):
        Geometry(**{"height": 8, "width": 8} | wrong)
