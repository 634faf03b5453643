"""What one measure of uncertainty is worth: the public door, on arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import ItemsView, Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaljobs.classification.groups import Groups, Keys, grouped, keys_of_ids
from evaljobs.errors import InputError
from evaljobs.pairs.given import array, checked_groups, real
from evaljobs.uncertainty.blocks import Float64, checked
from evaljobs.uncertainty.coverage import Coverage, risk_coverage
from evaljobs.uncertainty.detection import Detection, Sides, detect
from evaljobs.uncertainty.sets import KNOWN
from evaljobs.uncertainty.threshold import Split, Threshold, at_share, given, split

SHARE = 0.1
GROUPS = 20
_KEYS = "uint64 [n, 4]"
Bools = NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class UncertainImages:
    """The images of one set, by their uncertainty.

    Attributes
    ----------
    values
        ``[n]`` real numbers, at least one: larger is less certain.
    right
        ``[n]`` bool: whether the model is right about each; None where there is no right answer.
    changed
        ``[n]`` bool: which images of a corrupted set differ from the original; None where all do, or nobody knows.
    keys
        ``[n, 4]`` uint64, equal for equal images, by which groups are made; by place where left out.
    """

    values: object
    right: object = None
    changed: object = None
    keys: Keys | None = None


@dataclasses.dataclass(frozen=True)
class OfSet:
    """What was found on the images of one set.

    Attributes
    ----------
    n
        How many they are.
    mean, median
        Of their uncertainty.
    split
        How many are sure and unsure.
    changed
        The same of the images that were changed alone; None where all were, or nobody says which.
    coverage
        Risk and coverage; None where there is no right answer.
    detection
        How well uncertainty tells them from in-distribution images; of foreign sets alone.
    """

    n: int
    mean: float
    median: float
    split: Split
    changed: Split | None = None
    coverage: Coverage | None = None
    detection: Detection | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in results.json."""
        parts = {name: getattr(self, name) for name in ("split", "changed", "coverage", "detection")}
        said = {name: None if part is None else part.to_json() for name, part in parts.items()}
        return {"n_samples": self.n, "mean": self.mean, "median": self.median, **said}


@dataclasses.dataclass(frozen=True)
class Uncertainty:
    """What one measure tells.

    Attributes
    ----------
    threshold
        From which uncertainty on an image is unsure.
    known
        Of the in-distribution images.
    corrupted, foreign
        By name of the set.
    n_groups
        How many groups the intervals rest on; 0 where there are none.
    """

    threshold: Threshold
    known: OfSet
    corrupted: Mapping[str, OfSet]
    foreign: Mapping[str, OfSet]
    n_groups: int

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in results.json; the in-distribution set is named ``set``."""
        several = {KNOWN: self.known, **self.corrupted, **self.foreign}
        return {
            "threshold": self.threshold.to_json(),
            "n_groups": self.n_groups,
            "sets": {name: found.to_json() for name, found in several.items()},
        }


def assess_uncertainty(  # noqa: PLR0913 - the public signature
    known: UncertainImages,
    *,
    corrupted: Mapping[str, UncertainImages] | None = None,
    foreign: Mapping[str, UncertainImages] | None = None,
    threshold: float | None = None,
    share: float = SHARE,
    groups: int = GROUPS,
) -> Uncertainty:
    """Say what a measure of uncertainty is worth.

    Counts are integers, ties are exact, and sums are rounded once: the result is the same for any order of the images.

    Parameters
    ----------
    known
        In-distribution images: what the model was made for.
    corrupted, foreign
        By name: changed images with the same right answers; and images of which no answer is right. Foreign ones are
        the positives of AUROC, AUPR and the false-positive rate at 95% TPR, the in-distribution ones the negatives.
    threshold
        An image is unsure if its uncertainty is at least this.
    share
        Without a threshold: the lowest one at which at most this share of the in-distribution images is unsure.
    groups
        Of how many groups of images one is left out at a time for the 95% intervals; 0 for none.

    Raises
    ------
    InputError
        If values or the threshold are not finite numbers, or there is not one for each image.
    """
    share = real(share, "share", "a number above 0 and below 1")
    if not 0 < share < 1:
        raise InputError(f"found a share of {share}; expected one above 0 and below 1")
    groups = checked_groups(groups)
    base = _Checked.of(known, "in-distribution images", groups)
    cut = at_share(base.values, Fraction(repr(share))) if threshold is None else given(threshold)
    return Uncertainty(
        threshold=cut,
        known=_of_set(base, cut),
        corrupted={
            name: _of_set(_Checked.of(images, f"images of {name!r}", groups), cut)
            for name, images in _named(corrupted, "corrupted")
        },
        foreign={
            name: _of_foreign(base, _Checked.of(images, f"images of {name!r}", groups), cut)
            for name, images in _named(foreign, "foreign")
        },
        n_groups=base.groups.n,
    )


def _named(several: object, name: str) -> ItemsView[str, UncertainImages]:
    if several is not None and not isinstance(several, Mapping):
        raise InputError(f"found {name} of type {type(several).__name__}; expected UncertainImages by name")
    return (several or {}).items()


@dataclasses.dataclass(frozen=True)
class _Checked:
    values: Float64
    right: Bools | None
    changed: Bools | None
    groups: Groups

    @classmethod
    def of(cls, images: UncertainImages, what: str, n_groups: int) -> _Checked:
        if not isinstance(images, UncertainImages):
            raise InputError(f"found {what} of type {type(images).__name__}; expected evaljobs.UncertainImages(values)")
        values = checked(images.values, f"values of uncertainty of {what}")
        n = len(values)
        keys = keys_of_ids(range(n)) if images.keys is None else array(images.keys, "keys", _KEYS)
        if keys.dtype != np.uint64 or keys.ndim != 2 or keys.shape[1] != 4:
            raise InputError(f"found keys of {keys.dtype} with shape {keys.shape}; expected {_KEYS}")
        if len(keys) != n:
            raise InputError(f"found {len(keys):,} keys for {n:,} {what}; expected one for each")
        flags = [_flags(given, n, what) for given in (images.right, images.changed)]
        return cls(values, flags[0], flags[1], grouped(keys, n_groups))


def _flags(given: object, n: int, what: str) -> Bools | None:
    if given is None:
        return None
    found = array(given, f"what is true of {what}", "true or false for each")
    if found.shape != (n,) or found.dtype != np.bool_:
        raise InputError(f"found {found.dtype} {found.shape} for {n:,} {what}; expected true or false for each")
    return found


def _of_set(images: _Checked, threshold: Threshold) -> OfSet:
    values, right, changed = images.values, images.right, images.changed
    of_changed = None
    if changed is not None and not changed.all():
        of_changed = split(values[changed], threshold.value, None if right is None else right[changed])
    coverage = None if right is None else risk_coverage(values, right, images.groups.of, images.groups.n)
    return OfSet(
        n=len(values),
        mean=float(np.sort(values).mean()),
        median=float(np.median(values)),
        split=split(values, threshold.value, right),
        changed=of_changed,
        coverage=coverage,
    )


def _of_foreign(base: _Checked, images: _Checked, threshold: Threshold) -> OfSet:
    both = base.groups.n if base.groups.n == images.groups.n else 0
    found = detect(Sides(images.values, base.values, images.groups.of, base.groups.of, both))
    return dataclasses.replace(_of_set(dataclasses.replace(images, right=None), threshold), detection=found)
