"""The float stage."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaljobs.images.normalise import Normalisation

IMAGENET = Normalisation(255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def one_value(value, divisor, mean, std):
    """Round to float32 after each step, as torch does on the CPU."""
    scaled = np.float32(np.float32(value) / np.float32(divisor))
    return np.float32(np.float32(scaled - np.float32(mean)) / np.float32(std))


@given(
    st.floats(0.01, 1000, width=64),
    st.lists(st.floats(-300, 300), min_size=3, max_size=3),
    st.lists(st.floats(0.01, 300), min_size=3, max_size=3),
    st.sampled_from(["nchw", "nhwc"]),
)
def test_every_value_equals_the_definition(divisor, mean, std, layout):
    """All 256 values on all channels are the bits of (value / divisor - mean) / std in float32, in both layouts."""
    block = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    found = Normalisation(divisor, tuple(mean), tuple(std)).apply(block, layout, np.float32)
    channels_last = found.transpose(0, 2, 3, 1) if layout == "nchw" else found
    for c in range(3):
        expected = np.array([one_value(v, divisor, mean[c], std[c]) for v in range(256)], np.float32)
        assert channels_last[..., c].tobytes() == expected.tobytes()


def test_layouts_hold_the_same_values_contiguously():
    """NCHW is NHWC with its axes moved; both can be handed to a runtime without a copy."""
    block = np.random.default_rng(0).integers(0, 256, (5, 7, 11, 3), dtype=np.uint8)
    nchw, nhwc = IMAGENET.apply(block, "nchw"), IMAGENET.apply(block, "nhwc")
    assert nchw.shape == (5, 3, 7, 11)
    assert nhwc.shape == (5, 7, 11, 3)
    assert nchw.flags.c_contiguous
    assert nhwc.flags.c_contiguous
    assert np.array_equal(nchw, nhwc.transpose(0, 3, 1, 2))
    assert nchw.dtype == np.float32


def test_rows_do_not_depend_on_their_block():
    """A row is the same alone, in a block, and in a read-only slice of one."""
    block = np.random.default_rng(1).integers(0, 256, (4, 6, 5, 3), dtype=np.uint8)
    block.flags.writeable = False
    whole = IMAGENET.apply(block)
    for i in range(4):
        assert np.array_equal(IMAGENET.apply(block[i : i + 1])[0], whole[i])
    assert IMAGENET.apply(block[:0]).shape == (0, 3, 6, 5)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_float16_is_the_float32_result_rounded_once(layout):
    """Half precision comes from the float32 value, not from steps in half precision."""
    block = np.random.default_rng(2).integers(0, 256, (3, 8, 9, 3), dtype=np.uint8)
    half = IMAGENET.apply(block, layout, np.float16)
    assert half.dtype == np.float16
    assert np.array_equal(half, IMAGENET.apply(block, layout).astype(np.float16))


@pytest.mark.parametrize("channels", [1, 3])
def test_one_value_serves_all_channels(channels):
    """A mean of length 1 is a mean for each channel."""
    block = np.random.default_rng(3).integers(0, 256, (2, 4, 4, channels), dtype=np.uint8)
    one = Normalisation(127.5, (1.0,), (1.0,)).apply(block)
    spread = Normalisation(127.5, (1.0,) * channels, (1.0,) * channels).apply(block)
    assert np.array_equal(one, spread)
    assert one.min() >= -1
    assert one.max() <= 1


def test_lengths_that_do_not_match_the_channels_are_refused():
    """Statistics of three channels on a grey image are a mistake, and said with both numbers."""
    block = np.zeros((1, 2, 2, 1), np.uint8)
    with pytest.raises(ValueError, match=r"mean has 3 values, the images have 1 channel"):
        IMAGENET.apply(block)
    with pytest.raises(ValueError, match=r"std has 2 values"):
        Normalisation(255.0, (0.5,), (0.5, 0.5)).apply(np.zeros((1, 2, 2, 3), np.uint8))


@pytest.mark.parametrize(
    ("divisor", "mean", "std"),
    [
        (0.0, (0.0,), (1.0,)),
        (255.0, (), (1.0,)),
        (255.0, (float("nan"),), (1.0,)),
        (255.0, (0.0,), (0.0,)),
        (1e-60, (0.0,), (1.0,)),
    ],
)
def test_numbers_that_cannot_normalise_are_refused(divisor, mean, std):
    """Zero, nothing, NaN, and what is zero in float32 never reach a pixel."""
    with pytest.raises(ValueError, match=r"expected|at least"):
        Normalisation(divisor, mean, std)


def test_a_value_beyond_float16_is_refused():
    """Infinity never reaches a model: 255 / 0.001 is above the 65504 that half precision can hold."""
    block = np.zeros((1, 2, 2, 1), np.uint8)
    loud = Normalisation(0.001, (0.0,), (1.0,))
    with pytest.raises(ValueError, match="beyond float16"):
        loud.apply(block, "nchw", np.float16)
    assert loud.apply(block).max() == 0


def test_the_key_is_json_and_tells_normalisations_apart():
    """The key holds all that determines the result, and survives JSON and pickle."""
    assert json.loads(json.dumps(IMAGENET.key())) == IMAGENET.key()
    assert IMAGENET.key() != Normalisation(255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.226)).key()
    assert pickle.loads(pickle.dumps(IMAGENET)) == IMAGENET  # noqa: S301
