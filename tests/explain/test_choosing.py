"""Which images are explained: the hard ones, or labels alike; and what is said where there are too few."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from evaljobs.errors import InputError, NonFiniteError
from evaljobs.explain.choosing import (
    Classes,
    How,
    Images,
    hardest_pairs,
    labelled,
    of_class,
    predicted,
    prototypes,
)
from evaljobs.explain.targets import ClassScore, Similarity

LABELS = ["a", "a", "b", "b", "b", "c"]
ROWS = np.array([[1, 0, 0], [1, 0.2, 0], [0, 1, 0], [0, 1, 0.1], [1, 1, 0], [0, 0, 2]], np.float32)
IMAGES = Images([bytes([n]) * 32 for n in range(6)], LABELS, ROWS)
CLASSES = Classes(("a", "b", "c"), "logits", {})


def hardest(*pairs: tuple[str, int, int, int]) -> pa.Table:
    kind, rank, a, b = zip(*pairs, strict=True) if pairs else ((),) * 4
    return pa.table({"kind": list(kind), "rank": list(rank), "row_a": list(a), "row_b": list(b)})


def test_hardest_pairs_are_explained_from_both_sides() -> None:
    """Each image of a pair towards the other one, the hardest first, genuine pairs left out."""
    table = hardest(("genuine", 1, 2, 4), ("impostor", 2, 1, 3), ("impostor", 1, 0, 4))
    found = hardest_pairs(table, IMAGES, 5)
    assert [(item.row, item.pair, item.said) for item in found.items] == [
        (0, 1, "b"),
        (4, 1, "a"),
        (1, 2, "b"),
        (3, 2, "a"),
    ]
    targets = [item.target for item in found.items]
    assert [target.to.tolist() for target in targets if isinstance(target, Similarity)] == [
        ROWS[row].tolist() for row in (4, 0, 3, 1)
    ]
    assert found.notes == []


def test_fewer_pairs_than_asked_for() -> None:
    """What is missing is said; none at all is an error with the way out."""
    found = hardest_pairs(hardest(("impostor", 1, 0, 4)), IMAGES, 24)
    assert found.notes == ["1 hardest impostor pairs are explained: 12 were asked for, and there are no more"]
    for table in (None, hardest(("genuine", 1, 2, 4))):
        with pytest.raises(InputError, match="lists no hardest impostor pairs to explain; raise its `hardest`"):
            hardest_pairs(table, IMAGES, 24)


def test_prototype_is_the_mean_of_the_others() -> None:
    """Of an image the other images of its label, each as long as the other; those least like it come first."""
    found = prototypes(IMAGES, How(2))
    assert [item.row for item in found.items] == [4, 3]
    unit = ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)
    for item in found.items:
        others = [row for row in (2, 3, 4) if row != item.row]
        assert isinstance(item.target, Similarity)
        np.testing.assert_allclose(item.target.to, unit[others].sum(axis=0), rtol=1e-6)
    assert found.notes == ["1 images have no other one of their label, and are not explained"]
    with pytest.raises(InputError, match="no label has two images"):
        prototypes(Images(IMAGES.digests[:2], ["x", "y"], ROWS[:2]), How())


@pytest.mark.parametrize("wrong", [0.0, np.nan, np.inf])
def test_no_prototype_of_what_has_no_direction(wrong: float) -> None:
    """A row that is all zero or not finite is named, not averaged into maps of nothing."""
    rows = ROWS.copy()
    rows[3] = wrong
    with pytest.raises(NonFiniteError, match="1 of 6 embeddings are not finite, or all zero") as caught:
        prototypes(IMAGES._replace(rows=rows), How())
    assert caught.value.rows == (3,)


def test_least_certain_and_most_wrong() -> None:
    """Predicted: the smallest lead of the best class. Label: the class of the label furthest behind the best one."""
    sure = predicted(IMAGES, CLASSES, How(2))
    assert [item.row for item in sure.items] == [4, 1]
    assert sure.items[0].target == ClassScore(0)
    wrong = labelled(Images(IMAGES.digests, ["b", "a", "b", "b", "b", "c"], ROWS), CLASSES, How(2))
    assert [(item.row, item.said) for item in wrong.items] == [(0, "b"), (4, "b")]


def test_labels_that_are_no_class() -> None:
    """They are left out and counted, unless a map says what they mean; if none is a class, that is an error."""
    strange = Images(IMAGES.digests, ["x", *LABELS[1:]], ROWS)
    assert (
        labelled(strange, CLASSES, How(99)).notes[-1] == "1 images have a label that is no class, and are not explained"
    )
    mapped = labelled(strange, CLASSES._replace(label_map={"x": "c"}), How(99))
    assert {item.row: item.said for item in mapped.items}[0] == "c"
    with pytest.raises(InputError, match="no label is the name of a class: found the labels x"):
        labelled(Images(IMAGES.digests, ["x"] * 6, ROWS), CLASSES, How())


def test_a_named_class() -> None:
    """The images with the highest scores of it; a class that is not there is named with the nearest ones."""
    found = of_class(IMAGES, CLASSES, "c", How(2))
    assert [item.row for item in found.items] == [5, 3]
    assert all(item.target == ClassScore(2) and item.said == "c" for item in found.items)
    with pytest.raises(InputError, match="there is no class 'cat' among the 3 of the model; such as c, a"):
        of_class(IMAGES, CLASSES, "cat", How())
    with pytest.raises(InputError, match="the model gives 3 class scores, and 2 classes are named"):
        of_class(IMAGES, Classes(("a", "b"), "logits", {}), "a", How())
    # Names of classes would otherwise be those of others.
    with pytest.raises(InputError, match="several classes are named 'a'"):
        predicted(IMAGES, Classes(("a", "a", "c"), "logits", {}), How())


def test_labels_alike_do_not_depend_on_the_order() -> None:
    """A hash of the bytes chooses; another seed is another choice, another order of the images is not."""
    rng = np.random.default_rng(3)
    digests = [rng.bytes(32) for _ in range(40)]
    labels = [f"label {n % 8}" for n in range(40)]
    images = Images(digests, labels, rng.normal(size=(40, 3)).astype(np.float32))
    chosen = {digests[item.row] for item in predicted(images, CLASSES, How(8, "labels")).items}
    order = rng.permutation(40)
    shuffled = Images([digests[n] for n in order], [labels[n] for n in order], images.rows[order])
    again = {shuffled.digests[item.row] for item in predicted(shuffled, CLASSES, How(8, "labels")).items}
    assert chosen == again
    assert len(chosen) == 8
    assert chosen != {digests[item.row] for item in predicted(images, CLASSES, How(8, "labels", 1)).items}
