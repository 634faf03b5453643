"""The masks of dropout: made from what an image is, so that no order, batch or worker changes them.

Dropout that a runtime draws itself depends on what ran before. Here each image has a stream of its own: Philox (Salmon
et al., *Parallel random numbers: as easy as 1, 2, 3*, 2011) with a key made of the seed and the image's digest, and a
counter that begins at the number of the pass and of the Dropout node.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Counts changes of how masks are made: part of the model key.
MASKS_VERSION = 1
_BITS = 32


class Masks:
    """The masks of one batch of images.

    Parameters
    ----------
    digests
        Of the images, 32 bytes each.
    seed
        Another one gives other masks.
    """

    def __init__(self, digests: Sequence[bytes], seed: int) -> None:
        self._keys = [_key(digest, seed) for digest in digests]

    def draw(self, shape: Sequence[int], ratio: float, number: int, node: int, axis: int = 0) -> NDArray[np.float32]:
        """Return what a Dropout node multiplies its input with in one pass.

        Parameters
        ----------
        shape
            Of its input for one image.
        ratio
            The probability that a value is dropped, in [0, 1). What stays is scaled by ``1 / (1 - ratio)``.
        number, node
            Of the pass and of the node, from 0.
        axis
            Where the images stand in the input.

        Returns
        -------
        float32 of the node's input's shape.
        """
        size = int(np.prod(shape, dtype=np.int64))
        words = -(-size // 2)
        below = np.uint32(min(round(ratio * 2**_BITS), 2**_BITS - 1))
        kept = np.empty((len(self._keys), size), bool)
        for place, key in enumerate(self._keys):
            raw = np.random.Philox(key=key, counter=[0, 0, node, number]).random_raw(words)
            # Two values of 32 bits a word, the lower half first on every machine.
            np.greater_equal(raw.astype("<u8", copy=False).view("<u4")[:size], below, out=kept[place])
        scaled = kept * np.float32(1 / (1 - ratio))
        return np.ascontiguousarray(np.moveaxis(scaled.reshape(-1, *shape), 0, axis))


def _key(digest: bytes, seed: int) -> NDArray[np.uint64]:
    found = hashlib.sha256(b"evaljobs dropout" + seed.to_bytes(8, "little") + digest).digest()
    return np.frombuffer(found[:16], "<u8").astype(np.uint64)
