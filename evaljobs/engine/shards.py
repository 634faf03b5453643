"""Cut what is missing into shards: the unit of decoding and embedding."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]
Indices = np.ndarray[tuple[int], np.dtype[np.int64]]

SHARD_BYTES = 32 * 2**20
SHARD_IMAGES = 512


class Most(NamedTuple):
    """The largest a shard may be: bytes of its pixels, and images; by default `SHARD_IMAGES`, or a batch."""

    bytes: int = SHARD_BYTES
    images: int | None = None


@dataclasses.dataclass(frozen=True)
class Shard:
    """Images of one geometry that the same models lack.

    Attributes
    ----------
    geometry
        Number of the geometry.
    images
        ``[m]`` int64, indices into the list of distinct images, ascending.
    models
        Numbers of the models that lack all of them, ascending.
    """

    geometry: int
    images: Indices
    models: tuple[int, ...]


def images_per_shard(image_bytes: int, batch_sizes: Iterable[int], most: Most | None = None) -> int:
    """Return how many decoded images make a shard, at least one.

    A multiple of all batch sizes where one fits, else of the largest that does: a batch that is filled up costs as much
    as a full one.
    """
    most = most or Most()
    sizes = sorted(batch_sizes)
    fit = max(1, min(most.images or max(SHARD_IMAGES, sizes[-1]), most.bytes // image_bytes))
    sizes = [size for size in sizes if size <= fit]
    common = math.lcm(*sizes)
    unit = common if common <= fit else sizes[-1]
    return fit // unit * unit


def cut(
    missing: Mapping[int, Mask],
    geometry_of: Mapping[int, int],
    image_bytes: Sequence[int],
    batch_size_of: Mapping[int, int],
    most: Most | None = None,
) -> list[Shard]:
    """Cut the missing rows into shards, each wanted as a whole by each of its models.

    Parameters
    ----------
    missing
        By model: ``[n]`` bool, which of the distinct images its table lacks.
    geometry_of
        By model: its geometry.
    image_bytes
        By geometry: bytes of one decoded image.
    batch_size_of
        By model: images in one call of its session.
    most
        How large a shard of several images may be.
    """
    shards: list[Shard] = []
    for geometry, size in enumerate(image_bytes):
        models = sorted(m for m, g in geometry_of.items() if g == geometry and missing[m].any())
        for images, lacking in _groups(models, missing):
            length = images_per_shard(size, (batch_size_of[m] for m in lacking), most)
            shards += [Shard(geometry, images[i : i + length], lacking) for i in range(0, len(images), length)]
    return shards


def _groups(models: Sequence[int], missing: Mapping[int, Mask]) -> Iterator[tuple[Indices, tuple[int, ...]]]:
    """Yield images with the models that lack them: all in one group after an undisturbed run, later usually in few."""
    if not models:
        return
    bits = np.packbits(np.stack([missing[m] for m in models]), axis=0)
    patterns, group = np.unique(bits, axis=1, return_inverse=True)
    for number in range(patterns.shape[1]):
        wanted = np.unpackbits(patterns[:, number], count=len(models)).astype(bool)
        if wanted.any():
            lacking = tuple(m for m, w in zip(models, wanted, strict=True) if w)
            yield np.flatnonzero(group.reshape(-1) == number), lacking
