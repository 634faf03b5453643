"""What a map explains: the score of a class, or the similarity to another image's embedding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]
Float64 = NDArray[np.float64]


class Target(Protocol):
    """A number that a model gives an image."""

    def of(self, rows: Rows) -> Float64:
        """Return the number whose loss weighs a channel, ``[n]``, of the model's rows, ``[n, d]``."""

    def shown(self, rows: Rows) -> Float64:
        """Return the same as people know it, ``[n]``: a probability, or a cosine."""


@dataclass(frozen=True)
class ClassScore:
    """The score of a class.

    Attributes
    ----------
    number
        Of the class among the scores, from 0.
    are
        What the model's scores are.
    """

    number: int
    are: Literal["logits", "probabilities"] = "logits"

    def of(self, rows: Rows) -> Float64:
        """Return the logit; of probabilities their logarithm, which does not saturate where a model is certain."""
        scores = rows[:, self.number].astype(np.float64)
        return scores if self.are == "logits" else np.log(np.maximum(scores, np.finfo(np.float32).tiny))

    def shown(self, rows: Rows) -> Float64:
        """Return the probability; of logits by a softmax."""
        if self.are == "probabilities":
            return rows[:, self.number].astype(np.float64)
        powers = np.exp(rows.astype(np.float64) - rows.max(axis=1, keepdims=True))
        return np.asarray(powers[:, self.number] / powers.sum(axis=1))


@dataclass(frozen=True, eq=False)
class Similarity:
    """The cosine with an embedding, ``[d]``, of another image or the mean of several."""

    to: NDArray[np.floating]

    def of(self, rows: Rows) -> Float64:
        """Return the cosines; 0 for a row of length 0."""
        wide, to = rows.astype(np.float64), self.to.astype(np.float64)
        lengths = np.linalg.norm(wide, axis=1) * np.linalg.norm(to)
        return np.asarray(np.divide(wide @ to, lengths, out=np.zeros(len(rows)), where=lengths > 0))

    def shown(self, rows: Rows) -> Float64:
        """Return the same."""
        return self.of(rows)
