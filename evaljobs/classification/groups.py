"""The groups of images that are left out in turn for the intervals: by what an image is, not by where it stands."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]
# Digests of 32 bytes, a row each, as four numbers in their order.
Keys = NDArray[np.uint64]


class Groups(NamedTuple):
    """The group of each sample, ``[n]`` int64 from 0, and how many there are; 0 where none were made, all in one."""

    of: Int64
    n: int


def grouped(keys: Keys, n_groups: int) -> Groups:
    """Deal images to groups in turn, in the order of their digests: equal images are of one group.

    So which group an image is of depends on the set of images alone, and two models that are judged on the same images
    leave out the same ones. A digest says nothing of the class: groups are random parts of the set.

    Parameters
    ----------
    keys
        ``[n, 4]`` uint64.
    n_groups
        How many; with fewer than two images for each, none are made.
    """
    order = np.lexsort(keys.T[::-1])
    new = np.ones(len(keys), np.int64)
    new[1:] = (keys[order[1:]] != keys[order[:-1]]).any(axis=1)
    rank = np.cumsum(new) - 1
    if not n_groups or len(keys) == 0 or rank[-1] + 1 < 2 * n_groups:
        return Groups(np.zeros(len(keys), np.int64), 0)
    of = np.empty(len(keys), np.int64)
    of[order] = rank % n_groups
    return Groups(of, n_groups)


def keys_of_digests(digests: bytes) -> Keys:
    """Return digests, 32 bytes each one after the other, as keys."""
    return np.frombuffer(digests, ">u8").reshape(-1, 4).astype(np.uint64)


def keys_of_ids(ids: Sequence[object]) -> Keys:
    """Return the sha256 of the texts of ids as keys: equal ids have equal keys."""
    texts = (str(name).encode("utf-8", "surrogatepass") for name in ids)
    return keys_of_digests(b"".join(hashlib.sha256(text).digest() for text in texts))
