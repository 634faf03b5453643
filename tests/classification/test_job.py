"""The job: what the engine hands it becomes what the Python function says, and its keys are checked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import evaljobs
from evaljobs.config import Config, validate
from evaljobs.engine.evaluation import tell_nobody
from evaljobs.engine.spreading import Spread, Spreading
from evaljobs.errors import InputError, NonFiniteError, UsageError
from evaljobs.jobs import build_jobs
from evaljobs.jobs.job import Job, ModelFacts, Outcome, Rows
from evaljobs.pairs.threads import run_rounds

Draw = Callable[..., Any]


def job(**keys: Any) -> Job:
    data = {
        "models": ["a.onnx"],
        "images": {"folder": "images"},
        "jobs": [{"name": "classes", "kind": "classification", **keys}],
    }
    (built,) = build_jobs(validate(Config, data, "config"))
    return built


def rows_of(drawn: Any, facts: ModelFacts, labels: list[str]) -> Mapping[str, Rows]:
    """Return what the engine would read of a table."""
    digests = [hashlib.sha256(f"image {i}".encode()).digest() for i in range(len(labels))]
    ids = pa.array([f"{i}.png" for i in range(len(labels))])
    return {"set": Rows(pa.array(digests, pa.binary(32)), labels, {"scores": drawn.scores}, ids, model=facts)}


def carried_out(one: Job, rows: Mapping[str, Rows], threads: int = 2) -> Outcome:
    passes = one.passes(rows)
    outcome = run_rounds(passes.rounds, passes.samples, threads)
    assert isinstance(outcome, Outcome)
    return outcome


@pytest.fixture
def case(draw: Draw) -> tuple[Any, ModelFacts, list[str]]:
    """Give scores, what is known of the model, and labels."""
    drawn = draw(3000, 12, skill=1.5)
    classes = tuple(f"c{i}" for i in range(12))
    return drawn, ModelFacts("m", classes, "logits"), [classes[i] for i in drawn.labels]


def test_the_job_finds_what_the_function_finds(case: tuple[Any, ModelFacts, list[str]]) -> None:
    """The same JSON and the same tables, whoever carries it out: threads here, or tasks elsewhere."""
    drawn, facts, labels = case
    rows = rows_of(drawn, facts, labels)
    outcome = carried_out(job(mistakes=30, groups=0), rows)
    found = evaljobs.classify(drawn.scores, labels, facts.classes, scores_are="logits", mistakes=30, groups=0)
    assert outcome.result == found.to_json()
    assert {name: table.to_pydict() for name, table in outcome.tables.items()} == {
        name: table.to_pydict() for name, table in found.tables().items()
    }

    def fan(samples: Any) -> Any:
        return lambda function, shared, items: (function(samples, shared, item) for item in reversed(list(items)))

    spread = Spreading(Spread(fan, 4, least_pairs=0), tell_nobody)
    assert spread.carry_out(job(mistakes=30, groups=0).passes(rows)).result == outcome.result


def test_groups_are_made_of_digests(case: tuple[Any, ModelFacts, list[str]]) -> None:
    """The order in which images are listed changes nothing, the last bit of an interval included."""
    drawn, facts, labels = case
    order = np.random.default_rng(1).permutation(3000)
    rows = rows_of(drawn, facts, labels)["set"]
    shuffled = Rows(
        rows.digests.take(pa.array(order)),
        [labels[i] for i in order],
        {"scores": drawn.scores[order]},
        rows.ids.take(pa.array(order)),
        model=facts,
    )
    one, other = carried_out(job(), {"set": rows}), carried_out(job(), {"set": shuffled}, threads=1)
    assert one.result == other.result
    assert one.result["accuracy_ci"] is not None


def test_models_are_ranked_by_accuracy(case: tuple[Any, ModelFacts, list[str]]) -> None:
    """Then by balanced accuracy: what `models: best` takes."""
    drawn, facts, labels = case
    result = carried_out(job(), rows_of(drawn, facts, labels)).result
    assert job().ranks_models
    assert job().best_first({"b": result, "a": {**result, "accuracy": 0.1}, "c": result}) == ["b", "c", "a"]
    unbalanced = {**result, "balanced_accuracy": 0.1}
    assert job().best_first({"a": unbalanced, "b": result}) == ["b", "a"]
    fewer = {**result, "accuracy": 1.0, "n_samples": 10, "excluded": {"digest": "ab"}}
    assert job().best_first({"a": result, "b": fewer}) == ["a"], "judged on other images"
    assert job().best_first({}) == []


def test_labels_are_mapped_and_left_out_as_the_job_says(case: tuple[Any, ModelFacts, list[str]]) -> None:
    """`label_map` and `missing` reach the matching; what does not fit is refused for this model alone."""
    drawn, facts, labels = case
    renamed = ["eleven" if label == "c11" else label for label in labels]
    rows = rows_of(drawn, facts, renamed)
    with pytest.raises(InputError, match="label_map"):
        carried_out(job(), rows)
    mapped = carried_out(job(label_map={"eleven": "c11"}), rows).result
    assert mapped["accuracy"] == carried_out(job(), rows_of(drawn, facts, labels)).result["accuracy"]
    left = carried_out(job(missing="exclude"), rows).result
    assert left["excluded"]["n_samples"] == labels.count("c11") == 3000 - left["n_samples"]
    assert left["excluded"]["digest"] != mapped["excluded"]["digest"]


def test_a_model_that_says_nothing_of_itself_is_judged_as_far_as_that_goes(draw: Draw) -> None:
    """No names: labels are numbers. No scale: no calibration."""
    drawn = draw(100, 3)
    labels = [str(label) for label in drawn.labels]
    result = carried_out(job(), rows_of(drawn, ModelFacts("m"), labels)).result
    assert result["calibration"] is None
    assert len(result["notes"]) == 2


def test_a_guess_that_the_scores_contradict_gives_no_calibration(draw: Draw) -> None:
    """Probabilities taken for logits have wrong confidences; quantised ones do not add up to 1. Told ones stand."""
    drawn = draw(300, 3, skill=2.0)
    logits, labels = drawn.scores, [f"c{label}" for label in drawn.labels]
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    quantised = np.round(chances * 255) / np.float32(255)

    def found(scores: Any, are: Any, *, told: bool) -> Any:
        facts = ModelFacts("m", ("c0", "c1", "c2"), are, told)
        return carried_out(job(), rows_of(drawn._replace(scores=scores), facts, labels)).result

    for scores, are in ((chances, "logits"), (quantised, "logits"), (quantised, "probabilities")):
        result = found(scores, are, told=False)
        assert (result["scores_are"], result["calibration"]) == (None, None)
        assert "say `scores_are`" in result["notes"][-1]
        assert len(result["notes"]) == 1
    for scores, are in ((logits, "logits"), (chances, "probabilities")):
        assert found(scores, are, told=False) == found(scores, are, told=True)
    assert found(chances, "logits", told=True)["calibration"] is not None
    with pytest.raises(InputError, match="do not add up to 1"):
        found(quantised, "probabilities", told=True)


def test_labels_without_names_of_classes_must_be_numbers(draw: Draw) -> None:
    """Nobody says which score a word belongs to."""
    drawn = draw(100, 3)
    labels = [str(label) for label in drawn.labels]
    with pytest.raises(InputError, match="`classes`"):
        carried_out(job(), rows_of(drawn, ModelFacts("m"), ["a", *labels[1:]]))


def test_scores_that_are_not_finite_name_their_rows(draw: Draw) -> None:
    """The engine turns the numbers of the rows into names of images."""
    drawn = draw(100, 3)
    drawn.scores[7, 1] = np.nan
    with pytest.raises(NonFiniteError) as caught:
        carried_out(job(), rows_of(drawn, ModelFacts("m"), [str(label) for label in drawn.labels]))
    assert caught.value.rows == (7,)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"top_k": [0]}, "numbers from 1"),
    ({"groups": 1}, "at least 2"),
    ({"bins": 0}, "bins"),
    ({"missing": "skip"}, "'refuse' or 'exclude'"),
    ({"topk": [1]}, "did you mean 'top_k'?"),
    ({"set": "test"}, "no set 'test'"),
]


@pytest.mark.parametrize(("keys", "said"), WRONG, ids=[next(iter(keys)) for keys, _ in WRONG])
def test_keys_are_checked_before_anything_starts(keys: dict[str, Any], said: str) -> None:
    """A wrong configuration ends where it is read."""
    with pytest.raises(UsageError) as caught:
        job(**keys)
    assert said in str(caught.value)


def test_what_decides_a_result_is_in_its_specification() -> None:
    """So that a cached result is that of these very keys; the name of the set is not among them."""
    assert job(set="main").specification() == job().specification()
    for keys in ({"top_k": [1, 3]}, {"bins": 10}, {"label_map": {"a": "b"}}, {"missing": "exclude"}, {"mistakes": 0}):
        assert job(**keys).specification() != job().specification()
    assert job(top_k=["5", 1, 1]).specification() == job().specification()
    assert job(top_k="3").specification() == job(top_k=[3]).specification()
