"""Entropies, passes and distances, against scipy, plain formulas and counting everything."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import entropy

from evaljobs.classification.measure import Scale
from evaljobs.errors import InputError, NonFiniteError, UsageError
from evaljobs.uncertainty.assessment import UncertainImages, assess_uncertainty
from evaljobs.uncertainty.measures import ABOUT, OF_PASSES, Measure
from evaljobs.uncertainty.measuring import dropout_uncertainty, softmax_entropy
from evaljobs.uncertainty.neighbours import Searching, neighbour_distances, prepare
from evaljobs.uncertainty.passes import Spread, measures_of, summarise
from evaljobs.uncertainty.softmax import judge


def logits(*shape: int) -> np.ndarray:
    """Return class scores as a model gives them."""
    return (3 * np.random.default_rng(0).normal(size=shape)).astype(np.float32)


def test_entropy_is_that_of_scipy_over_log_of_the_classes() -> None:
    """The scale is the number of classes, and nothing else: 0 for one sure class, 1 where all are alike."""
    scores = logits(500, 7)
    expected = entropy(softmax(scores.astype(float), axis=1), axis=1) / np.log(7)
    assert softmax_entropy(scores, scores_are="logits") == pytest.approx(expected, abs=1e-12)
    p = softmax(scores.astype(float), axis=1).astype(np.float32)
    assert softmax_entropy(p, scores_are="probabilities") == pytest.approx(expected, abs=1e-6)


def test_ends_of_the_scale_are_reached_exactly() -> None:
    """A sure image has 0 and not -0 or 1e-17; equal classes have 1 and not more."""
    ends = judge(np.array([[1000, 0, 0], [4, 4, 4]], np.float32), Scale.LOGITS)
    assert ends.entropy.tolist() == [0.0, pytest.approx(1.0, abs=1e-15)]
    assert ends.entropy.max() <= 1
    assert not np.signbit(ends.entropy).any()
    assert ends.doubt.tolist() == [0.0, pytest.approx(2 / 3)]


def test_rows_do_not_depend_on_their_company() -> None:
    """An image has the same bytes alone and among others, so that work may be cut anywhere."""
    scores = logits(300, 1000)
    whole = judge(scores, Scale.LOGITS)
    alone = [judge(scores[i : i + 1], Scale.LOGITS) for i in range(300)]
    assert whole.entropy.tobytes() == np.concatenate([one.entropy for one in alone]).tobytes()
    assert whole.doubt.tobytes() == np.concatenate([one.doubt for one in alone]).tobytes()


def test_passes_follow_their_formulas() -> None:
    """Predictive, expected entropy, mutual information and variance are what the papers define."""
    passes = logits(40, 60, 5)
    found = summarise(passes, Scale.LOGITS)
    p = softmax(passes.astype(float), axis=2)
    mean = p.mean(axis=0)
    predictive = entropy(mean, axis=1) / np.log(5)
    expected = (entropy(p, axis=2) / np.log(5)).mean(axis=0)
    oracle = {
        Measure.PREDICTIVE_ENTROPY: predictive,
        Measure.EXPECTED_ENTROPY: expected,
        Measure.MUTUAL_INFORMATION: predictive - expected,
        Measure.VARIANCE: p.var(axis=0).sum(axis=1),
        Measure.DISAGREEMENT: (p.argmax(axis=2) != mean.argmax(axis=1)).mean(axis=0),
    }
    assert set(oracle) == set(OF_PASSES) == set(found.of)
    for measure, values in oracle.items():
        assert found.of[measure] == pytest.approx(values, abs=1e-6), measure
    assert found.predicted.tolist() == mean.argmax(axis=1).tolist()
    # The variance is what the Gini index loses, as the mutual information is what the entropy loses.
    gini = (1 - (mean**2).sum(axis=1)) - (1 - (p**2).sum(axis=2)).mean(axis=0)
    assert found.of[Measure.VARIANCE] == pytest.approx(gini, abs=1e-6)


def test_equal_passes_have_no_spread_at_all() -> None:
    """A model that says the same every time is exactly 0, not nearly: nobody reads noise as doubt."""
    found = summarise(np.repeat(logits(1, 50, 6), 33, axis=0), Scale.LOGITS)
    for measure in (Measure.MUTUAL_INFORMATION, Measure.VARIANCE, Measure.DISAGREEMENT):
        assert found.of[measure].tolist() == [0.0] * 50


def test_kept_row_does_not_grow_with_the_passes() -> None:
    """A hundred passes of a thousand classes take as much of the store as two."""
    few, many = Spread(Scale.LOGITS), Spread(Scale.LOGITS)
    for _ in range(2):
        few.add(logits(3, 1000))
    for _ in range(100):
        many.add(logits(3, 1000))
    assert few.rows().nbytes == many.rows().nbytes == 3 * (1000 + 5) * 4
    assert measures_of(many.rows()).predicted.shape == (3,)


@pytest.mark.parametrize("block", [1, 7, 50])
def test_neighbours_are_those_of_comparing_everything(block: int) -> None:
    """The filter leaves nobody out, ties and equal images included, however the queries are cut."""
    rng = np.random.default_rng(6)
    reference = rng.normal(size=(200, 16)).astype(np.float32)
    reference[100:140] = reference[:40] * np.float32(4)  # equal directions
    queries = np.concatenate([rng.normal(size=(40, 16)).astype(np.float32), reference[:10]])
    unit = [m.astype(float) / np.linalg.norm(m.astype(float), axis=1, keepdims=True) for m in (queries, reference)]
    distances = np.sort(1 - unit[0] @ unit[1].T, axis=1)[:, :5]
    found = neighbour_distances(queries, reference, 5)
    assert found.distance == pytest.approx(distances.mean(axis=1), abs=1e-12)
    assert found.farthest == pytest.approx(distances[:, -1], abs=1e-12)
    assert found.nearest[40:].tolist() == list(range(10))
    space, work = prepare(queries, reference, 5), Searching(5, 50, 200)
    parts = [work.run(space, range(i, min(i + block, 50))) for i in range(0, 50, block)]
    total = parts[-1]
    for part in parts[:-1]:
        total = total + part
    assert [column.tobytes() for column in total.whole()] == [column.tobytes() for column in found]


def test_an_image_is_no_neighbour_of_itself() -> None:
    """The in-distribution set may be its own reference: otherwise each image would be at distance 0."""
    rows = np.random.default_rng(7).normal(size=(30, 8))
    found = neighbour_distances(rows, rows, 29, same=True)
    assert (found.nearest != np.arange(30)).all()
    assert found.distance.min() > 0.1
    with pytest.raises(InputError, match=r"30 nearest of 30 reference images, 1 of them the same.*expected 1 to 29"):
        neighbour_distances(rows, rows, 30, same=True)


def test_bad_input_is_named() -> None:
    """Found, expected, what to do."""
    with pytest.raises(InputError, match="k = 4 nearest of 3 reference images; expected 1 to 3"):
        neighbour_distances(np.ones((2, 3)), np.ones((3, 3)), 4)
    with pytest.raises(NonFiniteError, match="1 all zero"):
        neighbour_distances(np.ones((2, 3)), np.zeros((1, 3)), 1)
    with pytest.raises(InputError, match="at least two classes"):
        softmax_entropy(np.ones((2, 1)), scores_are="logits")
    with pytest.raises(InputError, match="at least 2 passes"):
        dropout_uncertainty(np.ones((1, 4, 3)), scores_are="logits")
    with pytest.raises(UsageError, match="expected 'logits' or 'probabilities'"):
        softmax_entropy(np.ones((2, 3)), scores_are="odds")


def test_every_measure_is_explained() -> None:
    """Nobody has to guess what a number in a report is."""
    assert set(ABOUT) == set(Measure)


def test_passes_that_are_no_probabilities_are_refused() -> None:
    """Logits that are called probabilities would get an entropy below 0, or nan; no image has no uncertainty."""
    with pytest.raises(InputError, match=r"found probabilities from .*; expected 0 to 1"):
        dropout_uncertainty(logits(3, 4, 5), scores_are="probabilities")
    halves = softmax(logits(3, 4, 5), axis=2)
    halves[1] /= 2
    with pytest.raises(InputError, match="the probabilities of 4 of 4 images do not add up to 1"):
        dropout_uncertainty(halves, scores_are="probabilities")
    with pytest.raises(InputError, match="over n images, at least one"):
        dropout_uncertainty(np.ones((3, 0, 5)), scores_are="logits")


@pytest.mark.parametrize("threshold", [float("nan"), float("inf"), float("-inf")])
def test_threshold_that_is_no_number_is_refused(threshold: float) -> None:
    """It would call nobody unsure, or break the results."""
    with pytest.raises(InputError, match="expected a finite number"):
        assess_uncertainty(UncertainImages([0.1, 0.2]), threshold=threshold)


def test_share_of_numpy_is_a_share() -> None:
    """Numbers that come out of an array are taken as they are meant."""
    values = np.arange(40) / 40
    plain, other = (assess_uncertainty(UncertainImages(values), share=s) for s in (0.1, np.float64(0.1)))
    assert other.threshold == plain.threshold
    assert plain.known.split.n_unsure == 4
