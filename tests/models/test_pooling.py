"""Pooling against loops, and the checks of what a model gives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from evaljobs.errors import ModelError, ModelErrorKind
from evaljobs.models.model import Output
from evaljobs.models.pooling import rows_of, width_of

SHAPES = [((2, 5, 4), False), ((2, 4, 3, 2), False), ((2, 3, 2, 4), True), ((2, 4, 2, 3, 2), False)]


def by_loops(values, pooling, channels_last):
    """Pool position by position."""
    if pooling == "flatten":
        return np.array([row.ravel() for row in values])
    axis = values.ndim - 1 if values.ndim == 3 or channels_last else 1
    positions = [range(size) for i, size in enumerate(values.shape) if i not in {0, axis}]
    rows = []
    for row in values:
        vectors = [np.moveaxis(row, axis - 1, 0)[:, *place] for place in itertools.product(*positions)]
        rows.append({"mean": np.mean, "max": np.max}[pooling](vectors, axis=0) if pooling != "first" else vectors[0])
    return np.array(rows)


@pytest.mark.parametrize("pooling", ["mean", "max", "first", "flatten"])
@pytest.mark.parametrize(("shape", "channels_last"), SHAPES)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_pooling_acts_on_positions(pooling, shape, channels_last, dtype):
    """Whatever the shape, positions are pooled and channels are kept."""
    values = np.random.default_rng(1).integers(-8, 8, shape).astype(dtype)
    rows = rows_of(values, Output("embedding", "t", pooling, channels_last), 2)
    assert rows.dtype == np.float32
    assert rows.flags.c_contiguous
    np.testing.assert_array_equal(rows, by_loops(values.astype(np.float64), pooling, channels_last).astype(np.float32))


def test_vectors_are_kept():
    """[N, d] passes as it is."""
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(rows_of(values, Output("embedding", "t"), 2), values)


def test_a_mean_over_many_positions_is_rounded_once():
    """The mean of 16-bit values is not a 16-bit mean."""
    values = np.full((1, 5000, 1), 0.1, np.float16)
    assert rows_of(values, Output("embedding", "t", "mean"), 1)[0, 0] == np.float32(np.float16(0.1))


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.zeros((2, 3), np.int64), "is int64"),
        ([1, 2], "is list"),
        (np.zeros(2, np.float32), r"has shape \[2\] for 2 images"),
        (np.zeros((), np.float32), r"has shape \[\]"),
        (np.zeros((1, 3), np.float32), "batch_size: 1"),
        (np.zeros((2, 3, 4), np.float32), "with `pooling`"),
        (np.zeros((2, 0), np.float32), "nothing in it"),
    ],
)
def test_what_is_no_batch_of_vectors_is_refused(values, says):
    """Rows that do not belong to images never reach a table."""
    with pytest.raises(ModelError, match=says) as caught:
        rows_of(values, Output("embedding", "t"), 2)
    assert caught.value.kind is ModelErrorKind.UNSUPPORTED_OUTPUT


@pytest.mark.parametrize("pooling", ["mean", "max", "first", "flatten"])
@pytest.mark.parametrize(("shape", "channels_last"), SHAPES)
def test_the_width_is_known_before(pooling, shape, channels_last):
    """What `evaljobs inspect` says of a dimension is what the rows have."""
    output = Output("embedding", "t", pooling, channels_last)
    assert width_of(shape, output) == rows_of(np.zeros(shape, np.float32), output, 2).shape[1]


def test_the_width_of_what_is_no_row_is_not_known():
    """A vector, and positions that nobody pools, have none."""
    assert width_of((2, 7), Output("embedding", "t")) == 7
    assert width_of((2,), Output("embedding", "t")) is None
    assert width_of((2, 5, 4), Output("embedding", "t")) is None
