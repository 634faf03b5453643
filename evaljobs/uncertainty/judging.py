"""An evaluation from what a model gave for several sets: each image by every measure, and what those are worth."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evaljobs.classification.classes import match
from evaljobs.classification.groups import Keys
from evaljobs.classification.measure import Scale
from evaljobs.classification.samples import as_scores
from evaljobs.classification.scale import refuse_non_finite, refuse_other_than, settled
from evaljobs.errors import InputError
from evaljobs.pairs.labels import factorise
from evaljobs.uncertainty.assessment import UncertainImages, Uncertainty, assess_uncertainty
from evaljobs.uncertainty.measures import OF_EMBEDDINGS, OF_PASSES, OF_SCORES, Measure
from evaljobs.uncertainty.neighbours import Near
from evaljobs.uncertainty.passes import measures_of
from evaljobs.uncertainty.placed import Placed, cut
from evaljobs.uncertainty.sets import KNOWN, Answers, Bools, Part, Parts, cut_at
from evaljobs.uncertainty.softmax import Int64, judge
from evaljobs.uncertainty.tables import coverage_table, histogram_table, images_table, roc_table

Matrix = NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Asked:
    """What is asked of the measures: see `evaljobs.uncertainty.assessment.assess_uncertainty`.

    A threshold that is given is one of the leading measure; those of the others follow from the share.
    """

    measures: tuple[Measure, ...]
    leading: Measure
    threshold: float | None
    share: float
    groups: int
    bins: int


@dataclasses.dataclass(frozen=True)
class Labels:
    """How labels become classes: their names, what labels mean, and what happens to labels that are none."""

    classes: tuple[str, ...] | None
    label_map: Mapping[str, str]
    missing: str


@dataclasses.dataclass(frozen=True)
class Scored:
    """What a model gave for all sets, one after the other; handed to every task.

    Attributes
    ----------
    scores
        ``[n, k]`` float32, finite.
    passes
        ``[n, k + 5]`` float32, what is kept of passes with dropout (`evaljobs.uncertainty.passes`); None without any.
    scale
        What the scores are.
    places
        By role: where its images lie.
    """

    scores: NDArray[np.float32]
    passes: NDArray[np.float32] | None
    scale: Scale
    places: Mapping[str, slice]

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return int(self.scores.shape[1])

    @property
    def n_pairs(self) -> int:
        """Number of pairs that are compared: none, each image is judged by itself."""
        return 0


@dataclasses.dataclass(frozen=True)
class Judging:
    """The pass over the images of all sets."""

    n: int

    def parts(self, at_least: int) -> list[range]:
        """Cut the images."""
        return cut(self.n, 2**14, at_least)

    def pairs(self, part: range, /) -> int:
        """Return how many pairs a part compares: none."""
        del part
        return 0

    def run(self, samples: Scored, part: range, onto: Placed | None = None) -> Placed:
        """Judge some images: class, entropy, 1 - confidence."""
        found = Placed({part.start: tuple(judge(samples.scores[part.start : part.stop], samples.scale))})
        return found if onto is None else onto + found


def prepare_scores(
    scored: Mapping[str, tuple[Matrix, Matrix | None]], scores_are: str | None, *, told: bool
) -> tuple[Scored, Judging]:
    """Check what a model gave.

    Parameters
    ----------
    scored
        By role: ``[n, k]`` class scores, and ``[n, k + 5]`` of passes or None.
    scores_are
        What they are; `told`, whether somebody says so. What was guessed is checked.

    Raises
    ------
    InputError
        If they are not that, or it is not known what they are.
    NonFiniteError
        If one is not finite; rows of a later set are counted after those of an earlier one.
    """
    scores = as_scores(np.concatenate([of_role for of_role, _ in scored.values()]))[0]
    refuse_non_finite(scores)
    guess = None if scores_are is None else Scale(scores_are)
    scale = guess if told else settled(scores, guess)[0]
    if scale is None:
        raise InputError(
            "it is not known whether the class scores are logits or probabilities, and uncertainty depends on it; say "
            "`scores_are` in the model's entry"
        )
    refuse_other_than(scale, scores)
    passes = [several for _, several in scored.values() if several is not None]
    kept = np.concatenate(passes) if passes else None
    if kept is not None:
        refuse_non_finite(kept)
    places = cut_at({role: len(of_role) for role, (of_role, _) in scored.items()})
    return Scored(scores, kept, scale, places), Judging(len(scores))


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
    names = how.classes or tuple(str(number) for number in range(samples.n_classes))
    for role, place in samples.places.items():
        truth, said = _truth(labels[role], samples.n_classes, how) if not role.startswith("foreign") else (None, ())
        notes |= dict.fromkeys(said)
        n = place.stop - place.start
        kept = np.arange(n) if truth is None else np.flatnonzero(truth >= 0)
        made[role] = Part(
            kept,
            [labels[role][row] for row in kept.tolist()],
            {measure: column[place][kept] for measure, column in of.items()},
            _answers(by_measure, place, kept, truth, names),
        )
    return Parts(made, tuple(notes))


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


def conclude(
    parts: Parts, keys: Mapping[str, Keys], changed: Mapping[str, Bools | None], asked: Asked
) -> tuple[dict[str, Any], dict[str, pa.Table]]:
    """Return what every measure is worth, as JSON, and the tables.

    Parameters
    ----------
    parts
        The sets.
    keys, changed
        By role, of all images of the set: their digests, and whether a view changed them.
    asked
        What is asked.

    Raises
    ------
    InputError
        If no image takes part.
    """
    found = {measure: _assess(measure, parts, keys, changed, asked) for measure in asked.measures}
    values = {str(m): {role: part.values[m] for role, part in parts.of.items()} for m in asked.measures}
    foreign = [role for role in parts.of if role.startswith("foreign")]
    curves = {
        str(m): {KNOWN: u.known.coverage, **{r: c.coverage for r, c in u.corrupted.items()}} for m, u in found.items()
    }
    result = {
        "n_samples": len(parts.of[KNOWN].rows),
        "measure": str(asked.leading),
        "positive": "foreign",
        "measures": {str(measure): one.to_json() for measure, one in found.items()},
        "notes": list(parts.notes),
    }
    tables = {
        "images": _images(parts, changed, asked),
        "histogram": histogram_table(values, asked.bins),
        "risk_coverage": coverage_table(curves),
        "roc": roc_table(values, KNOWN, foreign),
    }
    return result, tables


def _assess(
    measure: Measure, parts: Parts, keys: Mapping[str, Keys], changed: Mapping[str, Bools | None], asked: Asked
) -> Uncertainty:
    def images(role: str) -> UncertainImages:
        part = parts.of[role]
        of_view = changed[role]
        own = None if of_view is None else of_view[part.rows]
        return UncertainImages(part.values[measure], part.answers[measure].right, own, keys[role][part.rows])

    roles = {kind: [role for role in parts.of if role.startswith(kind)] for kind in ("corrupted", "foreign")}
    return assess_uncertainty(
        images(KNOWN),
        corrupted={role: images(role) for role in roles["corrupted"]},
        foreign={role: images(role) for role in roles["foreign"]},
        threshold=asked.threshold if measure is asked.leading else None,
        share=asked.share,
        groups=asked.groups,
    )


def _images(parts: Parts, changed: Mapping[str, Bools | None], asked: Asked) -> pa.Table:
    """Return a row for each image: its set, label, what is predicted, whether that is right, and every measure."""
    return images_table({role: _columns(part, changed[role], asked) for role, part in parts.of.items()})


def _columns(part: Part, changed: Bools | None, asked: Asked) -> dict[str, Any]:
    answers = part.answers
    single = Measure.ENTROPY if Measure.ENTROPY in answers else asked.leading
    columns: dict[str, Any] = {
        "row": part.rows,
        "label": part.labels,
        "predicted": answers[single].predicted,
        "right": answers[single].right,
    }
    if Measure.PREDICTIVE_ENTROPY in answers:
        together = answers[Measure.PREDICTIVE_ENTROPY]
        columns |= {"predicted_passes": together.predicted, "right_passes": together.right}
    columns["changed"] = None if changed is None else changed[part.rows]
    return columns | {str(measure): part.values[measure] for measure in asked.measures}
