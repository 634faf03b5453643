"""Cut what is missing into shards: the unit of decoding and embedding."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]
Indices = np.ndarray[tuple[int], np.dtype[np.int64]]

SHARD_BYTES = 32 * 2**20
SHARD_IMAGES = 512


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


def images_per_shard(image_bytes: int, shard_bytes: int = SHARD_BYTES) -> int:
    """Return how many decoded images make a shard: a multiple of 32 where they are small, at least one."""
    fit = min(SHARD_IMAGES, shard_bytes // image_bytes)
    return max(1, fit // 32 * 32 if fit >= 32 else fit)


def cut(
    missing: Mapping[int, Mask],
    geometry_of: Mapping[int, int],
    image_bytes: Sequence[int],
    shard_bytes: int = SHARD_BYTES,
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
    shard_bytes
        Most that a shard of several images takes.
    """
    shards: list[Shard] = []
    for geometry, size in enumerate(image_bytes):
        models = sorted(m for m, g in geometry_of.items() if g == geometry and missing[m].any())
        if models:
            shards += _cut_one(geometry, models, missing, images_per_shard(size, shard_bytes))
    return shards


def _cut_one(geometry: int, models: Sequence[int], missing: Mapping[int, Mask], length: int) -> list[Shard]:
    # Images with equal bits are lacked by the same models: after an undisturbed run all, later usually few groups.
    bits = np.packbits(np.stack([missing[m] for m in models]), axis=0)
    patterns, group = np.unique(bits, axis=1, return_inverse=True)
    shards: list[Shard] = []
    for number in range(patterns.shape[1]):
        wanted = np.unpackbits(patterns[:, number], count=len(models)).astype(bool)
        if not wanted.any():
            continue
        images = np.flatnonzero(group.reshape(-1) == number)
        lacking = tuple(m for m, w in zip(models, wanted, strict=True) if w)
        shards += [Shard(geometry, images[i : i + length], lacking) for i in range(0, len(images), length)]
    return shards
