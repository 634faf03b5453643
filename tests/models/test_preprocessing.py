"""Where each field of the preprocessing comes from, and which contradictions are refused."""

from __future__ import annotations

import json

import pytest

from evaljobs import config
from evaljobs.errors import ModelError, ModelErrorKind
from evaljobs.images.geometry import DRAFT_NOTE
from evaljobs.models.model import Input
from evaljobs.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD, resolve_preprocessing

OPEN = Input("x", "float32", "nchw", None, 3, None, None)
FIXED = Input("x", "float32", "nchw", None, 3, 48, 32)
GRAY = Input("x", "float32", "nchw", None, 1, 28, 28)
RAW = Input("x", "uint8", "nhwc", None, 3, 48, 32)


def resolved(image_input=FIXED, model=None, run=None, metadata=None, max_pixels=10_000):
    def section(data):
        return None if data is None else config.validate(config.Preprocessing, data, "test")

    text = metadata if isinstance(metadata, str) or metadata is None else json.dumps(metadata)
    return resolve_preprocessing(section(model), section(run), text, image_input, max_pixels)


def refused(**arguments):
    with pytest.raises(ModelError) as caught:
        resolved(**arguments)
    assert caught.value.kind is ModelErrorKind.PREPROCESSING
    return str(caught.value)


def test_defaults_are_those_of_torchvision_and_are_said():
    """Without a word anywhere: the input's size, RGB, stretched, bilinear, /255, ImageNet; all of it recorded."""
    pixels = resolved()
    geometry, normalisation = pixels.geometry, pixels.normalisation
    assert (geometry.height, geometry.width, geometry.color) == (48, 32, "rgb")
    assert (geometry.resize, geometry.interpolation, geometry.exif_orientation) == ("stretch", "bilinear", False)
    assert geometry.max_pixels == 10_000
    assert (normalisation.divisor, normalisation.mean, normalisation.std) == (255, IMAGENET_MEAN, IMAGENET_STD)
    assert pixels.sources == {
        "size": "input shape",
        "color": "input shape",
        "resize": "default",
        "interpolation": "default",
        "exif_orientation": "default",
        "decoder": "default",
        "divisor": "default",
        "mean": "default",
        "std": "default",
    }
    assert pixels.notes == ("mean and std not given: ImageNet's",)


def test_each_field_comes_from_the_first_that_has_it():
    """The model's entry stands over the run's, that over the model's own metadata, that over shape and defaults."""
    pixels = resolved(
        OPEN,
        model={"size": ["10", "20"]},
        run={"size": "30", "color": "bgr", "std": "1"},
        metadata={"size": [40, 40], "color": "rgb", "std": [2], "mean": [0.5], "interpolation": "bicubic"},
    )
    assert (pixels.geometry.height, pixels.geometry.width) == (10, 20)
    assert pixels.geometry.color == "bgr"
    assert pixels.geometry.interpolation == "bicubic"
    assert pixels.normalisation.mean == (0.5, 0.5, 0.5)
    assert pixels.normalisation.std == (1, 1, 1)
    assert pixels.sources == {
        "size": "model config",
        "color": "run config",
        "resize": "default",
        "interpolation": "metadata",
        "exif_orientation": "default",
        "decoder": "default",
        "divisor": "default",
        "mean": "metadata",
        "std": "run config",
    }
    assert pixels.notes == ()


def test_a_decoder_whose_pixels_differ_is_said():
    """Whoever asked for it, the model's notes say that its pixels are not torchvision's."""
    assert resolved().geometry.decoder == "exact"
    for source in ({"model": {"decoder": "draft"}}, {"metadata": {"decoder": "draft"}}):
        pixels = resolved(**source)
        assert pixels.geometry.decoder == "draft"
        assert DRAFT_NOTE in pixels.notes


def test_one_value_for_all_channels_is_that_value_thrice():
    """Two spellings of the same pixels share their embeddings."""
    assert resolved(model={"mean": "0.5", "std": "0.5"}).normalisation == (
        resolved(model={"mean": ["0.5"] * 3, "std": ["0.5"] * 3}).normalisation
    )


def test_bgr_has_the_statistics_in_its_order():
    """Mean and deviation belong to a colour, not to a place."""
    pixels = resolved(model={"color": "bgr"})
    assert pixels.normalisation.mean == IMAGENET_MEAN[::-1]
    assert pixels.normalisation.std == IMAGENET_STD[::-1]
    assert "BGR" in pixels.notes[0]


def test_gray_follows_from_one_channel():
    """A model of one channel takes grey images; the choice of .5 and .5 is said."""
    pixels = resolved(GRAY)
    assert pixels.geometry.color == "gray"
    assert (pixels.normalisation.mean, pixels.normalisation.std) == ((0.5,), (0.5,))
    assert ".5" in pixels.notes[0]


def test_open_channels_are_assumed_and_said():
    """Where the graph does not say how many channels it takes, the config may, and RGB is a note."""
    image_input = Input("x", "float32", "nchw", None, None, 8, 8)
    assert resolved(image_input).geometry.color == "rgb"
    assert "channels open: rgb assumed (default)" in resolved(image_input).notes[0]
    assert resolved(image_input, model={"color": "gray"}).geometry.color == "gray"


def test_crop_and_pad_have_their_own_options():
    """The shorter side is the larger of the size where nothing says otherwise; what has no effect is noted."""
    assert resolved(model={"resize": "crop"}).geometry.shorter_side == 48
    assert resolved(model={"resize": "crop", "shorter_side": "56"}).geometry.shorter_side == 56
    assert resolved(model={"resize": "pad", "pad_value": "7"}).geometry.pad_value == 7
    unused = resolved(model={"shorter_side": "56", "pad_value": "7", "mean": "0", "std": "1"})
    assert (unused.geometry.shorter_side, unused.geometry.pad_value) == (None, 0)
    assert unused.notes == (
        "shorter_side (model config) is not used: it belongs to `resize: crop`",
        "pad_value (model config) is not used: it belongs to `resize: pad`",
    )


def test_raw_pixels_are_not_scaled():
    """An input of bytes gets bytes; asking for a scaling of them is refused, a general one is noted as unused."""
    pixels = resolved(RAW, run={"mean": "0.5"})
    assert pixels.normalisation is None
    assert "mean (run config) is not used: the input takes raw pixels (uint8)" in pixels.notes
    assert not {"mean", "std", "divisor"} & set(pixels.sources)
    assert "std is given" in refused(image_input=RAW, model={"std": "0.5"})


def test_half_a_scaling_is_said_aloud():
    """A mean of one's own with ImageNet's deviation is probably a slip."""
    assert "give mean and std together" in resolved(model={"mean": "0.5"}).notes[0]
    assert "give mean and std together" in resolved(model={"divisor": "1"}).notes[0]


def test_an_open_size_must_be_given():
    """No size is guessed."""
    message = refused(image_input=OPEN)
    assert "? x ?" in message
    assert "size: [height, width]" in message
    half = Input("x", "float32", "nchw", None, 3, 48, None)
    assert "48 x ?" in refused(image_input=half)
    assert resolved(half, model={"size": ["48", "320"]}).geometry.width == 320


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"model": {"size": "64"}}, "size 64 x 64 (model config) contradicts the input 'x', which takes 48 x 32"),
        ({"run": {"size": ["32", "48"]}}, "size 32 x 48 (run config)"),
        ({"metadata": {"size": 64}}, "size 64 x 64 (metadata)"),
        ({"model": {"color": "gray"}}, "color gray (model config) contradicts"),
        ({"image_input": GRAY, "run": {"color": "bgr"}}, "expected gray"),
        ({"image_input": GRAY, "model": {"mean": ["0.4", "0.5", "0.6"]}}, "mean has 3 values (model config)"),
        ({"model": {"std": ["1", "2"]}}, "std has 2 values"),
        ({"model": {"mean": "nan"}}, "mean"),
        ({"model": {"divisor": "inf"}}, "divisor"),
        ({"metadata": "{"}, "not valid JSON"),
        ({"metadata": "[1]"}, "expected an object"),
        ({"metadata": '"48"'}, "expected an object"),
        ({"metadata": {"sise": 48}}, "did you mean 'size'?"),
        ({"metadata": {"size": [48]}}, "metadata entry evaljobs.preprocessing: 1 mistake"),
        ({"metadata": '{"mean": [NaN]}'}, "mean"),
    ],
)
def test_contradictions_are_refused_with_both_sides(arguments, says):
    """What was found, what was expected, and who said it."""
    assert says in refused(**arguments)


def test_what_float16_cannot_hold_is_refused_before_the_run():
    """An infinite input would give NaN embeddings hours later."""
    half = Input("x", "float16", "nchw", None, 3, 8, 8)
    assert "float16" in refused(image_input=half, model={"divisor": "1", "mean": "0", "std": "0.001"})
