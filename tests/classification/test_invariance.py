"""The same result whoever counts: for any order of the rows, any parts, any order of the classes."""

from __future__ import annotations

import itertools
import math
import pickle
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import evaljobs
from evaljobs.classification.classification import Classification, conclude, counting
from evaljobs.classification.count import Counting
from evaljobs.classification.groups import keys_of_ids
from evaljobs.classification.measure import Scale, rows_a_block
from evaljobs.classification.samples import Setting, prepare
from evaljobs.classification.sums import added, exact_sum, exact_sums, mean

Draw = Callable[..., Any]


def everything(found: Classification) -> tuple[Any, ...]:
    """Return all that a classification says, but for the rows of mistakes."""
    tables = {name: table for name, table in found.tables().items() if name != "mistakes"}
    return found.to_json(), {name: table.to_pydict() for name, table in tables.items()}


@st.composite
def cases(draw: st.DrawFn) -> tuple[Any, list[int]]:
    """Draw few values, so that ties and equal rows abound."""
    n, k = draw(st.integers(1, 25)), draw(st.integers(1, 5))
    values = st.sampled_from([0.0, 1.0, -1.0, 0.25, 8.0, -50.0]) | st.floats(-100, 100, width=32)
    scores = draw(arrays.arrays(np.float32, (n, k), elements=values))
    return scores, draw(st.lists(st.integers(0, k - 1), min_size=n, max_size=n))


@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(case: tuple[Any, list[int]], random: Any) -> None:
    """Every number, the last bit of calibration and intervals included."""
    scores, labels = case
    order = list(range(len(labels)))
    random.shuffle(order)
    options: dict[str, Any] = {"scores_are": "logits", "groups": 2}
    whole = evaljobs.classify(scores, labels, ids=range(len(labels)), **options)
    shuffled = evaljobs.classify(scores[order], [labels[i] for i in order], ids=order, **options)
    assert everything(shuffled) == everything(whole)


@given(cases(), st.permutations(range(5)))
def test_the_order_of_the_classes_does_not_matter(case: tuple[Any, list[int]], permutation: list[int]) -> None:
    """But for ties, which the order decides, and for the last bit of a softmax."""
    scores, labels = case
    k = scores.shape[1]
    order = [place for place in permutation if place < k]
    names = [f"c{i}" for i in range(k)]
    texts = [names[i] for i in labels]
    one = evaljobs.classify(scores, texts, names, scores_are="logits")
    other = evaljobs.classify(scores[:, order], texts, [names[i] for i in order], scores_are="logits")
    assert other.n_tied == one.n_tied
    assert one.calibration is not None
    assert other.calibration is not None
    for name in ("brier", "nll", "mean_confidence"):
        assert getattr(other.calibration, name) == pytest.approx(getattr(one.calibration, name), rel=1e-12, abs=1e-300)
    if not one.n_tied:
        assert (other.confusion() == one.confusion()[np.ix_(order, order)]).all()
        assert (other.macro, other.weighted, other.micro) == (one.macro, one.weighted, one.micro)
        assert other.balanced_accuracy == one.balanced_accuracy


@pytest.mark.parametrize("are", ["logits", "probabilities", None])
def test_parts_add_up_in_any_order_and_grouping(draw: Draw, are: str | None) -> None:
    """Tasks may do the parts anywhere, and add them up as they come: the whole is the same, byte for byte."""
    drawn = draw(5000, 40, seed=1)
    scores = drawn.scores if are == "logits" else np.exp(drawn.scores) / np.exp(drawn.scores).sum(1, keepdims=True)
    setting = Setting(scale=None if are is None else Scale(are), n_groups=20)
    samples = prepare(scores, drawn.labels, keys_of_ids(range(5000)), setting)
    work = counting(samples, (1, 5), 15, 50)
    whole = conclude(samples, work, work.run(samples, range(5000)))
    parts = work.parts(64)
    assert len(parts) > 1
    assert [row for part in parts for row in part] == list(range(5000))
    shared = pickle.loads(pickle.dumps(samples))  # noqa: S301 - our own bytes
    shared.scores.flags.writeable = False
    found = [work.run(shared, part) for part in parts]
    rng = np.random.default_rng(0)
    for order in (range(len(parts)), rng.permutation(len(parts))):
        total = found[order[0]]
        for number in order[1:]:
            total = found[number] + total
        assert everything(conclude(samples, work, total)) == everything(whole)
        assert conclude(samples, work, total).mistakes is None or (
            conclude(samples, work, total).tables()["mistakes"] == whole.tables()["mistakes"]
        )
    onto = None
    for part in parts:
        onto = work.run(shared, part, onto)
    assert onto is not None
    assert everything(conclude(samples, work, onto)) == everything(whole)


def test_blocks_do_not_depend_on_parts() -> None:
    """What a task is given is made of whole blocks, so that each row is always computed beside the same others."""
    for n, width, at_least in itertools.product((1, 1000, 5000), (1, 10, 1000, 10**6), (1, 7, 64)):
        parts = Counting(n, width, (1,), 15, 0).parts(at_least)
        assert parts[0].start == 0
        assert parts[-1].stop == n
        assert all(part.start % rows_a_block(width) == 0 for part in parts)
        assert all(a.stop == b.start for a, b in itertools.pairwise(parts))
        assert len(parts) >= min(at_least, -(-n // rows_a_block(width))) / 2


floats = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(floats, st.integers(0, 3)), max_size=40), st.integers(0, 40))
def test_exact_sums_are_those_of_fractions(rows: list[tuple[float, int]], cut: int) -> None:
    """Any float64, denormals and signs included, in any grouping."""
    values, places = np.array([v for v, _ in rows]), np.array([p for _, p in rows], np.int64)
    found = exact_sums(values, places, 4)
    assert found == added(exact_sums(values[:cut], places[:cut], 4), exact_sums(values[cut:], places[cut:], 4))
    wanted = [sum((Fraction(v) for v, p in rows if p == place), Fraction(0)) for place in range(4)]
    assert [Fraction(total, 2**1126) for total in found] == wanted


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1e300), min_size=1, max_size=30))
def test_a_mean_is_rounded_once(values: list[float]) -> None:
    """It is the float nearest to the true mean."""
    n = len(values)
    assert mean(exact_sum(np.array(values)), n) == float(sum(map(Fraction, values), Fraction(0)) / n)
    assert mean(exact_sum(np.array(values)), 1) == pytest.approx(math.fsum(values), rel=1e-15)
