"""Quick looks."""

from __future__ import annotations

import collections

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from evaljobs.config import Images
from evaljobs.images.listing import list_images
from evaljobs.images.quick import quick_look

LABELS = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=40)


def look(labels, limit):
    return quick_look(pa.chunked_array([labels[:3], labels[3:]], pa.string()), limit).tolist()


@given(LABELS, st.integers(1, 50))
def test_as_many_as_asked_for_in_order_and_each_once(labels, limit):
    """The limit is met exactly where there are enough; rows come sorted and are the same when asked again."""
    rows = look(labels, limit)
    assert len(rows) == min(limit, len(labels))
    assert rows == sorted(set(rows))
    assert rows == look(labels, limit)


@given(LABELS, st.integers(2, 50))
def test_taken_labels_have_pairs_where_that_is_possible(labels, limit):
    """A label is taken alone only if nothing that forms a pair was left to take instead."""
    rows = look(labels, limit)
    have = collections.Counter(labels)
    taken = collections.Counter(labels[row] for row in rows)
    alone = [label for label, count in taken.items() if count == 1]
    halves = [label for label in alone if have[label] > 1]
    assert len(halves) <= 1
    if halves:  # nothing of the other taken labels is left
        assert all(taken[label] == have[label] for label in taken if label != halves[0])
    if len(alone) > len(halves):  # single images only after all that form pairs
        assert all(taken[label] == count for label, count in have.items() if count > 1)


@given(LABELS)
def test_a_larger_even_look_contains_the_smaller(labels):
    """A look grows by adding images, as long as it ends between pairs."""
    even = [label for label in labels for _ in range(2)]
    smaller, larger = set(look(even, 2)), set(look(even, 4))
    assert smaller <= larger


def test_labels_are_spread_and_not_the_first_ones():
    """Ten of a thousand images are five labels in pairs, chosen by hash and not by the alphabet."""
    labels = [f"{label:03}" for label in range(100) for _ in range(10)]
    rows = look(labels, 10)
    counts = collections.Counter(labels[row] for row in rows)
    assert sorted(counts.values()) == [2] * 5
    assert set(counts) != {f"{label:03}" for label in range(5)}
    assert np.all(np.array(rows) % 10 < 2)


def test_the_limit_of_a_set(tmp_path):
    """`limit` in the config gives a listing that is still sorted, and the same every time."""
    for label in "abc":
        (tmp_path / label).mkdir()
        for i in range(4):
            (tmp_path / label / f"{i}.png").write_bytes(b"x")
    listing = list_images(Images(folder=".", limit=4), tmp_path, "main")
    ids = listing["sample_id"].to_pylist()
    assert len(ids) == 4
    assert ids == sorted(ids)
    assert sorted(collections.Counter(listing["label"].to_pylist()).values()) == [2, 2]
    assert listing["size"].to_pylist() == [1] * 4
