"""Which images are looked at where metadata are tested, and how they are split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evaljobs.audit.telling import FOLDS

Int64 = NDArray[np.int64]


class Units(NamedTuple):
    """The images that are looked at: one of each group of copies with one label, and not too many.

    Attributes
    ----------
    rows
        ``[m]`` int64, ascending.
    labels
        ``[m]`` int64 in [0, len(names)).
    folds
        ``[m]`` int64 in [0, FOLDS): labels are spread evenly, and copies (of another label) are in one part.
    names
        The labels that are there.
    """

    rows: Int64
    labels: Int64
    folds: Int64
    names: Sequence[str]


def units_of(labels: Sequence[str], digests: pa.Array | pa.ChunkedArray, most: int, seed: int) -> Units:
    """Choose the images.

    Parameters
    ----------
    labels, digests
        Of n images: texts, and digests of their files.
    most
        Of more images a random part is taken, labels alike.
    seed
        Of this choice and of the folds.
    """
    names, every = np.unique(np.array(labels, object).astype(str), return_inverse=True)
    whole = digests.combine_chunks() if isinstance(digests, pa.ChunkedArray) else digests
    images = pc.dictionary_encode(whole).indices.to_numpy(zero_copy_only=False).astype(np.int64)
    _, rows = np.unique(images * len(names) + every, return_index=True)
    rows = np.sort(rows).astype(np.int64)
    rng = np.random.default_rng(seed)
    if len(rows) > most:
        rows = _part(rows, every[rows], most, rng)
    there, numbers = np.unique(every[rows], return_inverse=True)
    return Units(rows, numbers, _folds(images[rows], numbers, rng), names[there].tolist())


def _part(rows: Int64, labels: Int64, most: int, rng: np.random.Generator) -> Int64:
    """Choose images, as many of each label as there are, up to an equal share, of labels in random order."""
    sizes = np.bincount(labels)
    each = max(10, most // int((sizes > 0).sum()))
    order = rng.permutation(len(rows))
    order = order[np.argsort(labels[order], kind="stable")]
    place = np.arange(len(rows)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    kept = order[place < each]
    # Whole labels, so that there are still genuine pairs.
    rank = rng.permutation(len(sizes))
    kept = kept[np.argsort(rank[labels[kept]], kind="stable")][:most]
    return np.sort(rows[kept])


def _folds(images: Int64, labels: Int64, rng: np.random.Generator) -> Int64:
    """Return the part of the set that each image belongs to, labels spread evenly; copies are in one part."""
    distinct, first, inverse = np.unique(images, return_index=True, return_inverse=True)
    order = rng.permutation(len(distinct))
    order = order[np.argsort(labels[first[order]], kind="stable")]
    parts = np.empty(len(distinct), np.int64)
    parts[order] = np.arange(len(distinct)) % FOLDS
    found: Int64 = parts[inverse]
    return found
