"""What a model gave for several sets, checked, and the pass that judges each image by it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from evaljobs.classification.measure import Scale
from evaljobs.classification.samples import as_scores
from evaljobs.classification.scale import known_scale, refuse_non_finite
from evaljobs.uncertainty.placed import EachImage, Placed
from evaljobs.uncertainty.sets import cut_at
from evaljobs.uncertainty.softmax import judge

Matrix = NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Scored:
    """What a model gave for all sets, one after the other; handed to every task.

    Attributes
    ----------
    scores
        ``[n, k]`` float32, finite.
    passes
        ``[n, k + 5]`` float32, what is kept of passes with dropout (`evaljobs.uncertainty.passes`); None without any.
    scale
        What the scores are.
    places
        By role: where its images lie.
    """

    scores: NDArray[np.float32]
    passes: NDArray[np.float32] | None
    scale: Scale
    places: Mapping[str, slice]

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return int(self.scores.shape[1])

    @property
    def n_pairs(self) -> int:
        """Number of pairs that are compared: none, each image is judged by itself."""
        return 0


@dataclasses.dataclass(frozen=True)
class Judging(EachImage):
    """The pass over the images of all sets."""

    def run(self, samples: Scored, part: range, onto: Placed | None = None) -> Placed:
        """Judge some images: class, entropy, 1 - confidence."""
        found = Placed({part.start: tuple(judge(samples.scores[part.start : part.stop], samples.scale))})
        return found if onto is None else onto + found


def prepare_scores(
    scored: Mapping[str, tuple[Matrix, Matrix | None]], scores_are: str | None, *, told: bool
) -> tuple[Scored, Judging]:
    """Check what a model gave.

    Parameters
    ----------
    scored
        By role: ``[n, k]`` class scores, and ``[n, k + 5]`` of passes or None.
    scores_are
        What they are; `told`, whether somebody says so. What was guessed is checked.

    Raises
    ------
    InputError
        If they are not that, or it is not known what they are.
    NonFiniteError
        If one is not finite; rows of a later set are counted after those of an earlier one.
    """
    scores = as_scores(np.concatenate([of_role for of_role, _ in scored.values()]))[0]
    refuse_non_finite(scores)
    scale = known_scale(scores, scores_are, told=told, need="uncertainty")
    passes = [several for _, several in scored.values() if several is not None]
    kept = np.concatenate(passes) if passes else None
    if kept is not None:
        refuse_non_finite(kept)
    places = cut_at({role: len(of_role) for role, (of_role, _) in scored.items()})
    return Scored(scores, kept, scale, places), Judging(len(scores))
