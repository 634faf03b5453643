"""The images of several sets by every measure, and whether the model is right about them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaljobs.classification.classes import match
from evaljobs.pairs.labels import factorise
from evaljobs.uncertainty.measures import OF_EMBEDDINGS, OF_PASSES, OF_SCORES, Measure
from evaljobs.uncertainty.neighbours import Near
from evaljobs.uncertainty.passes import measures_of
from evaljobs.uncertainty.scored import Scored
from evaljobs.uncertainty.sets import Answers, Bools, Part, Parts, cut_at
from evaljobs.uncertainty.softmax import Int64

Matrix = NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Labels:
    """How labels become classes: their names, what labels mean, and what happens to labels that are none."""

    classes: tuple[str, ...] | None
    label_map: Mapping[str, str]
    missing: str


def judged_parts(
    samples: Scored, found: tuple[NDArray[Any], ...], labels: Mapping[str, Sequence[str]], how: Labels
) -> Parts:
    """Return the sets with every measure of class scores, and of passes where there are any.

    Parameters
    ----------
    found
        ``[n]`` each: class, entropy, 1 - confidence, of all images.
    labels
        By role.

    Raises
    ------
    InputError
        If labels are no classes, and are not to be left out.
    """
    predicted, *values = found
    of = dict(zip(OF_SCORES, values, strict=True))
    by_measure: dict[Measure, Int64] = dict.fromkeys(OF_SCORES, predicted)
    if samples.passes is not None:
        together = measures_of(samples.passes)
        of |= together.of
        by_measure |= dict.fromkeys(OF_PASSES, together.predicted)
    made: dict[str, Part] = {}
    notes: dict[str, None] = {}
    excluded: Counter[str] = Counter()
    names = how.classes or tuple(str(number) for number in range(samples.n_classes))
    for role, place in samples.places.items():
        truth, said = _truth(labels[role], samples.n_classes, how) if not role.startswith("foreign") else (None, ())
        notes |= dict.fromkeys(said)
        n = place.stop - place.start
        kept = np.arange(n) if truth is None else np.flatnonzero(truth >= 0)
        if len(kept) < n and truth is not None:
            excluded.update(labels[role][row] for row in np.flatnonzero(truth < 0).tolist())
        made[role] = Part(
            kept,
            [labels[role][row] for row in kept.tolist()],
            {measure: column[place][kept] for measure, column in of.items()},
            _answers(by_measure, place, kept, truth, names),
        )
    return Parts(made, tuple(notes), excluded)


def _answers(
    by_measure: Mapping[Measure, Int64], place: slice, kept: Int64, truth: Int64 | None, names: Sequence[str]
) -> dict[Measure, Answers]:
    made: dict[int, Answers] = {}
    for classes in by_measure.values():
        if id(classes) not in made:
            own = classes[place][kept]
            right = None if truth is None else own == truth[kept]
            made[id(classes)] = Answers([names[number] for number in own.tolist()], right)
    return {measure: made[id(classes)] for measure, classes in by_measure.items()}


def _truth(labels: Sequence[str], width: int, how: Labels) -> tuple[Int64 | None, tuple[str, ...]]:
    """Return the class of each label, -1 for those that are left out; None where nobody asks."""
    if how.missing == "ignore":
        return None, ("nobody asks whether the models are right (`missing: ignore`)",)
    codes, names = factorise(labels)
    matched = match(names, how.classes, width, how.label_map, exclude=how.missing == "exclude")
    truth = np.array(matched.numbers, np.int64)[codes]
    left_out = int((truth < 0).sum())
    said = (f"{left_out:,} image(s) are left out, whose labels the model does not know",) if left_out else ()
    return truth, (*matched.notes, *said)


def near_parts(near: Near, labels: Mapping[str, Sequence[str]], reference: Sequence[str]) -> Parts:
    """Return the sets by their distance to reference images; what is predicted is the label of the nearest.

    Parameters
    ----------
    near
        Of the images of all sets, one set after the other.
    labels, reference
        By role, and of the reference images.
    """
    known = {*reference}
    made: dict[str, Part] = {}
    notes: list[str] = []
    for role, place in cut_at({role: len(several) for role, several in labels.items()}).items():
        own = labels[role]
        predicted = [reference[row] for row in near.nearest[place].tolist()]
        right: Bools | None = None
        if not role.startswith("foreign"):
            strange = sum(label not in known for label in own)
            if strange < len(own):
                right = np.array([a == b for a, b in zip(predicted, own, strict=True)])
            if strange:
                said = "nobody can be right about them" if strange < len(own) else "it is not asked whether it is right"
                notes.append(
                    f"{strange:,} of {len(own):,} images ({role}) have a label that no reference image has: {said}"
                )
        values = {
            Measure.DISTANCE: near.distance[place],
            Measure.FARTHEST: near.farthest[place],
        }
        made[role] = Part(np.arange(len(own)), own, values, dict.fromkeys(OF_EMBEDDINGS, Answers(predicted, right)))
    return Parts(made, tuple(notes))
