"""The images of several sets, each by every measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.uncertainty.blocks import Float64, Int64
from evaljobs.uncertainty.measures import Measure

Bools = NDArray[np.bool_]
KNOWN = "set"


class Answers(NamedTuple):
    """What is predicted of images, ``[n]`` names, and whether it is right; None where there is no right answer."""

    predicted: Sequence[str]
    right: Bools | None


class Part(NamedTuple):
    """The images of one set that take part.

    Attributes
    ----------
    rows
        ``[n]`` int64: the row of each in its set.
    labels
        ``n`` texts.
    values
        By measure: ``[n]`` float64.
    answers
        By measure; those that share a prediction share the object.
    """

    rows: Int64
    labels: Sequence[str]
    values: Mapping[Measure, Float64]
    answers: Mapping[Measure, Answers]


class Parts(NamedTuple):
    """All sets by role, the in-distribution one first; what was assumed; how many images are left out, by label."""

    of: Mapping[str, Part]
    notes: tuple[str, ...]
    excluded: Mapping[str, int] = MappingProxyType({})


def cut_at(lengths: Mapping[str, int]) -> dict[str, slice]:
    """Return where each set lies among the images of all, one set after the other."""
    ends = np.cumsum([0, *lengths.values()]).tolist()
    return {role: slice(first, last) for role, first, last in zip(lengths, ends[:-1], ends[1:], strict=True)}
