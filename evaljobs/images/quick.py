"""A quick look: few images of a set, chosen so that they still form genuine pairs."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def quick_look(labels: pa.ChunkedArray, limit: int) -> npt.NDArray[np.int64]:
    """Choose at most `limit` images; the same ones whatever else was chosen before.

    Labels stand in the order of their sha256. The first two images of each come first, then the third and fourth of
    each, and so on; labels with a single image, which form no genuine pair, come last. Where the limit would cut a
    first pair in two, a third image of a label that is taken already replaces the half, if there is one.

    Parameters
    ----------
    labels
        One label an image, in the order of sample ids.

    Returns
    -------
    int64 [min(limit, n)], ascending: row numbers.
    """
    encoded = labels.combine_chunks().dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    if len(codes) <= limit:
        return np.arange(len(codes))
    place = _places(encoded.dictionary.to_pylist())[codes]
    rank, count = _ranks(codes)
    order = np.lexsort((rank, place, rank // 2, count == 1))
    taken = order[:limit]
    last = taken[-1]
    if rank[last] == 0 and count[last] > 1:
        rest = order[limit:]
        thirds = rest[(rank[rest] >= 2) & (place[rest] < place[last])]
        taken[-1] = thirds[0] if len(thirds) else last
    return np.sort(taken)


def _places(labels: list[str]) -> npt.NDArray[np.int64]:
    """Return the place of each label in the order of their hashes, so that names do not choose."""
    digests = [hashlib.sha256(label.encode()).digest() for label in labels]
    places = np.empty(len(labels), np.int64)
    places[sorted(range(len(labels)), key=digests.__getitem__)] = np.arange(len(labels))
    return places


def _ranks(codes: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return for each image its number inside its label, from 0, and the size of that label."""
    sizes = np.bincount(codes)
    by_label = np.argsort(codes, kind="stable")
    starts = np.cumsum(sizes) - sizes
    rank = np.empty(len(codes), np.int64)
    rank[by_label] = np.arange(len(codes)) - np.repeat(starts, sizes)
    return rank, sizes[codes]
