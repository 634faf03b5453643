"""Calibration: each number by brute force, and by scikit-learn where it has it."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics

import evaljobs
from evaljobs.classification.calibration import Calibration
from evaljobs.errors import InputError

Draw = Callable[..., Any]
Softmax = Callable[[NDArray[np.float32]], NDArray[np.float64]]


def calibration(scores: Any, labels: Any, are: str, bins: int = 15) -> Calibration:
    found = evaljobs.classify(scores, labels, scores_are=are, bins=bins).calibration
    assert found is not None
    return found


def errors_by_hand(probabilities: NDArray[np.float64], labels: NDArray[np.int64], bins: int) -> tuple[float, float]:
    """Return ECE and MCE, bin by bin and image by image, as the definition has them."""
    gaps = []
    for low, high in ((i / bins, (i + 1) / bins) for i in range(bins)):
        inside = [
            (max(p), p.index(max(p)) == label)
            for p, label in zip(probabilities.tolist(), labels.tolist(), strict=True)
            if low < max(p) <= high
        ]
        if inside:
            confidence = sum(c for c, _ in inside) / len(inside)
            accuracy = sum(right for _, right in inside) / len(inside)
            gaps.append((len(inside), abs(accuracy - confidence)))
    assert sum(n for n, _ in gaps) == len(labels)
    return sum(n * gap for n, gap in gaps) / len(labels), max(gap for _, gap in gaps)


@pytest.mark.parametrize(("n", "k", "bins"), [(500, 3, 15), (500, 3, 1), (200, 50, 10), (3, 2, 100)])
def test_calibration_is_that_of_the_definitions(draw: Draw, softmax: Softmax, n: int, k: int, bins: int) -> None:
    """ECE and MCE bin by bin; Brier score and log loss as scikit-learn has them; of logits by a softmax in float64."""
    drawn = draw(n, k, seed=n + k, skill=1.0)
    probabilities = softmax(drawn.scores)
    found = calibration(drawn.scores, drawn.labels, "logits", bins)
    ece, mce = errors_by_hand(probabilities, drawn.labels, bins)
    assert found.ece == pytest.approx(ece, rel=1e-12)
    assert found.mce == pytest.approx(mce, rel=1e-12)
    assert found.nll == pytest.approx(metrics.log_loss(drawn.labels, probabilities, labels=range(k)), rel=1e-12)
    brier = metrics.brier_score_loss(drawn.labels, probabilities, labels=range(k), scale_by_half=False)
    assert found.brier == pytest.approx(brier, rel=1e-12)
    assert found.mean_confidence == pytest.approx(probabilities.max(1).mean(), rel=1e-12)
    assert found.n_samples.sum() == n


def test_probabilities_are_taken_as_they_are(draw: Draw, softmax: Softmax) -> None:
    """They are the same numbers as their logits give, within the float32 that they are kept in."""
    drawn = draw(300, 5)
    of_logits = calibration(drawn.scores, drawn.labels, "logits")
    of_probabilities = calibration(softmax(drawn.scores), drawn.labels, "probabilities")
    for name in ("ece", "mce", "brier", "nll", "mean_confidence"):
        assert getattr(of_probabilities, name) == pytest.approx(getattr(of_logits, name), rel=1e-5), name


def test_a_confidence_on_an_edge_belongs_to_the_bin_below() -> None:
    """Bins are open below and closed above, to the last bit."""
    confidence = np.float32([0.5, 0.75, np.nextafter(np.float32(0.75), np.float32(1)), 1.0])
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    found = calibration(probabilities, [0] * 4, "probabilities", bins=4)
    assert found.n_samples.tolist() == [0, 1, 1, 2]
    assert np.isnan(found.confidence[0])


def test_an_impossible_class_has_no_likelihood() -> None:
    """Where the right class has the probability 0 the log loss is infinite: null, and the images are counted."""
    found = calibration([[1, 0], [0.5, 0.5], [1, 0]], [1, 0, 0], "probabilities")
    assert (found.nll, found.n_impossible) == (None, 1)
    assert found.to_json()["nll"] is None
    assert found.brier == pytest.approx((2 + 0.5 + 0) / 3)


def test_logits_of_any_size_have_a_likelihood() -> None:
    """Huge logits neither overflow nor turn into the probability 0 of the right class."""
    found = calibration([[3e38, -3e38], [0, 1000]], [1, 1], "logits")
    assert found.n_impossible == 0
    assert found.nll == pytest.approx(3e38, rel=1e-6)
    assert math.isfinite(found.brier)


def test_sums_are_rounded_once(draw: Draw) -> None:
    """The mean of the negative log-likelihoods is the float nearest to the exact mean of what each image has."""
    drawn = draw(100, 4)
    alone = [
        calibration(row[None], [label], "logits").nll for row, label in zip(drawn.scores, drawn.labels, strict=True)
    ]
    exact = sum((Fraction(value) for value in alone if value is not None), Fraction(0)) / len(alone)
    assert calibration(drawn.scores, drawn.labels, "logits").nll == float(exact)


def test_without_a_scale_there_is_no_calibration(draw: Draw) -> None:
    """Nobody guesses whether scores are logits: it is said, and all else is found."""
    drawn = draw(50, 3)
    found = evaljobs.classify(drawn.scores, drawn.labels, mistakes=5)
    assert found.calibration is None
    assert set(found.tables()) == {"classes", "confusion"}
    assert any("scores_are" in note for note in found.notes)
    assert found.accuracy == evaljobs.classify(drawn.scores, drawn.labels, scores_are="logits").accuracy


BAD = [
    ([[0.5, 0.6]], "do not add up to 1"),
    ([[0.5, 0.4]], "0.9"),
    ([[1.5, -0.5]], "from -0.5 to 1.5"),
    ([[3.0, -2.0]], "scores_are: logits"),
    ([[0.2, 0.3, 0.4]], "row 0"),
]


@pytest.mark.parametrize(("scores", "said"), BAD)
def test_what_is_no_probability_is_refused(scores: list[list[float]], said: str) -> None:
    """Numbers outside [0, 1], or that do not add up to 1, are refused as such, with what to do."""
    with pytest.raises(InputError, match="probabilities") as caught:
        calibration(scores, [0], "probabilities")
    assert said in str(caught.value)


def test_half_precision_adds_up(draw: Draw, softmax: Softmax) -> None:
    """What a softmax in half precision gives is a probability."""
    drawn = draw(200, 30)
    found = calibration(softmax(drawn.scores).astype(np.float16), drawn.labels, "probabilities")
    assert found.ece == pytest.approx(calibration(drawn.scores, drawn.labels, "logits").ece, abs=1e-3)


def test_the_reliability_table_has_every_bin(draw: Draw) -> None:
    """Empty bins are there, with null for what they have not."""
    drawn = draw(40, 3, skill=9)
    found = evaljobs.classify(drawn.scores, drawn.labels, scores_are="logits", bins=8)
    rows = found.tables()["reliability"].to_pylist()
    assert [row["confidence_above"] for row in rows] == [i / 8 for i in range(8)]
    assert sum(row["n_samples"] for row in rows) == 40
    empty = [row for row in rows if not row["n_samples"]]
    assert empty
    assert {(row["mean_confidence"], row["accuracy"]) for row in empty} == {(None, None)}
    assert found.calibration is not None
    gaps = [row["n_samples"] * abs(row["accuracy"] - row["mean_confidence"]) for row in rows if row["n_samples"]]
    assert found.calibration.ece == pytest.approx(sum(gaps) / 40, rel=1e-12)
