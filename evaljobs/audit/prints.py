"""Fingerprints of many images as arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

# Gray values whose standard deviation is lower show nothing: JPEG's rounding makes up to about 1, faint paper 2.
BLANK_SPREAD = 1.0
FAINT_SPREAD = 3.0


class Fingerprint(Protocol):
    """What an image looks like, as `evaljobs.images.fingerprint` has it."""

    @property
    def phash(self) -> int:
        """64 bits."""

    @property
    def dhash(self) -> int:
        """64 bits."""

    @property
    def spread(self) -> float:
        """Standard deviation of gray values."""

    @property
    def extent(self) -> int:
        """Brightest gray value less the darkest."""


@dataclasses.dataclass(frozen=True)
class Prints:
    """The fingerprints of n images. Picklable.

    Attributes
    ----------
    phash, dhash
        ``[n]`` uint64.
    spread
        ``[n]`` float32, of gray values 0 to 255.
    extent
        ``[n]`` uint8.
    known
        ``[n]`` bool: False where there is none, and the others are 0.
    """

    phash: NDArray[np.uint64]
    dhash: NDArray[np.uint64]
    spread: NDArray[np.float32]
    extent: NDArray[np.uint8]
    known: NDArray[np.bool_]

    @classmethod
    def of(cls, found: Sequence[Fingerprint | None]) -> Self:
        """Put fingerprints one below the other; None where an image has none."""
        return cls(
            np.array([0 if one is None else one.phash for one in found], np.uint64),
            np.array([0 if one is None else one.dhash for one in found], np.uint64),
            np.array([0 if one is None else one.spread for one in found], np.float32),
            np.array([0 if one is None else one.extent for one in found], np.uint8),
            np.array([one is not None for one in found], np.bool_),
        )

    @classmethod
    def none(cls, n: int) -> Self:
        """Return those of n images of which nothing is known."""
        return cls.of([None] * n)

    def __len__(self) -> int:
        return len(self.known)

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Return those of some images, in their order."""
        return type(self)(*(getattr(self, field.name)[rows] for field in dataclasses.fields(self)))

    @property
    def telling(self) -> NDArray[np.bool_]:
        """``[n]`` bool: whose hashes say something. Of a blank image they are made of noise."""
        return np.asarray(self.known & (self.spread >= FAINT_SPREAD))
