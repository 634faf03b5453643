"""Class scores and labels made ready for counting: checked, matched, in groups."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evaljobs.classification.asked import Asked, asked_of
from evaljobs.classification.classes import match
from evaljobs.classification.groups import Keys, grouped
from evaljobs.classification.measure import Scale
from evaljobs.classification.scale import UNKNOWN, refuse_non_finite, refuse_other_than, settled
from evaljobs.errors import InputError
from evaljobs.pairs.given import array
from evaljobs.pairs.labels import factorise

Int64 = NDArray[np.int64]

MAX_CLASSES = 2**20
_NAMED = 5


@dataclasses.dataclass(frozen=True)
class Samples:
    """The images of one classification, those that are left out aside.

    Attributes
    ----------
    scores
        ``[n, k]`` float32, finite.
    truth
        ``[n]`` int64: the number of the right class.
    rows
        ``[n]`` int64: the row of each image as they were given.
    groups
        ``[n]`` int64: its group, from 0; all 0 where no groups are made.
    n_groups
        How many were made; 0 where none.
    scale
        What the scores are; None where that is not known.
    classes
        ``k`` names.
    asked
        What is asked about all of them.
    excluded
        How many images are left out, by label.
    notes
        What was assumed or changed about the input.
    """

    scores: NDArray[np.float32]
    truth: Int64
    rows: Int64
    groups: Int64
    n_groups: int
    scale: Scale | None
    classes: tuple[str, ...]
    asked: Asked
    excluded: Mapping[str, int]
    notes: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Number of images that take part."""
        return len(self.scores)

    @property
    def n_pairs(self) -> int:
        """Number of pairs of images that are compared: none, each image is judged by itself."""
        return 0


@dataclasses.dataclass(frozen=True)
class Setting:
    """How scores and labels are read.

    Attributes
    ----------
    classes, label_map, exclude
        How labels become classes, as `evaljobs.classification.classes.match` takes it.
    scale
        What the scores are; None where that is not known.
    n_groups
        How many groups are made for the confidence intervals; 0 for none.
    told
        Whether somebody said what the scores are. What was guessed is not held against the scores.
    """

    classes: Sequence[object] | None = None
    label_map: Mapping[str, str] = dataclasses.field(default_factory=dict)
    exclude: bool = False
    scale: Scale | None = None
    n_groups: int = 0
    told: bool = True


def prepare(scores: object, labels: object, keys: Keys, setting: Setting) -> Samples:
    """Check scores and labels, and make them ready.

    Parameters
    ----------
    scores
        ``[n, k]`` real numbers, n at least 1. What float32 cannot hold is rounded to it, and noted.
    labels
        ``n`` texts or integers.
    keys
        ``[n, 4]`` uint64: the digests of the images, equal for equal images.

    Raises
    ------
    InputError
        If they are not what is expected.
    NonFiniteError
        If a score is not finite.
    """
    matrix, notes = as_scores(scores)
    numbers, names = factorise(labels)
    for what, length in (("labels", len(numbers)), ("ids", len(keys))):
        if length != len(matrix):
            raise InputError(f"found {length:,} {what} for {len(matrix):,} rows of scores; expected one for each row")
    refuse_non_finite(matrix)
    scale, doubts = (setting.scale, ()) if setting.told else settled(matrix, setting.scale)
    refuse_other_than(scale, matrix)
    unknown = doubts or ((UNKNOWN,) if scale is None else ())
    matched = match(names, setting.classes, matrix.shape[1], setting.label_map, exclude=setting.exclude)
    truth = np.array(matched.numbers, np.int64)[numbers]
    # Of all images, so that models that know different labels leave out the same groups of the images they share.
    groups = grouped(keys, setting.n_groups)
    kept = np.flatnonzero(truth >= 0)
    left_out = np.bincount(numbers[truth < 0], minlength=len(names)).tolist()
    excluded = {str(name): number for name, number in zip(names, left_out, strict=True) if number}
    return Samples(
        matrix if len(kept) == len(matrix) else matrix[kept], truth[kept], kept, groups.of[kept], groups.n,
        scale, matched.classes, asked_of(names, setting.label_map, exclude=setting.exclude), excluded,
        (*notes, *matched.notes, *_excluded_note(excluded), *unknown),
    )  # fmt: skip


def as_scores(scores: object) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Return class scores as float32 ``[n, k]`` in C order, and what was changed about them.

    Raises
    ------
    InputError
        If they are not real numbers of that shape.
    """
    given = array(scores, "scores", "a matrix [n, k], a number for each class")
    if given.dtype.kind not in "biuf" or given.ndim != 2:
        raise InputError(f"found scores of {given.dtype} with shape {given.shape}; expected real numbers [n, k]")
    n, k = given.shape
    if not n or not 1 <= k <= MAX_CLASSES:
        raise InputError(f"found {n:,} rows of {k:,} class scores; expected at least one row, of 1 to {MAX_CLASSES:,}")
    with np.errstate(over="ignore"):  # what overflows is infinite, and found as such
        matrix = np.ascontiguousarray(given, np.float32)
    same = np.can_cast(given.dtype, np.float32) or (given.dtype.kind in "iu" and bool((matrix == given).all()))
    return matrix, () if same else (f"scores were {given.dtype} and were rounded to float32",)


def _excluded_note(excluded: Mapping[str, int]) -> tuple[str, ...]:
    if not excluded:
        return ()
    more = f" and {len(excluded) - _NAMED:,} more" if len(excluded) > _NAMED else ""
    labels = ", ".join(repr(name) for name in list(excluded)[:_NAMED]) + more
    n = sum(excluded.values())
    return (f"{n:,} image(s) are left out, whose {len(excluded):,} label(s) the model does not know: {labels}",)
