"""Simulated embeddings for benchmarks/intervals.py: identities, their images, and how two models see them.

An identity has a centre, normal in d dimensions with unequal variances, and a noise level of its own, log-normal; an
image is the centre plus noise, normalised. So some identities are hard, some are alike, and pairs that share an
identity move together. A second model sees the same images: with other noise and partly other centres.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Rows = NDArray[np.float32]
Int = NDArray[np.int64]
Rng = np.random.Generator

HARDNESS = 0.3  # standard deviation of the logarithm of an identity's noise level
SPECTRUM = 0.3  # variances of the centres fall with the dimension's number to this power
SHARED = 0.8  # correlation between the two models' centres, and between their noise on one image
CLASS_SETS = 4  # how many different sets of fixed classes


@dataclasses.dataclass(frozen=True)
class Design:
    """What is simulated.

    Attributes
    ----------
    sizes
        Images of each identity.
    d
        Dimensions.
    noise
        Noise levels of the two models, as parts of a centre's length.
    fixed
        Whether the identities are the only ones there are, as classes are, and images alone are drawn.
    """

    name: str
    sizes: tuple[int, ...]
    d: int
    noise: tuple[float, float]
    fixed: bool = False

    @property
    def labels(self) -> Int:
        """The label of each image."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)


def skewed(labels: int) -> tuple[int, ...]:
    """Return log-normal class sizes from 2 to 100, with a median of 8."""
    drawn = np.exp(np.random.default_rng(5).standard_normal(labels)) * 8
    return tuple(np.clip(np.round(drawn), 2, 100).astype(int).tolist())


DESIGNS = (
    Design("400 x 10", (10,) * 400, 64, (1.0, 0.95)),
    Design("400 x 10, high TPR", (10,) * 400, 64, (0.5, 0.5)),
    Design("100 x 20", (20,) * 100, 64, (1.0, 1.0)),
    Design("60 x 8", (8,) * 60, 32, (0.6, 0.5)),
    Design("200, sizes 2 to 100", skewed(200), 64, (1.0, 0.9)),
    Design("10 classes x 100", (100,) * 10, 32, (0.8, 0.75), fixed=True),
    Design("10 classes x 300", (300,) * 10, 32, (0.8, 0.75), fixed=True),
    Design("5 classes x 60", (60,) * 5, 32, (0.8, 0.75), fixed=True),
)


class Identities(NamedTuple):
    """Centres ``[k, d]`` for each of two models, and relative noise levels ``[k]``."""

    centres: tuple[Float, Float]
    hardness: Float


def draw_identities(rng: Rng, k: int, d: int) -> Identities:
    """Draw identities. The centres of both models have the same distribution, so the noise makes the difference."""
    variances = np.arange(1.0, d + 1) ** -SPECTRUM
    own, other = rng.standard_normal((2, k, d)) * np.sqrt(variances / variances.sum())
    return Identities((own, _mix(own, other)), np.exp(HARDNESS * rng.standard_normal(k)))


def draw_images(rng: Rng, identities: Identities, labels: Int, noise: tuple[float, float]) -> tuple[Rows, Rows]:
    """Draw an image of each label, as both models embed it: normalised rows ``[n, d]``."""
    d = identities.centres[0].shape[1]
    own, other = rng.standard_normal((2, len(labels), d)) / math.sqrt(d)
    level = identities.hardness[labels, None]
    images = zip(identities.centres, noise, (own, _mix(own, other)), strict=True)
    first, second = (_normalised(centres[labels] + s * level * drawn) for centres, s, drawn in images)
    return first, second


def _mix(own: Float, other: Float) -> Float:
    return SHARED * own + math.sqrt(1 - SHARED**2) * other


def _normalised(rows: Float) -> Rows:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@functools.cache
def fixed_classes(design: Design, which: int) -> Identities:
    """Return one of some sets of classes."""
    return draw_identities(np.random.default_rng([1, which]), len(design.sizes), design.d)


def images_of(design: Design, repetition: int) -> tuple[Rows, Rows]:
    """Draw the images of a repetition."""
    rng = np.random.default_rng([3, repetition])
    if design.fixed:
        identities = fixed_classes(design, repetition % CLASS_SETS)
    else:
        identities = draw_identities(rng, len(design.sizes), design.d)
    return draw_images(rng, identities, design.labels, design.noise)
