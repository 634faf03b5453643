"""Whatever people hand to the public functions: an answer, or an error that names it; never one from deep within."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import evaljobs
from evaljobs.errors import InputError, UsageError

N, CLASSES = 40, 8
RNG = np.random.default_rng(0)
LABELS = np.repeat(np.arange(CLASSES), N // CLASSES)
ROWS = np.eye(CLASSES)[LABELS] + RNG.random((N, CLASSES))
VALUES = RNG.random(N)
FACTS = {"format": ["JPEG", "PNG"] * (N // 2)}
DIGESTS = pa.array([bytes([i]) * 32 for i in range(N)], pa.binary(32))

GOOD: dict[str, dict[str, Any]] = {
    "verify": {"embeddings": ROWS, "labels": LABELS, "fpr": "0.1", "tile": 8, "threads": 1, "groups": 4, "hardest": 1}
    | {"ids": list(range(N)), "by_label": False},
    "verify_cross": {"probes": ROWS, "probe_labels": LABELS, "gallery": ROWS, "gallery_labels": LABELS, "fpr": "0.1"}
    | {"probe_ids": list(range(N)), "gallery_ids": list(range(N)), "tile": 8, "threads": 1, "groups": 4, "hardest": 1},
    "verify_pairs": {"embeddings": ROWS, "pairs": [[0, 1], [0, 9]], "labels": LABELS, "fpr": "0.1", "threads": 1}
    | {"genuine": [True, False], "ids": list(range(N)), "groups": 4, "hardest": 1},
    "classify": {"scores": ROWS, "labels": LABELS, "classes": list("abcdefgh"), "scores_are": "logits", "bins": 5}
    | {"top_k": [1, 3], "groups": 4, "label_map": {}, "missing": "refuse", "mistakes": 3, "ids": list(range(N))},
    "softmax_entropy": {"scores": ROWS, "scores_are": "logits"},
    "dropout_uncertainty": {"passes": np.stack([ROWS, ROWS + 1]), "scores_are": "logits"},
    "neighbour_distances": {"queries": ROWS, "reference": ROWS, "k": 3, "same": False},
    "assess_uncertainty": {"known": evaljobs.UncertainImages(VALUES, VALUES > 0.5), "share": 0.1, "groups": 4}
    | {"foreign": {"f": evaljobs.UncertainImages(VALUES)}, "corrupted": {}, "threshold": 0.5},
    "detect_anomalies": {"scores": VALUES, "anomalous": LABELS > 3, "fpr": "0.1", "ids": list(range(N)), "groups": 4},
    "rotation_anomaly": {"scores": np.stack([ROWS] * CLASSES), "scores_are": "logits"},
    "audit_embeddings": {"embeddings": ROWS, "labels": list("abcdefgh") * 5, "facts": FACTS, "fpr": "0.1"}
    | {"recoded": {}, "groups": 4, "hardest": 3, "threads": 1},
    "check_metadata": {"samples": pa.table(FACTS), "labels": ["a", "b"] * (N // 2), "digests": DIGESTS, "own": []}
    | {"permutations": 99, "most": 30, "seed": 1},
}
INTEGERS = {"tile", "threads", "groups", "hardest", "bins", "mistakes", "k", "permutations", "most", "seed"}
NOT_INTEGERS: list[Any] = [2.5, 3.0, True, "4", -3, [4], np.float64(4), np.array([4, 5]), {}, Fraction(4), 4j]
# Of these no upper end is given, and as much as there is is taken.
ENDLESS = {"most", "seed"}
NO_LISTS: list[Any] = [5, 2.5, "text", b"bytes", {}, {1, 2}, object(), iter([1]), np.array(3), range(7)]
# What is none of numbers in rows.
NO_NUMBERS: list[Any] = [
    *NO_LISTS,
    None,
    [],
    [[1.0, 2.0], [3.0]],
    [["a", "b"]],
    np.zeros((0, 3)),
    np.full((N, CLASSES), None),
    np.full((N, CLASSES), 1j),
    np.full((N, CLASSES), np.nan),
    np.full((N, CLASSES), "x"),
    np.ma.masked_less(ROWS, 0.5),
    np.zeros((2, 3, 4, 5)),
    [iter([1.0]), iter([2.0])],
]
NUMBERS = {"embeddings", "probes", "gallery", "scores", "passes", "queries", "reference", "pairs", "anomalous"}
WORDS = {"scores_are", "missing"}
FLAGS = {"by_label", "same"}
NO_FLAGS: list[Any] = [1, "yes", None, [], np.array([True])]
NO_WORDS: list[Any] = [5, "softmax", b"logits", ["logits"], np.array(["logits"]), {}]
LISTS = {"labels", "probe_labels", "gallery_labels", "ids", "probe_ids", "gallery_ids", "top_k", "own", "classes"}
NO_TARGETS: list[Any] = [
    0,
    2,
    -0.1,
    "a",
    None,
    True,
    [],
    [[0.1]],
    {"a": 1},
    iter([0.1]),
    np.array([np.nan]),
    [0.1, 0.1],
]
OTHERS: dict[str, list[Any]] = {
    "fpr": NO_TARGETS,
    "genuine": [5, "text", {}, [True], [2, 0], [None, True], np.ma.masked_equal([1, 0], 1)],
    "label_map": [5, "text", ["a"]],
    "share": [0, 1, 2, -0.1, "0.1", None, True, float("nan"), [0.1], 10**400],
    "threshold": ["0.5", True, float("inf"), [0.5], 10**400],
    "known": [None, VALUES, "text", evaljobs.UncertainImages(None), evaljobs.UncertainImages(VALUES, [1] * N)],
    "foreign": [5, "text", [evaljobs.UncertainImages(VALUES)], {"f": VALUES}],
    "corrupted": [5, "text", [evaljobs.UncertainImages(VALUES)], {"f": evaljobs.UncertainImages([])}],
    "facts": [5, None, "text", {}, {"format": ["PNG"]}, {"format": [1, "a"] * (N // 2)}, pa.table({"a": [1]})],
    "recoded": [5, "text", [ROWS], {"webp": ROWS}, {5: ROWS}, {"jpeg 75": None}],
    "samples": [5, None, FACTS, pa.table({"format": ["PNG"]}), pa.table({"width": ["wide"] * N, "height": [1] * N})],
    "digests": [5, None, [b"1"] * N, pa.array([b"1"]), pa.array([b"1", *[None] * (N - 1)])],
}


def hostile(argument: str) -> list[Any]:
    """Return what no function takes for an argument."""
    if argument in INTEGERS:
        return [*NOT_INTEGERS, *([] if argument in ENDLESS else [10**30])]
    if argument in NUMBERS:
        return NO_NUMBERS
    if argument in WORDS:
        return NO_WORDS
    if argument in FLAGS:
        return NO_FLAGS
    return NO_LISTS if argument in LISTS else OTHERS[argument]


CASES = [(function, argument) for function, good in GOOD.items() for argument in good]


@pytest.mark.parametrize(("function", "argument"), CASES)
def test_what_is_not_expected_is_named(function: str, argument: str) -> None:
    """No TypeError, and no answer either: what was found, and what is expected."""
    call: Callable[..., Any] = getattr(evaljobs, function)
    tried = 0
    for value in hostile(argument):
        given = copy.copy(GOOD[function])
        given[argument] = value
        with pytest.raises((InputError, UsageError)) as caught:
            call(**given)
        said = str(caught.value)
        assert len(said) < 500, said
        if argument in INTEGERS:
            assert re.match(f"found (a )?{argument}( of|=| = )", said)
            assert "expected" in said
        tried += 1
    assert tried > 2


@pytest.mark.parametrize(("function", "argument"), [case for case in CASES if case[1] in INTEGERS])
def test_integers_of_numpy_are_integers(function: str, argument: str) -> None:
    """Whoever counts with numpy need not convert: the answer is that of Python's integer."""
    call: Callable[..., Any] = getattr(evaljobs, function)
    good = GOOD[function]
    found = call(**{**good, argument: np.int16(good[argument])})
    assert repr(found) == repr(call(**good))


def test_lists_of_other_libraries_are_lists() -> None:
    """Arrow's arrays and what says that it is an array of numpy: as a list of the same values."""

    class Wrapped:
        def __init__(self, inner: np.ndarray[Any, Any]) -> None:
            self.inner = inner

        def __array__(self, *_: Any, **__: Any) -> np.ndarray[Any, Any]:
            return self.inner

    wanted = evaljobs.verify(ROWS, LABELS, "0.1", threads=1, groups=0)
    texts = [f"label {label}" for label in LABELS]
    for labels in (Wrapped(LABELS), pa.array(LABELS), pa.array(texts), tuple(texts), np.array(texts, object)):
        assert evaljobs.verify(Wrapped(ROWS), labels, np.array([0.1]), threads=1, groups=0) == wanted


def test_ids_of_other_libraries_are_those_of_lists() -> None:
    """An image on both sides is no pair of its own, whichever library holds its id on either side."""
    good, ids = GOOD["verify_cross"], np.arange(N)
    wanted = evaljobs.verify_cross(**good)
    assert wanted.n_genuine == N * (N // CLASSES - 1)
    for several in (pa.array(ids), pa.chunked_array([ids[:9], ids[9:]]), ids, tuple(ids.tolist())):
        assert evaljobs.verify_cross(**{**good, "probe_ids": several}) == wanted


@pytest.mark.parametrize(
    "column", [[[1], [2]], [b"\xff", b"\xfe"], [{"a": 1}, {"a": 2}]], ids=["lists", "bytes", "mappings"]
)
def test_own_columns_of_other_types_are_named(column: list[Any]) -> None:
    """They are neither numbers nor names, by which labels could be told."""
    good = GOOD["check_metadata"]
    samples = good["samples"].append_column("mine", pa.array(column * (N // 2)))
    with pytest.raises(InputError, match="neither numbers nor texts"):
        evaljobs.check_metadata(**{**good, "samples": samples, "own": ["mine"]})


def test_a_missing_label_is_none_of_the_labels() -> None:
    """An image without one is not told from those that are called None."""
    labels = [None, *["a", "b"] * (N // 2)][:N]
    with pytest.raises(InputError, match="found labels of type NoneType"):
        evaljobs.check_metadata(**{**GOOD["check_metadata"], "labels": labels})
