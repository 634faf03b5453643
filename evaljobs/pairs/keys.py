"""Scores as integers in the same order, so that an interval of scores can be halved until one value is left."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_LOWEST = np.int64(-(2**63))


def to_keys(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """Map finite float64 to int64 one to one and in order; both zeros become 0. Neighbouring floats are neighbours."""
    bits = scores.view(np.int64)
    return np.where(bits >= 0, bits, _LOWEST - bits)


def to_key(score: float) -> int:
    """Map one score."""
    return int(to_keys(np.array([score]))[0])


def from_key(key: int) -> float:
    """Return the score of a key."""
    bits = np.array([key if key >= 0 else int(_LOWEST) - key], np.int64)
    return float(bits.view(np.float64)[0])
