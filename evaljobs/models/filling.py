"""Batches of the size that a session is fed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def fill(batch: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Fill a batch, uint8 ``[m, h, w, c]``, up to its size."""
    missing = size - len(batch)
    if not missing:
        return batch
    # Copies, since an unlikely image could widen what a quantised model measures over its batch.
    filler = batch[-1:] if len(batch) else np.zeros((1, *batch.shape[1:]), np.uint8)
    return np.concatenate([batch, np.repeat(filler, missing, axis=0)])
