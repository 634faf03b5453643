"""The filter's products, as a scan makes them."""

from __future__ import annotations

import numpy as np

from evaljobs.pairs.bins import Bins
from evaljobs.pairs.count import Counter, Near
from evaljobs.pairs.samples import Samples
from evaljobs.pairs.tiles import Tiles


def values_of(samples: Samples, tile: int) -> dict[tuple[int, int], float]:
    """Return the filter's value of every pair."""
    bins, tiles = Bins(samples.rows.shape[1]), Tiles(samples.n, tile)
    counter = Counter(bins, np.ones((2, bins.count), np.uint8))
    near: list[Near] = list(counter.count(samples, tiles, range(tiles.count)))
    return {(int(i), int(j)): float(v) for one in near for i, j, v in zip(one.i, one.j, one.value, strict=True)}
