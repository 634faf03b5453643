"""From what a model gives to one vector per image."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from evaljobs.errors import ModelError, ModelErrorKind
from evaljobs.models.model import Output


def rows_of(values: object, output: Output, batch_size: int) -> NDArray[np.float32]:
    """Check what a model gave for one output, and pool it.

    Positions are the axes between the batch and the channels: T of [N, T, d], h and w of [N, c, h, w] (of [N, h, w, c]
    where the output has its channels last). ``mean`` is computed in float64 and rounded once;
    ``first`` takes the position of index 0; ``flatten`` keeps everything in C order.

    Parameters
    ----------
    values
        Expected: floating array of shape (batch_size, ...).
    output
        Which tensor it is, and its pooling.
    batch_size
        Rows that were fed.

    Returns
    -------
    float32 array of shape (batch_size, d), C-contiguous

    Raises
    ------
    ModelError
        UNSUPPORTED_OUTPUT, if it is of another kind.
    """
    if not isinstance(values, np.ndarray) or values.dtype.kind != "f":
        found = values.dtype if isinstance(values, np.ndarray) else type(values).__name__
        raise _bad(output, f"is {found}, expected floating numbers; name another tensor with `output`")
    if values.ndim < 2 or values.shape[0] != batch_size:
        hint = "; its graph may hold a fixed batch, try `batch_size: 1`" if batch_size > 1 else ""
        raise _bad(output, f"has shape {list(values.shape)} for {batch_size} images, expected one row per image{hint}")
    if values.ndim > 2 and output.pooling is None:
        raise _bad(output, f"has shape {list(values.shape)}; say how it becomes [N, d] with `pooling`")
    if 0 in values.shape:
        raise _bad(output, f"has shape {list(values.shape)}: nothing in it")
    if values.ndim == 2 and values.dtype == np.float32:
        return np.ascontiguousarray(values)
    pooled = values if values.ndim == 2 else _pool(values, output)
    with np.errstate(over="ignore"):  # beyond float32 it becomes infinite, which is found and counted later
        return np.ascontiguousarray(pooled, dtype=np.float32)


def width_of(shape: tuple[int, ...], output: Output) -> int | None:
    """Return the dimension d of the rows that an output of a shape becomes; None where it becomes none."""
    if len(shape) < 2 or (len(shape) > 2 and output.pooling is None):
        return None
    if output.pooling == "flatten":
        return math.prod(shape[1:])
    return shape[1] if len(shape) > 3 and not output.channels_last else shape[-1]


def _pool(values: NDArray[np.floating], output: Output) -> NDArray[np.floating]:
    if output.pooling == "flatten":
        return values.reshape(values.shape[0], -1)
    if values.ndim > 3 and not output.channels_last:
        values = np.moveaxis(values, 1, -1)
    by_position = values.reshape(values.shape[0], -1, values.shape[-1])
    if output.pooling == "mean":
        return np.asarray(by_position.mean(axis=1, dtype=np.float64))
    if output.pooling == "max":
        return np.asarray(by_position.max(axis=1))
    return by_position[:, 0]


def _bad(output: Output, message: str) -> ModelError:
    return ModelError(ModelErrorKind.UNSUPPORTED_OUTPUT, f"the output {output.tensor!r} {message}")
