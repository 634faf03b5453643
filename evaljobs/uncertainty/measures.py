"""The measures of uncertainty: larger is less certain."""

from __future__ import annotations

import enum
from typing import Final, NamedTuple


class Measure(enum.StrEnum):
    """What an image's uncertainty is measured by."""

    ENTROPY = "entropy"
    DOUBT = "doubt"
    PREDICTIVE_ENTROPY = "predictive_entropy"
    EXPECTED_ENTROPY = "expected_entropy"
    MUTUAL_INFORMATION = "mutual_information"
    VARIANCE = "variance"
    DISAGREEMENT = "disagreement"
    DISTANCE = "distance"
    FARTHEST = "farthest"


class About(NamedTuple):
    """What a measure is called, and what it is."""

    title: str
    meaning: str


ABOUT: Final[dict[Measure, About]] = {
    Measure.ENTROPY: About("softmax entropy", "of the class probabilities, divided by the logarithm of their number"),
    Measure.DOUBT: About("1 - confidence", "1 less the probability of the predicted class"),
    Measure.PREDICTIVE_ENTROPY: About(
        "predictive entropy", "of the mean probabilities of all passes, divided by the logarithm of the classes"
    ),
    Measure.EXPECTED_ENTROPY: About(
        "expected entropy", "the mean of the passes' entropies, divided by the logarithm of the classes"
    ),
    Measure.MUTUAL_INFORMATION: About(
        "mutual information", "predictive less expected entropy: how much the passes contradict each other"
    ),
    Measure.VARIANCE: About("variance", "of the probabilities over the passes, summed over the classes"),
    Measure.DISAGREEMENT: About(
        "disagreement", "share of the passes that predict another class than the mean probabilities"
    ),
    Measure.DISTANCE: About("distance", "mean cosine distance to the k nearest reference images"),
    Measure.FARTHEST: About("k-th distance", "cosine distance to the k-th nearest reference image"),
}
# What follows from class scores, from passes with dropout, and from embeddings; the first of each leads.
OF_SCORES: Final = (Measure.ENTROPY, Measure.DOUBT)
OF_PASSES: Final = (
    Measure.PREDICTIVE_ENTROPY,
    Measure.MUTUAL_INFORMATION,
    Measure.EXPECTED_ENTROPY,
    Measure.VARIANCE,
    Measure.DISAGREEMENT,
)
OF_EMBEDDINGS: Final = (Measure.DISTANCE, Measure.FARTHEST)
