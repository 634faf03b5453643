"""Which images are explained, and towards what: chosen by what the model gives them, or by a hash of their bytes."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaljobs.errors import InputError
from evaljobs.explain.targets import ClassScore, Similarity, Target
from evaljobs.projection.choosing import Sampling, choose
from evaljobs.projection.methods import lengths

if TYPE_CHECKING:
    import pyarrow as pa

Matrix = NDArray[np.float32]
Choice = Literal["hard", "labels"]


class Item(NamedTuple):
    """One map that is asked for.

    Attributes
    ----------
    row
        Of the image in its set.
    target
        What is explained.
    said
        The target in words, such as the name of a class.
    own
        ``[d]`` float32: what the model gave the image when it was embedded.
    pair
        Which pair it is a part of, by its rank from 1; None for an image alone.
    """

    row: int
    target: Target
    said: str
    own: NDArray[np.float32]
    pair: int | None = None


class Asked(NamedTuple):
    """What is explained, and what people must know of the choice."""

    items: list[Item]
    notes: list[str]


class Images(NamedTuple):
    """The images of a set: ``[n]`` digests and labels, and ``[n, d]`` rows of a model."""

    digests: Sequence[bytes]
    labels: Sequence[str]
    rows: Matrix


class How(NamedTuple):
    """How images are chosen: at most so many, the hard ones or labels alike, the latter by a seed."""

    most: int = 24
    choice: Choice = "hard"
    seed: int = 0


class Classes(NamedTuple):
    """What is known of class scores: their names where somebody names them, what they are, and what labels mean."""

    names: tuple[str, ...] | None
    are: Literal["logits", "probabilities"]
    label_map: Mapping[str, str]

    def of(self, n: int) -> dict[str, int]:
        """Return the numbers of the classes by name; by their numbers as text where nobody names them.

        Raises
        ------
        InputError
            If there are not as many names as scores, or one stands there twice.
        """
        names = self.names or tuple(map(str, range(n)))
        if len(names) != n:
            raise InputError(f"the model gives {n:,} class scores, and {len(names):,} classes are named")
        if twice := [name for name, times in Counter(names).items() if times > 1]:
            raise InputError(f"several classes are named {twice[0]!r}; give each score a name of its own (`classes`)")
        return {name: number for number, name in enumerate(names)}


def hardest_pairs(hardest: pa.Table | None, images: Images, most: int) -> Asked:
    """Return both images of the impostor pairs with the highest scores, each towards the other one.

    Parameters
    ----------
    hardest
        The table of that name of a verification of the same images by the same model.
    most
        How many images at most: twice as many as pairs, and one pair at least.

    Raises
    ------
    InputError
        If there are none.
    """
    rows = [] if hardest is None else [row for row in hardest.to_pylist() if row["kind"] == "impostor"]
    if not rows:
        raise InputError(
            "the verification lists no hardest impostor pairs to explain; raise its `hardest`, or choose another "
            "`target` than pairs"
        )
    wanted = max(1, most // 2)
    items = []
    for row in sorted(rows, key=lambda row: row["rank"])[:wanted]:
        for one, other in ((row["row_a"], row["row_b"]), (row["row_b"], row["row_a"])):
            to = Similarity(images.rows[other])
            items.append(Item(one, to, str(images.labels[other]), images.rows[one], row["rank"]))
    return Asked(items, _fewer(len(items) // 2, wanted, "hardest impostor pairs"))


def prototypes(images: Images, how: How) -> Asked:
    """Return images towards the mean embedding of the other images of their label.

    Where the hard ones are asked for, those that are the least similar to it.

    Raises
    ------
    InputError
        If no label has two images.
    NonFiniteError
        If a row is not finite, or all zero.
    """
    unit = images.rows / lengths(images.rows)[:, None]
    names, label = np.unique(np.asarray(images.labels, dtype=object).astype(str), return_inverse=True)
    sums = np.zeros((len(names), unit.shape[1]))
    np.add.at(sums, label, unit)
    others = np.flatnonzero(np.bincount(label)[label] > 1)
    if not len(others):
        raise InputError("no label has two images, so there is no mean of the others; choose another `target`")
    to = sums[label[others]] - unit[others]
    long = np.linalg.norm(to, axis=1)
    cosine = np.divide((to * unit[others]).sum(axis=1), long, out=np.zeros(len(others)), where=long > 0)
    some = _chosen(images, others, cosine, how)
    places = {int(row): place for place, row in enumerate(others)}
    items = [Item(r, Similarity(to[places[r]]), str(images.labels[r]), images.rows[r]) for r in some]
    left = len(unit) - len(others)
    alone = [f"{left:,} images have no other one of their label, and are not explained"] if left else []
    return Asked(items, [*_fewer(len(items), how.most, "images"), *alone])


def predicted(images: Images, classes: Classes, how: How) -> Asked:
    """Return images towards the class that the model gives them; the hard ones are those it is least certain of."""
    names = list(classes.of(images.rows.shape[1]))
    numbers = images.rows.argmax(axis=1)
    return _towards(images, classes, names, dict(enumerate(numbers.tolist())), how)


def labelled(images: Images, classes: Classes, how: How) -> Asked:
    """Return images towards the class of their label; the hard ones are those whose class is most behind another.

    Raises
    ------
    InputError
        If no label is a class.
    """
    known = classes.of(images.rows.shape[1])
    meant = [known.get(classes.label_map.get(label, label)) for label in images.labels]
    numbers = {row: number for row, number in enumerate(meant) if number is not None}
    if not numbers:
        first = ", ".join(sorted(set(images.labels))[:3])
        raise InputError(
            f"no label is the name of a class: found the labels {first}, and the classes {', '.join(list(known)[:3])};"
            " say what labels mean with `label_map`, or choose another `target`"
        )
    asked = _towards(images, classes, list(known), numbers, how)
    left = len(meant) - len(numbers)
    strange = [f"{left:,} images have a label that is no class, and are not explained"] if left else []
    return Asked(asked.items, [*asked.notes, *strange])


def of_class(images: Images, classes: Classes, name: str, how: How) -> Asked:
    """Return images towards one class; the hard ones are those with the highest scores of it.

    Raises
    ------
    InputError
        If there is no such class.
    """
    known = classes.of(images.rows.shape[1])
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or list(known)[:5]
        raise InputError(f"there is no class {name!r} among the {len(known):,} of the model; such as {', '.join(near)}")
    number = known[name]
    some = _chosen(images, np.arange(len(images.rows)), -images.rows[:, number], how)
    target = ClassScore(number, classes.are)
    return Asked([Item(r, target, name, images.rows[r]) for r in some], _fewer(len(some), how.most, "images"))


def _towards(images: Images, classes: Classes, names: Sequence[str], numbers: Mapping[int, int], how: How) -> Asked:
    """Return images towards classes, by row; hard are those whose class is least ahead of the others."""
    rows, own = np.array(list(numbers)), np.array(list(numbers.values()))
    scores = images.rows[rows].astype(np.float64)
    mine = scores[np.arange(len(rows)), own]
    scores[np.arange(len(rows)), own] = -np.inf
    some = _chosen(images, rows, mine - scores.max(axis=1), how)
    items = [Item(r, ClassScore(numbers[r], classes.are), names[numbers[r]], images.rows[r]) for r in some]
    return Asked(items, _fewer(len(items), how.most, "images"))


def _chosen(images: Images, rows: NDArray[np.integer], worth: NDArray[np.floating], how: How) -> list[int]:
    """Return some of the rows: those with the lowest worth first, or labels alike."""
    candidates = rows.tolist()
    if how.choice == "labels":
        digests, labels = ([column[row] for row in candidates] for column in (images.digests, images.labels))
        return [candidates[n] for n in choose(digests, labels, how.most, Sampling.LABELS, how.seed).rows.tolist()]
    by_worth = sorted(zip(worth.tolist(), candidates, strict=True), key=lambda one: (one[0], images.digests[one[1]]))
    return [row for _, row in by_worth[: how.most]]


def _fewer(found: int, asked: int, what: str) -> list[str]:
    return [f"{found:,} {what} are explained: {asked:,} were asked for, and there are no more"] if found < asked else []
