"""How well one field tells labels, and genuine pairs from impostors: AUROCs from counts."""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.audit.fields import Field

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]

FOLDS = 5
# Classes with fewer images are told by nobody.
LEAST = 10
# Of more classes the largest are looked at one by one.
_MOST_CLASSES = 200
# A class counts by itself where chance would single it out in one of so many sets.
_CHANCE = 0.01


class Telling(NamedTuple):
    """How well a field tells labels; undefined is None.

    Attributes
    ----------
    auroc
        Of one class against all others, mean over classes weighted by images. Values are scored by the shares of
        classes in other parts of the set, so that many values do not look telling for their number.
    label
        Number of the class that it tells best.
    label_auroc
        Of this class.
    beyond_chance
        Whether this class stands out more than the best of as many would by chance.
    """

    auroc: float | None
    label: int | None
    label_auroc: float | None
    beyond_chance: bool

    @property
    def strongest(self) -> float:
        """The AUROC that counts: of all classes, or of one that is told beyond chance."""
        found = [value for value in (self.auroc, self.label_auroc if self.beyond_chance else None) if value is not None]
        return max(found, default=0.5)


def tell_labels(field: Field, labels: Int64, n_labels: int, folds: Int64) -> Telling:
    """Return how well a field tells labels.

    Parameters
    ----------
    labels
        ``[n]`` int64 in [0, n_labels).
    folds
        ``[n]`` int64 in [0, FOLDS): the part of the set that an image belongs to.
    """
    sizes = np.bincount(labels, minlength=n_labels)
    classes = np.argsort(-sizes, kind="stable")[:_MOST_CLASSES]
    classes = classes[sizes[classes] >= LEAST]
    totals = np.zeros((FOLDS, field.n_codes))
    np.add.at(totals, (folds, field.codes), 1)
    found = [_tell_class(field, labels == label, folds, totals) for label in classes.tolist()]
    aurocs = np.array([auroc for auroc, _ in found])
    there = np.flatnonzero(~np.isnan(aurocs)) if found else np.zeros(0, np.int64)
    if not len(there):
        return Telling(None, None, None, beyond_chance=False)
    far = np.array([z for _, z in found])
    best = int(there[np.argmax(far[there])])
    mean = float(np.average(aurocs[there], weights=sizes[classes][there]))
    limit = NormalDist().inv_cdf(1 - _CHANCE / len(there))
    return Telling(mean, int(classes[best]), float(aurocs[best]), bool(far[best] > limit))


def _tell_class(field: Field, members: NDArray[np.bool_], folds: Int64, totals: Float64) -> tuple[float, float]:
    """Return the AUROC of a class against all others, within folds, and its distance from chance in deviations."""
    own = np.zeros_like(totals)
    np.add.at(own, (folds[members], field.codes[members]), 1)
    prior = members.mean()
    wins = pairs = variance = 0.0
    for fold in range(FOLDS):
        seen = totals.sum(axis=0) - totals[fold]
        scores = (own.sum(axis=0) - own[fold] + prior) / (seen + 1)
        positive, negative = own[fold], totals[fold] - own[fold]
        p, q = positive.sum(), negative.sum()
        wins += _wins(scores, positive, negative)
        pairs += p * q
        variance += p * q * (p + q + 1) / 12  # of the Mann-Whitney statistic without ties, which is the largest
    return (wins / pairs, (wins - pairs / 2) / variance**0.5) if pairs else (np.nan, np.nan)


def _wins(scores: Float64, positive: Float64, negative: Float64) -> float:
    """Return how many pairs of a positive and a negative are in the right order, ties one half."""
    _, level = np.unique(scores, return_inverse=True)
    p, q = np.bincount(level, positive), np.bincount(level, negative)
    return float((p * (np.cumsum(q) - q / 2)).sum())


def tell_pairs(field: Field, labels: Int64, n_labels: int) -> float | None:
    """Return the AUROC of genuine against impostor pairs, exactly, over all pairs; None where one kind lacks.

    The nearer two images are in the field, the higher the pair's score: of names, whether they are equal; of numbers,
    how many classes of them lie between, and an image without one is farther from all others than these from another.
    """
    counts = np.zeros((field.n_codes, n_labels))
    np.add.at(counts, (field.codes, labels), 1)
    totals = counts.sum(axis=1)
    if field.ranks is None:
        same = _pairs(counts).sum()
        genuine = np.array([same, _pairs(counts.sum(axis=0)).sum() - same])
        every = np.array([_pairs(totals).sum(), _pairs(totals.sum()) - _pairs(totals).sum()])
    else:
        genuine, every = _by_distance(field, counts @ counts.T), _by_distance(field, np.outer(totals, totals))
        # On the diagonal stand ordered pairs, each image with itself among them.
        genuine[0], every[0] = _pairs(counts).sum(), _pairs(totals).sum()
    impostor = every - genuine
    if not genuine.sum() or not impostor.sum():
        return None
    nearer = np.arange(len(genuine), 0, -1).astype(np.float64)
    return _wins(nearer, genuine, impostor) / float(genuine.sum() * impostor.sum())


def _by_distance(field: Field, products: Float64) -> Float64:
    """Add up pairs of codes by how far apart they are, each pair of different codes once."""
    places = np.arange(field.n_codes)
    if field.n_known < len(field.codes):
        places[-1] = 2 * field.n_codes
    far = np.abs(places[:, None] - places[None, :])
    above = np.triu_indices(field.n_codes, 1)
    return np.bincount(far[above], products[above], int(far.max()) + 1).astype(np.float64)


def _pairs(counts: Float64) -> Float64:
    found: Float64 = counts * (counts - 1) / 2
    return found
