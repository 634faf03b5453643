"""Runs whose jobs are no verifications, as one: what tells two results of one model apart, and what does not."""

from __future__ import annotations

import numpy as np
import pytest

from evaljobs.classification.classification import classify
from evaljobs.report.runs.joining import join
from tests.report.runs import make_result, make_run, make_tables


def named(*documents):
    return [(document["run"], document, make_tables(document)) for document in documents]


def names(document):
    return [entry["name"] for entry in document["models"]]


def findings(document):
    return [one["text"] for one in document["joined"]["findings"]]


LABELS = [f"c{number % 3}" for number in range(60)]


def classified(*, labels=LABELS, classes=("c0", "c1", "c2"), **asked):
    """Return a real classification, right for most images."""
    scores = np.random.default_rng(1).normal(size=(len(labels), len(classes)))
    scores[range(len(labels)), [number % 3 for number in range(len(labels))]] += 2
    return classify(scores, labels, list(classes), scores_are="logits", **asked).to_json()


def classes_run(models, **changes):
    """Return a run that classifies with some models."""
    document = make_run(models, job="classes", **changes)
    for entry in document["evaluations"]:
        entry["kind"] = "classification"
    return document


@pytest.mark.parametrize("asked", [{"bins": 10}, {"groups": 10}, {"top_k": (1, 2)}, {"mistakes": 5}])
def test_other_settings_of_a_classification_are_no_other_numbers(asked):
    """Bins, groups and top-k do not decide which class is predicted."""
    runs = [classes_run({"m": classified(**of)}, day=day, name=str(day)) for day, of in ((1, {}), (2, asked))]
    found = join(named(*runs)).document
    assert (names(found), findings(found)) == (["m"], [])


def test_a_classification_that_gets_other_images_right_has_other_numbers():
    """The same file on the same images: a library computes otherwise."""
    runs = [classes_run({"m": classified()}, day=day, name=str(day)) for day in (1, 2)]
    runs[0]["evaluations"][0]["result"]["n_correct"] += 1
    assert names(join(named(*runs)).document) == ["1/m", "2/m"]


def test_another_question_is_another_job():
    """A map of labels says what is right: two of them are two questions, and no library computes otherwise."""
    runs = [
        classes_run({"m": classified(**of)}, day=day, name=str(day))
        for day, of in ((1, {}), (2, {"label_map": {"c0": "c1"}}))
    ]
    found = join(named(*runs)).document
    assert {entry["job"] for entry in found["evaluations"]} == {"1/classes", "2/classes"}
    assert names(found) == ["m"]


def test_the_order_of_models_that_know_different_labels_makes_no_other_job():
    """With `missing: exclude` each model judges the images whose label it knows."""
    labels = [*LABELS[:-6], *["other"] * 6]
    few = classified(labels=labels, missing="exclude")
    all_ = classified(labels=labels, classes=("c0", "c1", "c2", "other"), missing="exclude")
    assert few["n_samples"] != all_["n_samples"]
    a = classes_run({"few": few, "all": all_}, day=1, name="1")
    b = classes_run({"all": all_, "few": few}, day=2, name="2")
    found = join(named(a, b)).document
    assert ({entry["job"] for entry in found["evaluations"]}, findings(found)) == ({"classes"}, [])


def test_maps_never_tell_models_apart():
    """A t-SNE of another machine, or of another sample, is another picture of the same model."""
    runs = []
    for day, kl, shown in ((1, 1.2345, 1000), (2, 1.2341, 500)):
        document = make_run({"m": make_result(0.8)}, day=day, name=str(day))
        result = {"n_samples": 1500, "n_shown": shown, "tsne": {"perplexity": 30.0, "kl_divergence": kl}}
        document["evaluations"].append({**document["evaluations"][0], "job": "map", "kind": "map", "result": result})
        runs.append(document)
    found = join(named(*runs)).document
    assert (names(found), findings(found)) == (["m"], [])
    assert found["evaluations"][1]["result"]["n_shown"] == 500


@pytest.mark.parametrize(
    ("changes", "apart"),
    [
        ({}, False),
        ({"accuracy": 0.75 + 1e-12, "notes": ["said otherwise"]}, False),
        ({"new": 1}, False),
        ({"accuracy": 0.76}, True),
        ({"classes": [{"name": "a", "f1": 0.5}, {"name": "b", "f1": 0.6}]}, True),
        ({"classes": [{"name": "a", "f1": 0.5}]}, True),
        ({"best": "b"}, True),
    ],
)
def test_results_of_other_kinds_agree_where_all_that_both_have_is_equal(changes, apart):
    """Up to what another machine may change in the last digits."""
    classes = [{"name": "a", "f1": 0.5}, {"name": "b", "f1": 0.5}]
    result = {"accuracy": 0.75, "classes": classes, "best": "a", "notes": []}
    documents = [make_run({"m": make_result(0.8)}, day=day, name=str(day)) for day in (1, 2)]
    for document, found in zip(documents, (result, {**result, **changes}), strict=True):
        document["evaluations"][0] |= {"kind": "one of our own", "result": found}
    assert names(join(named(*documents)).document) == (["1/m", "2/m"] if apart else ["m"])
