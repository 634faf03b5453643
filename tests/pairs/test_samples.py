"""What goes in: made ready where that is certain, refused by name where it is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from evaljobs.errors import InputError, NonFiniteError
from evaljobs.pairs.bins import fine_error
from evaljobs.pairs.labels import factorise
from evaljobs.pairs.samples import MAX_DIMENSIONS, prepare, with_filter

GOOD = np.array([[1, 2], [3, 4], [5, 6]], np.float32)


@pytest.mark.parametrize(
    ("embeddings", "said"),
    [
        ([[1.0, 2.0], [3.0]], "not a matrix"),
        (np.ones(3, np.float32), r"shape \(3,\)"),
        (np.ones((3, 2, 2), np.float32), r"shape \(3, 2, 2\)"),
        (np.ones((3, 2), np.complex64), "complex64"),
        ([["a", "b"], ["c", "d"]], "expected real numbers"),
        (np.array([[1, None], [2, 3]], dtype=object), "object"),
        (np.ones((0, 2), np.float32), "found 0 sample"),
        (np.ones((1, 2), np.float32), "found 1 sample"),
        (np.ones((3, 0), np.float32), "0 dimensions"),
        (np.broadcast_to(np.float32(1), (3, MAX_DIMENSIONS + 1)), "1048577 dimensions"),
    ],
)
def test_what_is_no_matrix_is_refused(embeddings: Any, said: str) -> None:
    """The message says what was found and what was expected."""
    with pytest.raises(InputError, match=said):
        prepare(embeddings, ["a", "b", "c"])


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["a", "b"], "found 2 labels for 3 embeddings"),
        (["a", 1, "b"], "text and integers"),
        (["a", None, "b"], "NoneType"),
        ([1, 2, float("nan")], "float"),
        (np.array([1.0, 2.0, 3.0]), "float64"),
        (np.array([["a"], ["b"], ["c"]]), r"shape \(3, 1\)"),
        ("abc", "type str"),
        (None, "type NoneType"),
    ],
)
def test_labels_that_are_not_certain_are_refused(labels: Any, said: str) -> None:
    """Missing labels, numbers with a fraction and mixtures are not guessed at."""
    with pytest.raises(InputError, match=said):
        prepare(GOOD, labels)


def test_ids_must_fit() -> None:
    """An id for each row."""
    with pytest.raises(InputError, match="found 1 ids for 3 embeddings"):
        prepare(GOOD, ["a", "b", "c"], ["x"])


@pytest.mark.parametrize(
    "labels",
    [
        ["b", "a", "b", "c"],
        np.array(["b", "a", "b", "c"]),
        np.array(["b", "a", "b", "c"], dtype=object),
        [2, 1, 2, 3],
        (np.int32(2), np.int32(1), np.int32(2), np.int32(3)),
        np.array([2, 1, 2, 3], np.uint8),
        ["b\0", "b", "b\0", "c"],
    ],
)
def test_labels_of_any_form_mean_the_same(labels: Any) -> None:
    """Text and integers, lists and arrays: equal labels get equal numbers, different ones different numbers."""
    codes, names = factorise(labels)
    assert len(names) == 3
    assert {type(name) for name in names} in ({int}, {str})
    assert codes[0] == codes[2]
    assert len({*codes.tolist()}) == 3
    assert codes.dtype == np.int64


@pytest.mark.parametrize(
    ("dtype", "noted"),
    [
        ("float32", False),
        ("float16", False),
        ("float64", True),
        ("longdouble", True),
        ("int64", False),
        ("bool", False),
    ],
)
def test_other_numbers_become_float32(dtype: str, noted: bool) -> None:
    """Narrower numbers are widened; wider ones are rounded, and the result says so."""
    samples = prepare(np.array([[1, 0], [1, 1], [0, 1]], dtype), [1, 1, 2])
    assert samples.rows.dtype == np.float32
    assert bool(samples.notes) == noted
    assert all("rounded to float32" in note for note in samples.notes)


def test_integers_that_float32_cannot_hold_are_noted() -> None:
    """2^24 + 1 is the first."""
    assert prepare(np.array([[2**24 + 1], [1]]), [1, 2]).notes
    assert not prepare(np.array([[2**24], [1]]), [1, 2]).notes


def test_unusable_rows_are_counted_and_named() -> None:
    """NaN, infinite and all-zero rows: how many, which, and what to do."""
    rows = np.ones((9, 3), np.float32)
    rows[1, 2], rows[2, 0], rows[5] = np.nan, -np.inf, 0
    with pytest.raises(NonFiniteError, match=r"3 of 9 .* 2 not finite .* 1 all zero; id b, c, f\. Exclude") as caught:
        prepare(rows, range(9), list("abcdefghi"))
    assert (caught.value.count, caught.value.rows) == (3, (1, 2, 5))
    with pytest.raises(NonFiniteError, match=r"9 of 9 .* 9 all zero; row 0, 1, 2, 3, 4, \.\.\."):
        prepare(np.zeros((9, 3)), range(9))


def test_what_rounds_to_infinity_or_zero_is_found() -> None:
    """A float64 row may be fine, and not be so as float32."""
    with pytest.raises(NonFiniteError, match="1 not finite as float32, 0 all zero; row 1"):
        prepare(np.array([[1.0], [1e39]]), [1, 2])
    with pytest.raises(NonFiniteError, match="0 not finite as float32, 1 all zero; row 1"):
        prepare(np.array([[1.0], [1e-46]]), [1, 2])


@pytest.mark.parametrize("value", [1e-45, 1e-38, 3.4e38])
def test_extreme_norms_are_usable(value: float) -> None:
    """Squares that float32 could not hold do no harm."""
    samples = prepare(np.full((2, 4), value, np.float32), [1, 2])
    assert np.isfinite(samples.norms).all()
    assert samples.unit == pytest.approx(np.full((2, 4), 0.5))


def test_input_is_not_changed() -> None:
    """Arrays handed in stay as they are, even read-only ones and views."""
    wide = np.arange(1, 13, dtype=np.float32).reshape(3, 4)
    wide.setflags(write=False)
    view = wide[:, ::2]
    assert np.array_equal(prepare(view, [1, 2, 1]).rows, [[1, 3], [5, 7], [9, 11]])
    assert prepare(wide, [1, 2, 1]).rows.base is wide or prepare(wide, [1, 2, 1]).rows is wide


def test_estimates_by_several_threads_are_those_of_one() -> None:
    """Each pair is estimated once, in its place, and no further from its score than the bound of the finer filter."""
    rng = np.random.default_rng(1)
    ready = prepare(rng.standard_normal((300, 32)), rng.integers(0, 9, 300), for_filter=False)
    i, j = (rng.integers(0, 300, 10_001).astype(np.int32) for _ in range(2))
    one, three = (with_filter(ready, threads).estimate_pairs(i, j) for threads in (1, 3))
    assert one.tolist() == three.tolist()
    assert np.abs(three - ready.score_pairs(i.astype(np.int64), j.astype(np.int64))).max() <= fine_error(32)
