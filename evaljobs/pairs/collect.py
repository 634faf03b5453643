"""All scores by the definition, kept: for sets so small that this is the fastest way."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs import score
from evaljobs.pairs.compiled import compiled
from evaljobs.pairs.samples import Samples
from evaljobs.pairs.tiles import Tiles

Float64 = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Scores:
    """Scores of some pairs, float64: a chunk for each part, ascending."""

    impostor: tuple[Float64, ...]
    genuine: tuple[Float64, ...]

    def __add__(self, other: Scores) -> Scores:
        return Scores(self.impostor + other.impostor, self.genuine + other.genuine)

    def sorted(self) -> tuple[Float64, Float64]:
        """Return all impostor and all genuine scores, ascending."""
        return _merged(self.impostor), _merged(self.genuine)


@dataclasses.dataclass(frozen=True)
class Collect:
    """Score every pair. 8 bytes a pair: the caller bounds their number."""

    tiles: Tiles

    def parts(self, at_least: int) -> list[range]:
        """Cut the tiles into parts."""
        return self.tiles.parts(at_least)

    def pairs(self, part: range) -> int:
        """Return the number of pairs of a part."""
        return self.tiles.pairs(part)

    def run(self, samples: Samples, part: range) -> Scores:
        """Score the pairs of a part."""
        impostor: list[Float64] = []
        genuine: list[Float64] = []
        for tile in part:
            i, j = self.tiles.place(tile)
            block = np.empty((i.stop - i.start, j.stop - j.start))
            score.score_block(samples.normalised(i), np.ascontiguousarray(samples.normalised(j).T), block)
            spans = _spans(samples.ends[i], i.start, j.start, j.stop)
            impostor.append(_gather(block, spans[1], spans[2]))
            genuine.append(_gather(block, spans[0], spans[1]))
        return Scores((np.sort(np.concatenate(impostor)),), (np.sort(np.concatenate(genuine)),))


def _merged(chunks: tuple[Float64, ...]) -> Float64:
    merged = np.concatenate(chunks)
    merged.sort(kind="stable")  # the kind that finds ascending runs, and merges them
    return merged


def _spans(ends: NDArray[np.int64], i0: int, j0: int, j1: int) -> tuple[NDArray[np.int64], ...]:
    """Return, for each row of a tile, the columns where its genuine and impostor pairs begin, and where they end."""
    begin = np.clip(np.arange(i0 + 1, i0 + 1 + len(ends)), j0, j1)
    middle = np.clip(ends, begin, j1)
    return begin - j0, middle - j0, np.full(len(ends), j1 - j0)


@compiled
def _gather(block: Float64, begin: NDArray[np.int64], end: NDArray[np.int64]) -> Float64:
    found = np.empty((end - begin).sum())
    m = 0
    for r in range(block.shape[0]):
        for c in range(begin[r], end[r]):
            found[m] = block[r, c]
            m += 1
    return found
