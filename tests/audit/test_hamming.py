"""Pairs of hashes that differ in few bits: none is missed."""

from __future__ import annotations

import numpy as np
import pytest

from evaljobs.audit import hamming
from evaljobs.audit.hamming import MOST_BITS, near_across, near_pairs


def hashes(n, seed):
    """Return hashes of which many are versions of others, with up to nine bits turned."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 2, (n, 64), dtype=np.uint8)
    for row in range(n // 2, n):
        bits[row] = bits[rng.integers(0, n // 2)]
        bits[row, rng.choice(64, rng.integers(0, 10), replace=False)] ^= 1
    return np.packbits(bits, axis=1).view(">u8").ravel().astype(np.uint64)


def joined(several):
    """Return pairs as one, in order."""
    a, b, distance = (np.concatenate(columns) for columns in zip(*several, strict=True))
    order = np.lexsort((b, a))
    return hamming.Near(a[order], b[order], distance[order])


def far(a, b):
    """Count the bits that differ, one pair after the other."""
    return np.array([[(int(x) ^ int(y)).bit_count() for y in b] for x in a])


@pytest.mark.parametrize("bound", range(MOST_BITS + 1))
def test_pairs_of_a_set_are_those_of_brute_force(bound):
    """Every pair within the bound, with its distance, once, in order; at the bound included."""
    some = hashes(120, bound)
    distances = far(some, some)
    a, b = np.nonzero(np.triu(distances <= bound, 1))
    found = joined(near_pairs(some, bound))
    assert len(a) > 0
    assert (found.a.tolist(), found.b.tolist()) == (a.tolist(), b.tolist())
    assert found.distance.tolist() == distances[a, b].tolist()


@pytest.mark.parametrize("bound", [0, 1, 4, MOST_BITS])
def test_pairs_across_sets_are_those_of_brute_force(bound):
    """The same between two sets, equal hashes included."""
    every = hashes(160, 7)
    some, others = every[::2], every[1::2]
    distances = far(some, others)
    a, b = np.nonzero(distances <= bound)
    found = joined(near_across(some, others, bound))
    assert len(a) > 0
    assert (found.a.tolist(), found.b.tolist()) == (a.tolist(), b.tolist())
    assert found.distance.tolist() == distances[a, b].tolist()


def test_hashes_that_share_a_piece_are_compared_some_at_a_time(monkeypatch):
    """Hashes of simple pictures agree in half of their bits: memory is bounded, and the pairs are the same."""
    some = hashes(200, 3) & np.uint64(0xFFFF)
    whole = joined(near_pairs(some, 4))
    monkeypatch.setattr(hamming, "_AT_ONCE", 50)
    assert [column.tolist() for column in joined(near_pairs(some, 4))] == [column.tolist() for column in whole]
    assert len(whole.a) > 200


def test_no_hash_and_one_hash_have_no_pair():
    """Nothing to compare is no error."""
    for n in (0, 1):
        assert sum(len(some.a) for some in near_pairs(np.arange(n, dtype=np.uint64), 4)) == 0
        assert sum(len(some.a) for some in near_across(np.arange(n, dtype=np.uint64), np.zeros(0, np.uint64), 4)) == 0


@pytest.mark.parametrize("bound", [-1, MOST_BITS + 1])
def test_bounds_without_a_promise_are_refused(bound):
    """Pieces of a few bits would compare everything with everything."""
    with pytest.raises(ValueError, match="expected 0 to 8 bits"):
        near_pairs(np.zeros(2, np.uint64), bound)
