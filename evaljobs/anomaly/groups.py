"""The groups of images that are left out in turn for the intervals: each has its share of both kinds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evaljobs.classification.groups import Groups, Keys


def both_kinds(keys: Keys, anomalous: NDArray[np.bool_], n_groups: int) -> Groups:
    """Deal images to groups in turn: the normal ones in the order of their digests, then the anomalous ones.

    Anomalous images are often few: dealt without regard to that, some groups would hold several and others none, and
    the intervals would say more of that than of the model. Equal images are of one group. Which group an image is of
    depends on the set of images alone, so two models leave out the same ones.

    Parameters
    ----------
    keys
        ``[n, 4]`` uint64: of the images' digests, equal for equal images.
    anomalous
        ``[n]``.
    n_groups
        How many; with fewer than two images for each, none are made.
    """
    order = np.lexsort(keys.T[::-1])
    new = np.ones(len(keys), np.int64)
    new[1:] = (keys[order[1:]] != keys[order[:-1]]).any(axis=1)
    unit = np.empty(len(keys), np.int64)
    unit[order] = np.cumsum(new) - 1
    n_units = int(new.sum())
    if not n_groups or n_units < 2 * n_groups:
        return Groups(np.zeros(len(keys), np.int64), 0)
    kind = np.zeros(n_units, np.bool_)
    kind[unit[anomalous]] = True
    place = np.empty(n_units, np.int64)
    place[np.argsort(kind, kind="stable")] = np.arange(n_units)
    return Groups(place[unit] % n_groups, n_groups)
