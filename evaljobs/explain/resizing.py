"""From the places of a layer to the pixels of an image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


def in_blocks(values: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Return a map, ``[H, W]``, as ``[height, width]``: each place is a block of its pixels."""
    rows, columns = (np.arange(n) * m // n for n, m in zip((height, width), values.shape, strict=True))
    return values[np.ix_(rows, columns)]


def smoothly(values: Float64, height: int, width: int) -> Float64:
    """Return a map, ``[H, W]``, as ``[height, width]``, interpolated linearly between the middles of its places."""
    tall = _weights(values.shape[0], height) @ values
    return np.asarray(tall @ _weights(values.shape[1], width).T)


def _weights(places: int, pixels: int) -> Float64:
    """Return ``[pixels, places]``: what each place gives to each pixel; beyond the outer middles one alone does."""
    at = np.clip((np.arange(pixels) + 0.5) * places / pixels - 0.5, 0, places - 1)
    low = np.floor(at).astype(np.int64)
    high, share = np.minimum(low + 1, places - 1), at - low
    weights = np.zeros((pixels, places))
    np.add.at(weights, (np.arange(pixels), low), 1 - share)
    np.add.at(weights, (np.arange(pixels), high), share)
    return weights
