"""The threshold between sure and unsure: given, or the one at which a share of the images is unsure."""

from __future__ import annotations

import enum
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs.given import real
from evaljobs.uncertainty.blocks import Float64


class ChosenBy(enum.StrEnum):
    """Where a threshold comes from."""

    GIVEN = "given"
    SHARE = "share"


class Threshold(NamedTuple):
    """An image is unsure if its uncertainty is at least `value`.

    Attributes
    ----------
    value
        None where even the block of the least certain images is larger than the share allows: nobody is unsure.
    chosen_by
        Whether it was given, or follows from `share`.
    share
        The share of in-distribution images that may be unsure, where it was chosen by that.
    """

    value: float | None
    chosen_by: ChosenBy
    share: float | None

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in results.json."""
        return {"value": self.value, "chosen_by": str(self.chosen_by), "share": self.share}


class Split(NamedTuple):
    """How many images are unsure and sure, and how many of each the model is right about; None where nobody knows."""

    n_unsure: int
    n_sure: int
    right_unsure: int | None
    right_sure: int | None

    def to_json(self) -> dict[str, Any]:
        """Return it with its shares, null where there is no image or no right answer."""
        return {
            **self._asdict(),
            "share_unsure": _share(self.n_unsure, self.n_unsure + self.n_sure),
            "accuracy_unsure": _share(self.right_unsure, self.n_unsure),
            "accuracy_sure": _share(self.right_sure, self.n_sure),
        }


def given(value: float) -> Threshold:
    """Return a threshold that somebody chose.

    Raises
    ------
    InputError
        If it is no finite number.
    """
    return Threshold(real(value, "threshold", "a finite number"), ChosenBy.GIVEN, None)


def at_share(values: Float64, share: Fraction) -> Threshold:
    """Return the lowest observed value that at most ``floor(share n)`` of the values ``[n]`` reach.

    Equal values are unsure together or not at all, so it may be fewer.
    """
    allowed = int(share * len(values))
    found, counts = np.unique(values, return_counts=True)
    reached = np.cumsum(counts[::-1])
    fit = int(np.searchsorted(reached, allowed, side="right"))
    return Threshold(float(found[len(found) - fit]) if fit else None, ChosenBy.SHARE, float(share))


def split(values: Float64, threshold: float | None, right: NDArray[np.bool_] | None) -> Split:
    """Count images ``[n]`` on both sides of a threshold.

    Parameters
    ----------
    values
        Their uncertainty.
    threshold
        None: nobody is unsure.
    right
        Whether the model is right about each; None where nobody knows.
    """
    unsure = np.zeros(len(values), bool) if threshold is None else values >= threshold
    n_unsure = int(unsure.sum())
    if right is None:
        return Split(n_unsure, len(values) - n_unsure, None, None)
    return Split(n_unsure, len(values) - n_unsure, int((right & unsure).sum()), int((right & ~unsure).sum()))


def _share(part: int | None, whole: int) -> float | None:
    return None if part is None or not whole else part / whole
