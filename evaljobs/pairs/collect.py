"""All scores by the definition, kept: for sets so small that this is the fastest way."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from evaljobs.pairs import score
from evaljobs.pairs.compiled import compiled
from evaljobs.pairs.samples import Samples
from evaljobs.pairs.spans import Spans, spans_of
from evaljobs.pairs.tiles import Tiles

Float64 = NDArray[np.float64]
Int32 = NDArray[np.int32]


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

    def run(self, samples: Samples, part: range, onto: Scores | None = None) -> Scores:
        """Score the pairs of a part."""
        impostor: list[Float64] = []
        genuine: list[Float64] = []
        for tile in part:
            i, j = self.tiles.place(tile)
            block = np.empty((i.stop - i.start, j.stop - j.start))
            score.score_block(samples.normalised(i), np.ascontiguousarray(samples.normalised(j).T), block)
            for piece in self.tiles.pieces(i, j):
                rows = slice(piece.i.start - i.start, piece.i.stop - i.start)
                columns = slice(piece.j.start - j.start, piece.j.stop - j.start)
                spans = spans_of(samples, piece)
                genuine.append(_gather(block[rows, columns], *_genuine(spans)))
                impostor += [_gather(block[rows, columns], *some) for some in _impostor(spans, columns)]
        found = Scores((np.sort(np.concatenate(impostor)),), (np.sort(np.concatenate(genuine)),))
        return found if onto is None else onto + found


def _merged(chunks: tuple[Float64, ...]) -> Float64:
    merged = np.concatenate(chunks)
    merged.sort(kind="stable")  # the kind that finds ascending runs, and merges them
    return merged


def _genuine(spans: Spans) -> tuple[Int32, Int32, Int32]:
    return spans.low, spans.high, spans.skip


def _impostor(spans: Spans, columns: slice) -> list[tuple[Int32, Int32, Int32]]:
    end = np.full(len(spans.low), columns.stop - columns.start, np.int32)
    return [(spans.begin, spans.low, spans.skip), (spans.high, end, spans.skip)]


@compiled
def _gather(block: Float64, begin: Int32, end: Int32, skip: Int32) -> Float64:
    """Return the scores of each row from `begin` up to `end`, but for the column to skip."""
    found = np.empty((end - begin).sum())
    m = 0
    for r in range(block.shape[0]):
        for c in range(begin[r], end[r]):
            if c != skip[r]:
                found[m] = block[r, c]
                m += 1
    return found[:m]
