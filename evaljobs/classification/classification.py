"""The public door: classify images by their class scores, and say how good that is."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evaljobs.classification import tables
from evaljobs.classification.asked import Asked, digest_of
from evaljobs.classification.calibration import Calibration, calibration_of
from evaljobs.classification.count import Cells, Counting, Counts, Mistakes
from evaljobs.classification.groups import keys_of_ids
from evaljobs.classification.metrics import Average, PerClass, balanced_accuracy, macro, micro, weighted
from evaljobs.classification.replicates import Intervals, replicate
from evaljobs.classification.samples import Samples, Setting, prepare
from evaljobs.classification.scale import scale_of
from evaljobs.errors import InputError, UsageError
from evaljobs.pairs.given import checked_groups, integer, values
from evaljobs.pairs.intervals import interval

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Average", "Calibration", "Classification", "Intervals", "PerClass", "TopK", "classify"]

GROUPS = 20
BINS = 15  # Guo et al. (2017)
TOP_K = (1, 5)
MAX_BINS, MAX_MISTAKES = 1000, 10_000

Interval = tuple[float, float] | None


@dataclasses.dataclass(frozen=True)
class TopK:
    """How often the right class is among the k with the highest scores."""

    k: int
    n_correct: int
    accuracy: float
    accuracy_ci: Interval


@dataclasses.dataclass(frozen=True)
class Classification:
    """How good the classes are that are predicted. Intervals are of 95%, and None where there is none.

    Attributes
    ----------
    classes
        The names of the k classes, in the order of the scores.
    scores_are
        `logits`, `probabilities`, or None where that is not known: then there is no calibration.
    n_samples, n_correct
        Images that take part, and those whose class has the highest score.
    n_tied
        Images whose highest score several classes have; the one with the lowest number is predicted.
    accuracy, accuracy_ci
        The share that is right.
    balanced_accuracy, balanced_accuracy_ci
        The mean recall of the classes that have images.
    top_k
        By rising k, each below the number of classes.
    per_class
        Images, precision, recall and F1 of each class.
    macro, weighted, micro
        Averages over the classes: each alike, each by its images, and of all counts together.
    macro_f1_ci
        Of `macro.f1`.
    calibration
        None where it is not known what the scores are.
    intervals
        What the intervals follow from; None where there are none.
    asked
        What is asked about the set, whatever the model knows of it.
    excluded
        How many images were left out, by label: labels that the model does not know.
    notes
        What was assumed or changed about the input.
    cells, mistakes
        Of the confusion matrix those that are not 0; and the most confident mistakes.
    """

    classes: tuple[str, ...]
    scores_are: str | None
    n_samples: int
    n_correct: int
    n_tied: int
    accuracy: float
    accuracy_ci: Interval
    balanced_accuracy: float | None
    balanced_accuracy_ci: Interval
    top_k: tuple[TopK, ...]
    per_class: PerClass = dataclasses.field(compare=False, repr=False)
    macro: Average
    weighted: Average
    micro: Average
    macro_f1_ci: Interval
    calibration: Calibration | None = dataclasses.field(compare=False, repr=False)
    intervals: Intervals | None
    asked: Asked
    excluded: Mapping[str, int]
    notes: tuple[str, ...]
    cells: Cells = dataclasses.field(compare=False, repr=False)
    mistakes: Mistakes | None = dataclasses.field(compare=False, repr=False)

    def confusion(self) -> NDArray[np.int64]:
        """Return the confusion matrix ``[k, k]`` int64: images by right class (row) and predicted class (column)."""
        k = len(self.classes)
        matrix = np.zeros(k * k, np.int64)
        matrix[self.cells.number] = self.cells.count
        return matrix.reshape(k, k)

    def to_json(self) -> dict[str, Any]:
        """Return the result as it stands in results.json: valid JSON, undefined is null."""
        return {
            "n_samples": self.n_samples,
            "n_classes": len(self.classes),
            "n_classes_with_samples": int((self.per_class.n_samples > 0).sum()),
            "n_correct": self.n_correct,
            "n_tied": self.n_tied,
            "scores_are": self.scores_are,
            "accuracy": self.accuracy,
            "accuracy_ci": _ends(self.accuracy_ci),
            "balanced_accuracy": self.balanced_accuracy,
            "balanced_accuracy_ci": _ends(self.balanced_accuracy_ci),
            "top_k": [{**dataclasses.asdict(top), "accuracy_ci": _ends(top.accuracy_ci)} for top in self.top_k],
            "macro": self.macro._asdict(),
            "macro_f1_ci": _ends(self.macro_f1_ci),
            "weighted": self.weighted._asdict(),
            "micro": self.micro._asdict(),
            "calibration": None if self.calibration is None else self.calibration.to_json(),
            "intervals": None if self.intervals is None else self.intervals.to_json(),
            "asked": self.asked.to_json(),
            "excluded": {
                "n_samples": sum(self.excluded.values()),
                "n_labels": len(self.excluded),
                "digest": digest_of(sorted(self.excluded)) if self.excluded else None,
            },
            "notes": list(self.notes),
        }

    def tables(self) -> dict[str, pa.Table]:
        """Return all tables by name: classes and confusion; with calibration, reliability and mistakes too."""
        found = {
            "classes": tables.classes_table(self.classes, self.per_class),
            "confusion": tables.confusion_table(self.classes, self.cells),
        }
        if self.calibration is not None:
            found["reliability"] = tables.reliability_table(self.calibration)
        if self.mistakes is not None:
            found["mistakes"] = tables.mistakes_table(self.classes, self.mistakes)
        return found


def classify(  # noqa: PLR0913 - the public signature
    scores: object,
    labels: object,
    classes: Sequence[object] | None = None,
    *,
    scores_are: str | None = None,
    top_k: Sequence[int] = TOP_K,
    bins: int = BINS,
    groups: int = GROUPS,
    label_map: Mapping[str, str] | None = None,
    missing: str = "refuse",
    mistakes: int = 0,
    ids: Sequence[object] | None = None,
) -> Classification:
    """Predict for each image the class with the highest score, and compare it with its label.

    Counts are exact, and sums are rounded once: the result is the same for any order of the images.

    Parameters
    ----------
    scores
        ``[n, k]`` real numbers: a score for each class. What float32 cannot hold is rounded to it, and noted.
    labels
        ``n`` texts, which are names of classes; or integers, the numbers of the classes from 0.
    classes
        The names of the classes, in the order of the scores.
    scores_are
        `logits` (a softmax makes them probabilities) or `probabilities`; without it there is no calibration.
    top_k
        For which k it is counted how often the right class is among the best k; those below the number of classes.
    bins
        Of the reliability diagram and ECE: bins of equal width.
    groups
        Of how many groups of images one is left out at a time for the intervals; 0 for no intervals.
    label_map
        The class that a label means, by label; other labels mean what they say.
    missing
        `refuse` labels that are no class, or `exclude` their images.
    mistakes
        How many of the most confident mistakes are kept.
    ids
        ``n`` names of the images, by which groups are made: equal ones are of one group, and two models leave out the
        same ones. By row where absent.

    Raises
    ------
    InputError
        If scores, labels, classes or a number are not what is expected.
    NonFiniteError
        If a score is not finite; with how many and the first rows.
    UsageError
        If `scores_are` or `missing` is none of its words.
    """
    if not isinstance(missing, str) or missing not in {"refuse", "exclude"}:
        raise UsageError(f"found missing={missing!r}; expected 'refuse' or 'exclude'")
    groups = checked_groups(groups)
    bins, mistakes = integer(bins, "bins", 1, MAX_BINS), integer(mistakes, "mistakes", 0, MAX_MISTAKES)
    setting = Setting(
        classes, _map(label_map), missing == "exclude", None if scores_are is None else scale_of(scores_are), groups
    )
    named = range(_length(labels)) if ids is None else values(ids, "ids")
    samples = prepare(scores, labels, keys_of_ids(named), setting)
    work = counting(samples, top_k, bins, mistakes)
    return conclude(samples, work, work.run(samples, range(samples.n)))


def counting(samples: Samples, top_k: Sequence[int], bins: int, mistakes: int) -> Counting:
    """Return the pass over the images that counts all that is asked for."""
    ks = {integer(k, "k in top_k", 1) for k in values(top_k, "top_k", "a list of integers from 1")}
    width = len(samples.classes)
    return Counting(samples.n, width, tuple(sorted(k for k in ks if k < max(width, 2))), bins, mistakes)


def conclude(samples: Samples, work: Counting, counts: Counts) -> Classification:
    """Put the result together from what was counted on all images."""
    per_class = PerClass(*counts.by_class.sum(axis=0))
    correct = int(per_class.n_correct.sum())
    found = replicate(counts)  # where no groups are made there is one replicate, of no images: too few for an interval
    averages = macro(per_class), weighted(per_class), micro(per_class)
    balanced = balanced_accuracy(per_class)
    return Classification(
        classes=samples.classes,
        scores_are=None if samples.scale is None else str(samples.scale),
        n_samples=samples.n,
        n_correct=correct,
        n_tied=counts.n_tied,
        accuracy=correct / samples.n,
        accuracy_ci=interval(correct / samples.n, found.accuracy),
        balanced_accuracy=balanced,
        balanced_accuracy_ci=interval(balanced, found.balanced_accuracy),
        top_k=_top(work.top, counts.top.sum(axis=0).tolist(), samples.n, found),
        per_class=per_class,
        macro=averages[0],
        weighted=averages[1],
        micro=averages[2],
        macro_f1_ci=interval(averages[0].f1, found.macro_f1),
        calibration=None if counts.calibrating is None else calibration_of(counts.calibrating),
        intervals=found if samples.n_groups else None,
        asked=samples.asked,
        excluded=samples.excluded,
        notes=samples.notes,
        cells=counts.cells,
        mistakes=counts.mistakes if counts.mistakes is not None and counts.mistakes.most else None,
    )


def _top(ks: tuple[int, ...], correct: list[int], n: int, found: Intervals) -> tuple[TopK, ...]:
    cis = [interval(c / n, found.top_k[place]) for place, c in enumerate(correct)]
    return tuple(TopK(k, c, c / n, ci) for k, c, ci in zip(ks, correct, cis, strict=True))


def _length(labels: object) -> int:
    """Return how many labels there are; 0 for what is no list of them, and refused as such."""
    try:
        return len(labels)  # type: ignore[arg-type]  # whatever it is
    except TypeError:
        return 0


def _map(label_map: object) -> Mapping[str, str]:
    if label_map is not None and not isinstance(label_map, Mapping):
        raise InputError(f"found label_map of type {type(label_map).__name__}; expected names of classes by label")
    return label_map or {}


def _ends(ends: Interval) -> list[float] | None:
    return None if ends is None else list(ends)
