"""Labels become classes by name, or they are refused with what was found, what was expected, and what to do."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import evaljobs
from evaljobs.classification.classification import Classification
from evaljobs.errors import InputError, NonFiniteError, UsageError

CLASSES = ["cat", "dog", "horse"]
EYE = np.eye(3, dtype=np.float32)


def classified(labels: Any, classes: Any = CLASSES, scores: Any = EYE, **options: Any) -> Classification:
    return evaljobs.classify(scores, labels, classes, **options)


def test_names_decide_and_not_their_order() -> None:
    """The class of a label is the one of that name, wherever it stands."""
    assert classified(["cat", "dog", "horse"]).n_correct == 3
    assert classified(["cat", "dog", "horse"], ["horse", "cat", "dog"]).n_correct == 0


def test_integers_are_numbers_of_classes() -> None:
    """Names of the classes are then for people alone."""
    found = classified(np.array([0, 1, 1]))
    assert found.classes == ("cat", "dog", "horse")
    assert found.confusion().tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 0]]


@pytest.mark.parametrize("labels", [["0", "1", "2"], ["00", "01", "02"], ["2", "2", "0"]])
def test_digits_are_numbers_where_nobody_names_the_classes(labels: list[str]) -> None:
    """It is an assumption, and said."""
    found = classified(labels, None)
    assert found.n_correct == sum(int(label) == row for row, label in enumerate(labels))
    assert found.classes == ("0", "1", "2")
    assert "numbers of the 3 scores" in found.notes[0]


def test_a_map_leads_labels_to_classes() -> None:
    """Several labels may mean one class; those that are not in the map mean what they say; unused ones are said."""
    found = classified(["kitten", "dog", "puppy"], label_map={"kitten": "cat", "puppy": "dog", "foal": "horse"})
    assert found.confusion().tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 0]]
    assert any("'foal'" in note for note in found.notes)


REFUSED = [
    (["cat", "dog", "hors"], CLASSES, {}, ["1 of 3 labels", "'hors' (nearest: 'horse')", "missing: exclude"]),
    (["Cat", "dog", "horse"], CLASSES, {}, ["'Cat' (nearest: 'cat')", "label_map"]),
    (["cat", "dog", "horse"], ["cat", "dog"], {}, ["2 names of classes", "3 scores"]),
    (["cat", "dog", "horse"], ["cat", "dog", "cat"], {}, ["stands there twice: 'cat'"]),
    (["cat", "dog", "horse"], "cat", {}, ["type str"]),
    (["cat", "dog", "horse"], None, {}, ["nobody says which score", "`classes`"]),
    (["0", "1", "3"], None, {}, ["'3' is beyond the 3 scores", "expected 0 to 2"]),
    (["0", "1", "01"], None, {}, ["'01', '1'", "one number"]),
    (["0", "1", "-1"], None, {}, ["no numbers of classes"]),
    (["0", "1", "²"], None, {}, ["no numbers of classes"]),
    (["0", "1", "9" * 5000], None, {}, ["beyond the 3 scores"]),
    ([0, 1, 3], CLASSES, {}, ["'3' is beyond"]),
    ([0, 1, -1], CLASSES, {}, ["'-1' is beyond"]),
    ([0, 1, 2], CLASSES, {"label_map": {"0": "cat"}}, ["labels that are integers"]),
    (["cat", "dog", "pony"], CLASSES, {"label_map": {"pony": "hrse"}}, ["`label_map` leads to 'hrse'", "'horse'"]),
    (["x", "y", "z"], CLASSES, {"missing": "exclude"}, ["3 of 3 labels"]),
    (["cat", "dog"], CLASSES, {}, ["2 labels for 3 rows"]),
    (["cat", "dog", None], CLASSES, {}, ["NoneType"]),
    (["cat", "dog", 1.5], CLASSES, {}, ["float"]),
]


@pytest.mark.parametrize(("labels", "classes", "options", "said"), REFUSED, ids=[str(i) for i in range(len(REFUSED))])
def test_what_cannot_be_matched_is_refused(labels: Any, classes: Any, options: dict[str, Any], said: list[str]) -> None:
    """Nothing is guessed: the message names what is wrong, the nearest name, and the way out."""
    with pytest.raises(InputError) as caught:
        classified(labels, classes, **options)
    assert [part for part in said if part not in str(caught.value)] == []


def test_unknown_labels_may_be_left_out() -> None:
    """Their images count for nothing, and it is said how many there are and of which labels."""
    found = classified(["cat", "zebra", "zebra", "horse"], scores=EYE[[0, 1, 1, 2]], missing="exclude")
    assert (found.n_samples, found.n_correct) == (2, 2)
    assert found.excluded == {"zebra": 2}
    stated = found.to_json()["excluded"]
    assert (stated["n_samples"], stated["n_labels"]) == (2, 1)
    assert stated["digest"] == classified(["dog", "zebra", "dog"], missing="exclude").to_json()["excluded"]["digest"]
    assert "2 image(s) are left out" in found.notes[0]
    assert "'zebra'" in found.notes[0]


def test_rows_that_are_left_out_keep_the_numbers_of_the_others() -> None:
    """A mistake is named by its row as it was given."""
    found = classified(["zebra", "cat", "dog"], scores=EYE, missing="exclude", scores_are="logits", mistakes=9)
    assert found.tables()["mistakes"]["row"].to_pylist() == [1, 2]
    found = classified(["zebra", "dog", "dog"], scores=EYE, missing="exclude", scores_are="logits", mistakes=9)
    assert found.tables()["mistakes"]["row"].to_pylist() == [2]


HOSTILE = ["</script><script>alert(1)</script>", "a\u202eb\n", "\ud800", "", "=1+1", "'; DROP TABLE", "é" * 500]


def test_hostile_names_are_names() -> None:
    """Whatever stands in them, a result is valid JSON, and its tables can be written."""
    k = len(HOSTILE)
    found = classified(HOSTILE, HOSTILE, np.eye(k)[::-1], scores_are="logits", mistakes=k)
    assert found.n_correct == 1
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["n_classes"] == k
    names = found.tables()["classes"]["class"].to_pylist()
    assert [name for name, own in zip(names, HOSTILE, strict=True) if name != own] == ["\\ud800"]
    with pytest.raises(InputError) as caught:
        classified(["\ud800\u202e", *HOSTILE[1:]], HOSTILE, np.eye(k))
    assert str(caught.value).isprintable()


BAD_SCORES = [
    ([1.0, 2.0], "shape (2,)"),
    ([["a"]], "expected real numbers"),
    ([[1], [1, 2]], "not a matrix"),
    (np.empty((0, 3)), "0 rows"),
    (np.empty((3, 0)), "0 class scores"),
    (np.array([[1j]]), "complex"),
]


@pytest.mark.parametrize(("scores", "said"), BAD_SCORES)
def test_scores_are_a_matrix_of_real_numbers(scores: Any, said: str) -> None:
    """Anything else is refused, with what was found."""
    with pytest.raises(InputError) as caught:
        evaljobs.classify(scores, [0])
    assert said in str(caught.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_scores_that_are_not_finite_are_refused_by_row(bad: float) -> None:
    """With how many there are, and the first rows; what overflows float32 is infinite."""
    scores = np.zeros((9, 3))
    scores[[4, 7], 1] = bad
    with pytest.raises(NonFiniteError) as caught:
        evaljobs.classify(scores, [0] * 9)
    assert (caught.value.count, caught.value.rows) == (2, (4, 7))


def test_rounding_is_said() -> None:
    """Only where something may be lost."""
    assert "rounded to float32" in evaljobs.classify(np.eye(2), [0, 1], scores_are="logits").notes[0]
    assert evaljobs.classify(np.eye(2, dtype=np.int64), [0, 1], scores_are="logits").notes == ()
    assert evaljobs.classify(np.eye(2, dtype=np.float16), [0, 1], scores_are="logits").notes == ()


BAD_OPTIONS = [
    ({"top_k": (0,)}, InputError),
    ({"top_k": (1.5,)}, InputError),
    ({"bins": 0}, InputError),
    ({"groups": 1}, InputError),
    ({"mistakes": -1}, InputError),
    ({"missing": "ignore"}, UsageError),
    ({"scores_are": "logit"}, UsageError),
    ({"ids": ["a"]}, InputError),
]


@pytest.mark.parametrize(("options", "error"), BAD_OPTIONS)
def test_options_are_checked(options: dict[str, Any], error: type[Exception]) -> None:
    """Each with what was found and what is expected."""
    with pytest.raises(error, match=r"found.*expected"):
        classified(["cat", "dog", "horse"], **options)


def asked(labels: list[str], classes: list[str], **options: Any) -> dict[str, Any]:
    """Return what a result says that it was asked, of random scores."""
    scores = np.random.default_rng(0).normal(size=(len(labels), len(classes))).astype(np.float32)
    return dict(evaljobs.classify(scores, labels, classes, groups=0, **options).to_json()["asked"])


def test_the_result_says_what_was_asked() -> None:
    """Another map or rule is another question; what changes no label's meaning, and what a model knows, is not."""
    labels, classes = ["a", "b", "c", "a"], ["a", "b", "c"]
    plain = asked(labels, classes)
    assert (plain["missing"], plain["n_mapped"]) == ("refuse", 0)
    same = [
        asked(labels[::-1], classes),
        asked(labels, classes, label_map={"nobody": "a"}),
        asked(labels, classes, label_map={"a": "a"}),
        asked(labels, [*classes, "d"]),
    ]
    assert same == [plain] * 4
    mapped = asked(labels, classes, label_map={"a": "b"})
    swapped = asked(labels, classes, label_map={"a": "b", "b": "a"})
    left_out = asked(labels, classes, missing="exclude")
    assert (mapped["n_mapped"], swapped["n_mapped"], left_out["missing"]) == (1, 2, "exclude")
    assert len({one["digest"] for one in (plain, mapped, swapped, left_out)}) == 4
    assert asked(labels, ["a", "b"], missing="exclude") == left_out, "a model that knows fewer is asked the same"
