"""Tiles cover every pair once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaljobs.errors import InputError
from evaljobs.pairs.rounds import Limits
from evaljobs.pairs.samples import MAX_DIMENSIONS, prepare
from evaljobs.pairs.tiles import MAX_TILE, Tiles


@given(st.integers(2, 40), st.integers(1, 45), st.integers(1, 9))
def test_every_pair_lies_in_one_tile(n: int, size: int, at_least: int) -> None:
    """Each pair i < j lies in exactly one tile of one part, and parts know how many they hold."""
    tiles = Tiles(n, size)
    seen: list[tuple[int, int]] = []
    for part in tiles.parts(at_least):
        before = len(seen)
        for tile in part:
            i, j = tiles.place(tile)
            seen += [(a, b) for a in range(i.start, i.stop) for b in range(j.start, j.stop) if a < b]
        assert tiles.pairs(part) == len(seen) - before
    assert sorted(seen) == [(a, b) for a in range(n) for b in range(a + 1, n)]


def test_parts_are_as_many_as_wanted() -> None:
    """There is work for every worker where there are tiles enough."""
    assert len(Tiles(1000, 10).parts(64)) == 64
    assert len(Tiles(20, 10).parts(64)) == Tiles(20, 10).count == 3


def test_a_part_never_has_more_pairs_than_its_counters_can_count() -> None:
    """A million samples in one part would overflow 32 bits: it is cut further than was asked."""
    tiles = Tiles(1_000_000, 1024)
    assert max(tiles.pairs(part) for part in (tiles.parts(1)[0], tiles.parts(1)[-1])) <= 2**29


@pytest.mark.parametrize("size", [0, -1, MAX_TILE + 1])
def test_an_unusable_size_is_refused(size: int) -> None:
    """The message says what was found and what is possible."""
    with pytest.raises(InputError, match=f"found a tile of {size}; expected 1 to {MAX_TILE}"):
        Tiles(10, size)


@given(st.integers(2, 40), st.integers(1, 12), st.lists(st.integers(1, 39), max_size=6), st.integers(0, 39))
def test_pieces_hold_every_pair_once_and_are_of_one_group(n: int, size: int, starts: list[int], gallery: int) -> None:
    """Wherever groups begin, and for probes against a gallery: every pair in one piece, which crosses no beginning."""
    gallery = gallery if gallery < n else 0
    begins = sorted({0, gallery, *(start for start in starts if start < n)})
    tiles = Tiles(n, size, tuple(begins), gallery)
    seen: list[tuple[int, int]] = []
    for part in tiles.parts(3):
        before = len(seen)
        for tile in part:
            place = tiles.place(tile)
            assert all(side.stop - side.start <= size for side in place)
            for i, j in tiles.pieces(*place):
                assert not any(side.start < begin < side.stop for side in (i, j) for begin in begins)
                seen += [(a, b) for a in range(i.start, i.stop) for b in range(j.start, j.stop) if gallery or a < b]
        assert tiles.pairs(part) == len(seen) - before
    rows, columns = (range(gallery), range(gallery, n)) if gallery else (range(n), range(n))
    assert sorted(seen) == [(a, b) for a in rows for b in columns if gallery or a < b]


@pytest.mark.parametrize(("d", "tile"), [(1, 1024), (16_384, 1024), (2**17, 128), (MAX_DIMENSIONS, 32)])
def test_tiles_are_smaller_where_rows_are_long(d: int, tile: int) -> None:
    """A thread holds the columns of a tile a second time; what was asked for is taken as it is."""
    samples = prepare(np.ones((2, d), np.float32), [0, 1], for_filter=False)
    assert Limits().tile_of(samples) == tile
    assert Limits(tile=7).tile_of(samples) == 7
