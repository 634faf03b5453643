"""Normality by geometric transformations: whether a model that tells rotations apart still does.

A model that has learned, on normal images, by how much an image is turned is surest of that on normal images (Golan and
El-Yaniv, Deep Anomaly Detection Using Geometric Transformations, NeurIPS 2018; rotations: Gidaris et al., ICLR 2018).
Normality is the mean, over the rotated views of an image, of the probability of the right rotation; the anomaly score
is 1 less that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.anomaly.probability import wrong_share
from evaljobs.classification.measure import Scale
from evaljobs.classification.samples import as_scores
from evaljobs.classification.scale import known_scale, refuse_non_finite, scale_of
from evaljobs.errors import InputError
from evaljobs.pairs.given import array
from evaljobs.uncertainty.placed import EachImage, Placed

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


class Judged(NamedTuple):
    """By image.

    Attributes
    ----------
    score
        ``[n]`` float64 in [0, 1]: the mean over the rotations of the probability that a wrong one is given.
    wrong
        ``[n, K]`` float64: that probability, by rotation.
    predicted
        ``[n, K]`` int64: which rotation has the highest score, by that of the view; of several, the one with the lowest
        class number.
    """

    score: Float64
    wrong: Float64
    predicted: Int64


@dataclasses.dataclass(frozen=True)
class Turned:
    """What a model gave for each rotation of the same images; handed to every task.

    Attributes
    ----------
    scores
        ``[K, n, K]`` float32, finite: class scores, by the rotation of the view.
    columns
        By rotation: its class.
    scale
        What the scores are.
    """

    scores: NDArray[np.float32]
    columns: tuple[int, ...]
    scale: Scale

    @property
    def n_pairs(self) -> int:
        """Number of pairs of images that are compared: none, each image is judged by itself."""
        return 0


@dataclasses.dataclass(frozen=True)
class TellingRotations(EachImage):
    """The pass over the images."""

    def run(self, samples: Turned, part: range, onto: Placed | None = None) -> Placed:
        """Judge some images."""
        found = Placed({part.start: tuple(judge(samples, part))})
        return found if onto is None else onto + found


def prepare(scores: Sequence[object], scores_are: str | None, columns: Sequence[int], *, told: bool) -> Turned:
    """Check what a model gave for the rotations of the same images.

    Parameters
    ----------
    scores
        By rotation: ``[n, K]`` class scores, images in one order.
    scores_are
        What they are; `told`, whether somebody says so. What was guessed is checked.
    columns
        By rotation: its class.

    Raises
    ------
    InputError
        If the model has not a class for each rotation, or it is not known what its scores are.
    NonFiniteError
        If one is not finite; rows of a later rotation are counted after those of an earlier one.
    """
    several = [as_scores(of_view)[0] for of_view in scores]
    if len({of_view.shape for of_view in several}) != 1:
        shapes = ", ".join(str(of_view.shape) for of_view in several)
        raise InputError(f"found scores of shapes {shapes}; expected one shape, since they are of the same images")
    n, width = several[0].shape
    if width != len(several):
        raise InputError(
            f"the model gives {width} class score(s), and there are {len(several)} rotations; expected a model that "
            "tells them apart, with a score for each in their order: name those that it was trained on in `rotations`, "
            "or another output in `scores` of the model"
        )
    together = np.concatenate(several)
    refuse_non_finite(together)
    scale = known_scale(together, scores_are, told=told, need="the probability of a rotation")
    return Turned(together.reshape(len(several), n, width), tuple(columns), scale)


def named_columns(classes: Sequence[str] | None, rotations: Sequence[float]) -> tuple[int, ...] | None:
    """Return the class of each rotation by the names of the classes; None where these are not the degrees."""
    degrees = [_degrees(name) for name in classes or ()]
    wanted = [rotation % 360 for rotation in rotations]
    if None not in degrees and len(degrees) == len(wanted) and {*degrees} == {*wanted}:
        return tuple(degrees.index(rotation) for rotation in wanted)
    return None


def _degrees(name: str) -> float | None:
    try:
        return float(name.strip().rstrip("°")) % 360
    except ValueError:
        return None


def judge(samples: Turned, part: range) -> Judged:
    """Return how unlike normal images some images are."""
    some = samples.scores[:, part.start : part.stop]
    class_of = np.array(samples.columns)
    rotation_of = np.argsort(class_of)
    wrong = [wrong_share(of_view, right, samples.scale) for of_view, right in zip(some, samples.columns, strict=True)]
    total = np.zeros(len(part))
    for share in wrong:
        total += share
    predicted = rotation_of[some.argmax(axis=2)].T.astype(np.int64)
    return Judged(total / len(wrong), np.stack(wrong, axis=1), predicted)


def rotation_anomaly(scores: object, *, scores_are: str) -> Float64:
    """Return how unlike normal images each image is, by a model that tells rotations apart: ``[n]`` float64 in [0, 1].

    Parameters
    ----------
    scores
        ``[K, n, K]`` finite real numbers: for each of K rotations, the class scores of the n images turned by it; class
        r is rotation r.
    scores_are
        `logits` (a softmax makes them probabilities) or `probabilities`.

    Returns
    -------
    ndarray
        1 less the mean probability of the right rotation: 0 for an image whose rotations are all told for certain,
        ``1 - 1/K`` where each is as likely as the others.

    Raises
    ------
    InputError, NonFiniteError, UsageError
        If they are not that.
    """
    scale = scale_of(scores_are)
    given = array(scores, "scores", "one array [K, n, K], the same images in each rotation")
    if given.ndim != 3 or len(given) < 2:
        raise InputError(f"found scores of shape {given.shape}; expected [K, n, K] of at least two rotations")
    samples = prepare(list(given), scale, range(len(given)), told=True)
    return judge(samples, range(samples.scores.shape[1])).score
