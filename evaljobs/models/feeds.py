"""What models are fed: blocks of decoded images as batches of an input. Small images are kept for the next model."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evaljobs.models.filling import fill
from evaljobs.models.model import Model

if TYPE_CHECKING:
    from typing import Any

# Of batches that are kept: 2,000 images of 48 x 48. Of larger ones preparing is a smaller part of the work.
_KEPT_BYTES = 64 * 2**20


def feed_of(model: Model, batch: NDArray[np.uint8]) -> NDArray[Any]:
    """Return decoded images, uint8 [n, h, w, c], as a model's input takes them."""
    layout = model.input.layout
    if model.pixels.normalisation is None:
        return np.ascontiguousarray(batch.transpose(0, 3, 1, 2) if layout == "nchw" else batch)
    return model.pixels.normalisation.apply(batch, layout, _dtype(model))


def _dtype(model: Model) -> type[np.float32] | type[np.float16]:
    return np.float16 if model.input.dtype == "float16" else np.float32


class Feeds:
    """Batches of blocks as models take them. Models of one preprocessing, one after the other, share what is kept.

    Kept is what a second model asks for, so that one model alone, or a stream of ever new blocks, holds nothing.

    Parameters
    ----------
    kept_bytes
        That the batches that are kept may take.

    Attributes
    ----------
    nbytes
        That they take.
    """

    def __init__(self, kept_bytes: int = _KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._kept: dict[tuple[object, ...], list[NDArray[Any]]] = {}
        # What this model and the last one have asked for.
        self._asked: set[tuple[object, ...]] = set()
        self._before: set[tuple[object, ...]] = set()

    def next_model(self) -> None:
        """Drop what the last model did not ask for: its blocks are gone, or another model's alone."""
        self._before, self._asked = self._asked, set()
        self._kept = {key: batches for key, batches in self._kept.items() if key in self._before}

    def of(
        self, model: Model, block: NDArray[np.uint8], digests: Sequence[bytes] | None, size: int
    ) -> Iterator[NDArray[Any]]:
        """Yield the batches of a block, each of `size` images; the last is filled up.

        Parameters
        ----------
        model
            That takes them.
        block
            uint8 [n, h, w, c], decoded with the model's geometry; black images stand for an empty one.
        digests
            Of its n images: what tells it from other blocks. Without them nothing is kept.
        """
        starts = range(0, max(len(block), 1), size)
        batches = (feed_of(model, fill(block[i : i + size], size)) for i in starts)
        # What is not normalised may be the block itself, which would stay in the object store.
        if digests is None or model.pixels.normalisation is None:
            return batches
        form = model.pixels.geometry, model.pixels.normalisation, model.input.layout, model.input.dtype
        key = (*form, size, hashlib.sha256(b"".join(digests)).digest())
        self._asked.add(key)
        more = len(starts) * size * math.prod(block.shape[1:]) * np.dtype(_dtype(model)).itemsize
        if key not in self._kept:
            if key not in self._before or more > self._kept_bytes - self.nbytes:
                return batches
            self._kept[key] = list(batches)
        return iter(self._kept[key])

    @property
    def nbytes(self) -> int:
        """Return the bytes that what is kept takes."""
        return sum(batch.nbytes for batches in self._kept.values() for batch in batches)
