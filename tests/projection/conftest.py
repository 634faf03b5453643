"""Real embeddings: handwritten digits, as rows of a set."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from sklearn.datasets import load_digits

from evaljobs.jobs.job import Rows


class Digits(NamedTuple):
    """Pixels of digits as embeddings ``[n, 64]`` float32, their labels, and digests of their bytes."""

    rows: np.ndarray
    labels: list[str]
    digests: list[bytes]

    def as_rows(self, order: Sequence[int] | None = None) -> Rows:
        """Return them as a job gets them, in another order if one is given."""
        some = range(len(self.labels)) if order is None else order
        return Rows(
            pa.array([self.digests[n] for n in some], pa.binary(32)),
            [self.labels[n] for n in some],
            {"embedding": self.rows[list(some)]},
            pa.array([f"digit{n}" for n in some]),
        )


def make_digits(n: int) -> Digits:
    """Return the first digits."""
    found = load_digits()
    rows = found.data[:n].astype(np.float32)
    digests = [hashlib.sha256(row.tobytes()).digest() for row in rows]
    return Digits(rows, [str(label) for label in found.target[:n]], digests)


@pytest.fixture(scope="session")
def digits() -> Digits:
    """Give 300 digits."""
    return make_digits(300)
