"""What the job checks before it explains: what the model gave, and which checks of its maps can be made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from evaljobs.errors import InputError, NonFiniteError
from evaljobs.explain.found import result_of
from evaljobs.explain.looking import Looking, Seen, Task
from evaljobs.explain.sight import Sight
from evaljobs.explain.targets import ClassScore
from evaljobs.jobs.explain import ExplainJob, ExplainParameters
from evaljobs.jobs.job import ModelFacts, Passes, Rows
from evaljobs.schemas import DIGEST
from tests.explain.conftest import Networks

LOGITS = np.array([[3, 0, 0, 0], [0, 5, 0, 0], [0, 0, 1, 2]], np.float32)
PROBABILITIES = np.array([[0.7, 0.1, 0.1, 0.1], [0.2, 0.8, 0, 0], [0, 0, 0.5, 0.5]], np.float32)
GUESSED = ModelFacts("m", None, "logits", scores_told=False)


def passes(networks: Networks, rows: NDArray[np.float32], facts: ModelFacts, **parameters: Any) -> Passes:
    """Return what the job does of a model's rows."""
    given = {"target": "predicted", **parameters}
    job = ExplainJob("looks", ExplainParameters.model_validate(given))
    role = job.outputs[0]
    digests = pa.array([bytes([n]) * 32 for n in range(len(rows))], DIGEST)
    ids = pa.array([f"{n}.png" for n in range(len(rows))])
    sight = Sight(networks.model(networks.write(), role), ids, digests)
    return job.passes({"set": Rows(digests, ["a", "a", "a"], {role: rows}, ids, model=facts, sight=sight)})


def targets(found: Passes) -> list[Any]:
    return [item.target for item in found.samples.items]


def test_scores_are_what_somebody_says(networks: Networks) -> None:
    """Probabilities that are told are explained as such; a guess that fits the numbers is taken."""
    told = passes(networks, PROBABILITIES, ModelFacts("m", None, "probabilities"))
    assert {target.are for target in targets(told)} == {"probabilities"}
    assert {target.are for target in targets(passes(networks, LOGITS, GUESSED))} == {"logits"}
    assert all(isinstance(target, ClassScore) for target in targets(told))


@pytest.mark.parametrize(
    ("rows", "facts", "expected"),
    [
        (PROBABILITIES, GUESSED, "it is not known whether the class scores are logits or probabilities"),
        (LOGITS, ModelFacts("m", None, "probabilities"), "found probabilities from 0 to 5"),
    ],
)
def test_scores_that_are_something_else(
    networks: Networks, rows: NDArray[np.float32], facts: ModelFacts, expected: str
) -> None:
    """No second softmax is put on probabilities, and no logarithm on logits."""
    with pytest.raises(InputError, match=expected):
        passes(networks, rows, facts)


@pytest.mark.parametrize(("target", "wrong"), [("predicted", np.nan), ("label", np.inf), ("prototype", 0)])
def test_rows_that_say_nothing_are_named(networks: Networks, target: str, wrong: float) -> None:
    """What is not finite, or has no direction, is said of its image, and not of the layer."""
    rows = LOGITS.copy()
    rows[1] = wrong
    with pytest.raises(NonFiniteError) as caught:
        passes(networks, rows, GUESSED, target=target)
    assert caught.value.rows == (1,)


def test_a_model_too_large_to_be_shuffled(networks: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its maps are made without that check, and the result says so; where nobody asks for it, nothing is said."""
    monkeypatch.setattr("evaljobs.explain.halved._MOST_SHUFFLED", 10)
    for asked in (True, False):
        found = passes(networks, LOGITS, GUESSED, shuffled=asked, images=3)
        work = next(found.rounds)
        assert work.shuffled is False
        with pytest.raises(StopIteration) as done:
            found.rounds.send(_all(found.samples))
        result = done.value.value.result
        assert result["shuffled_weights"] is None
        assert [note for note in result["notes"] if "too large" in note] == result["notes"]
        assert len(result["notes"]) == asked


def _all(task: Task) -> Any:
    from evaljobs.explain.looking import All

    return All(tuple(_seen(number, None) for number in range(len(task.items))))


def _seen(number: int, shuffled: float | None) -> Seen:
    return Seen(number, np.ones((8, 8), np.float32), 0.5, b"", None, shuffled)


def test_a_check_without_an_answer_is_not_left_out(networks: Networks) -> None:
    """Where no correlation is defined the result has the check, of no map; it is null where nobody asked."""
    task = passes(networks, LOGITS, GUESSED).samples
    for correlations, expected in (
        ([None, None], {"rank_correlation": None, "n_maps": 0}),
        ([None, 0.5], {"rank_correlation": 0.5, "n_maps": 1}),
    ):
        seen = [_seen(number, one) for number, one in enumerate(correlations)]
        assert result_of(task, seen, Looking(2, 0, True, 0))["shuffled_weights"] == expected
    assert result_of(task, seen, Looking(2, 0, False, 0))["shuffled_weights"] is None
