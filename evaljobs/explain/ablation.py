"""Ablation-CAM: where a model looks, without gradients.

Each channel of a spatial layer weighs what its removal costs the explained score, and the map is the weighted sum of
the channels where it is positive: Ramaswamy and Desai 2020, "Ablation-CAM: Visual Explanations for Deep Convolutional
Network via Gradient-free Localization", equations 2 and 3. Their weights are divided by the score, which changes the
scale of a map and nothing else; here maps are brought to a largest value of 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.explain.halved import Halved, Pixels
from evaljobs.explain.targets import Target

Float64 = NDArray[np.float64]
# What the copies of a layer may take at a time, in bytes.
_MEMORY = 64 * 2**20


class Cam(NamedTuple):
    """A map of one image.

    Attributes
    ----------
    values
        ``[H, W]`` float64, from 0 to 1 at the layer's places; all 0 where nothing speaks for the target.
    signed
        ``[H, W]`` float64: the same sum with its negative part, on the scale of the score.
    weights
        ``[C]`` float64: what the removal of each channel costs.
    score
        The target's number for the image.
    row
        ``[d]`` float32: what the model gives the image.
    """

    values: Float64
    signed: Float64
    weights: Float64
    score: float
    row: NDArray[np.float32]


def ablation_cam(halved: Halved, pixels: Pixels, target: Target) -> Cam:
    """Explain one image.

    Parameters
    ----------
    halved
        The model, cut at the layer that is explained.
    pixels
        uint8 [h, w, c], as the model's geometry has it.
    target
        What is explained.

    Raises
    ------
    ModelError
        If it cannot run, or gives something that is not finite.
    """
    values = halved.trunk(pixels[None])
    row = halved.head(values)
    score = float(target.of(row)[0])
    grid = halved.layer.grid(values)[0].astype(np.float64)
    weights = np.zeros(len(grid))
    # A channel that is 0 everywhere costs nothing.
    active = np.flatnonzero(grid.any(axis=(1, 2)))
    size = max(1, _MEMORY // values.nbytes)
    for start in range(0, len(active), size):
        some = active[start : start + size]
        without = halved.head(halved.layer.without_channels(values, some), whole=False)
        weights[some] = score - target.of(without)
    signed = np.tensordot(weights, grid, axes=1)
    return Cam(positive(signed), signed, weights, score, row[0])


def positive(signed: Float64) -> Float64:
    """Return what is positive of a map, brought to a largest value of 1."""
    values = np.maximum(signed, 0.0)
    largest = float(values.max())
    return values / largest if largest > 0 else values
