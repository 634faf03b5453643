"""Which images of a large set are shown: chosen by hashes, so that nobody picks, and one more image moves few."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]

# Images of a label that are shown before another label gets its turn: fewer would show no cluster of it.
LEAST_OF_A_LABEL = 8


class Sampling(enum.StrEnum):
    """How the images that are shown were chosen."""

    ALL = "all"
    LABELS = "labels"
    RANDOM = "random"


class Chosen(NamedTuple):
    """The rows that are shown, ``[m]`` int64 in an order that does not depend on theirs, and how they were chosen."""

    rows: Int64
    sampling: Sampling


def choose(digests: Sequence[bytes], labels: Sequence[str], most: int, sampling: Sampling, seed: int = 0) -> Chosen:
    """Choose the images that are shown.

    Parameters
    ----------
    digests
        ``n`` image digests: what decides, and not the place in the set.
    labels
        ``n`` labels.
    most
        How many are shown at most; where there are no more, all are.
    sampling
        ``RANDOM``: each image has the same chance, and so labels have their shares of the set. ``LABELS``: labels
        alike, in the order of a hash: 8 images of each at first, then one more of each at a time, as long as they have
        any. So of few labels all are shown, and of very many a part, each with enough images to be seen.
    seed
        Another number is another choice.
    """
    names = sorted(set(labels))
    numbers = {name: number for number, name in enumerate(names)}
    label = np.fromiter((numbers[name] for name in labels), np.int64, len(labels))
    rank = _hashes(digests, seed)
    if len(rank) > most and sampling is Sampling.LABELS:
        kept = np.sort(_by_labels(rank, label, _hashes([name.encode(errors="replace") for name in names], seed))[:most])
    elif len(rank) > most:
        kept = np.sort(np.lexsort((label, rank))[:most])
    else:
        kept, sampling = np.arange(len(rank)), Sampling.ALL
    # Equal digests are equal images: of those with one label any may stand for another.
    return Chosen(kept[np.lexsort((label[kept], rank[kept]))].astype(np.int64), sampling)


def _by_labels(rank: NDArray[np.uint64], label: Int64, label_rank: NDArray[np.uint64]) -> Int64:
    """Return all rows in the order in which they are taken."""
    order = np.lexsort((rank, label))
    starts = np.searchsorted(label[order], label[order])
    place = np.arange(len(order)) - starts
    turn = np.maximum(place - (LEAST_OF_A_LABEL - 1), 0)
    taken = order[np.lexsort((place, label[order], label_rank[label[order]], turn))]
    return taken.astype(np.int64)


def _hashes(texts: Sequence[bytes], seed: int) -> NDArray[np.uint64]:
    key = seed.to_bytes(8, "little")
    joined = b"".join(hashlib.blake2b(text, digest_size=8, key=key).digest() for text in texts)
    return np.frombuffer(joined, "<u8").astype(np.uint64)
