"""What is logged of a run, before anybody logs it."""

from __future__ import annotations

import re

import numpy as np
import pytest

from evaljobs.classification.classification import classify
from evaljobs.tracking.entries import ID_TAG, MODEL_TAG, model_entries, run_id, whole_entry
from tests.report.runs import digest, make_result, make_run


@pytest.fixture
def document():
    found = make_run({"net": make_result(0.8), "dead": None}, name="nightly")
    found["models"][0] |= {
        "tags": {"loss": "arc", "data set": "in, out"},
        "series": {"tag": "epoch", "value": 3, "name": "a"},
    }
    return found


def test_a_model_has_its_tags_and_its_numbers(document):
    """TPR, AUROC and their ends with all digits, thresholds and cost; parameters as text."""
    net, dead = model_entries(document)
    assert net.params == {
        "digest": digest("net"),
        "status": "ok",
        "tag.loss": "arc",
        "tag.data set": "in, out",
        "series.tag": "epoch",
        "series.value": "3",
        "series.name": "a",
    }
    assert net.metrics["tpr_at_1e-4"] == 0.8
    assert (net.metrics["tpr_at_1e-4_lower"], net.metrics["tpr_at_1e-4_upper"]) == (0.8 - 0.01, 0.8 + 0.01)
    assert {name for name in net.metrics if "1e-3" in name} == {
        *("tpr_at_1e-3", "tpr_at_1e-3_lower", "tpr_at_1e-3_upper", "threshold_at_1e-3"),
    }
    assert (net.metrics["auroc"], net.metrics["gflops"], net.metrics["params"]) == (0.9, 1.0, 1_234_567)
    assert dead.params["status"] == "failed"
    assert "auroc" not in dead.metrics


def test_what_is_undefined_is_left_out(document):
    """A metric is a number: null is none, and never 0."""
    result = document["evaluations"][0]["result"]
    result |= {"auroc": None, "auroc_ci": None}
    result["points"][0] |= {"tpr": None, "tpr_ci": None, "threshold": None}
    document["models"][0]["cost"]["gflops"] = None
    metrics = next(model_entries(document)).metrics
    assert [name for name in metrics if "1e-4" in name or "auroc" in name or name == "gflops"] == []
    assert "tpr_at_1e-3" in metrics


def test_several_jobs_are_told_apart(document):
    """And numbers of other kinds are logged by their names."""
    other = {**document["evaluations"][0], "job": "classes & co", "kind": "one of our own"}
    other["result"] = {"accuracy": 0.75, "n_samples": 10, "exact": True, "name": "x", "confusion": [[1]]}
    document["evaluations"].append(other)
    metrics = next(model_entries(document)).metrics
    assert metrics["verification/main/tpr_at_1e-4"] == 0.8
    assert {name: value for name, value in metrics.items() if name.startswith("classes")} == {
        "classes _ co/main/accuracy": 0.75,
        "classes _ co/main/n_samples": 10,
    }


def test_a_classification_has_the_ends_of_its_intervals_and_its_calibration(document):
    """All that the leaderboard of classifications has can be followed over runs."""
    labels = [f"c{number % 3}" for number in range(60)]
    scores = np.random.default_rng(1).normal(size=(60, 3))
    result = classify(scores, labels, ["c0", "c1", "c2"], scores_are="logits", top_k=(1, 2)).to_json()
    document["evaluations"][0] |= {"kind": "classification", "result": result}
    metrics = next(model_entries(document)).metrics
    for name, ends in (
        ("accuracy", result["accuracy_ci"]),
        ("balanced_accuracy", result["balanced_accuracy_ci"]),
        ("macro_f1", result["macro_f1_ci"]),
        ("top_2", result["top_k"][1]["accuracy_ci"]),
    ):
        assert [metrics[f"{name}_{end}"] for end in ("lower", "upper")] == ends
    assert metrics["macro_f1"] == result["macro"]["f1"]
    assert (metrics["top_1"], metrics["top_2"]) == tuple(top["accuracy"] for top in result["top_k"])
    assert (metrics["ece"], metrics["nll"]) == (result["calibration"]["ece"], result["calibration"]["nll"])
    document["evaluations"][0]["result"] = {**result, "calibration": None, "macro_f1_ci": None}
    metrics = next(model_entries(document)).metrics
    assert [name for name in metrics if name in {"ece", "nll", "macro_f1_lower"}] == []


def test_names_are_those_that_a_tracking_server_takes(document):
    """Tags may be called anything; MLflow takes letters, digits and a few signs."""
    document["models"][0]["tags"] = {"<b>läuft'": "x" * 600, "a\nb": "y"}
    params = next(model_entries(document)).params
    assert [name for name in params if not re.fullmatch(r"[\w.\-/ :]+", name, re.ASCII)] == []
    assert [len(value) for name, value in params.items() if name.startswith("tag._b")] == [500]


def test_a_run_is_known_by_its_configuration_and_its_start(document):
    """The same folder again is the same run; the next night is another one."""
    whole, (net, dead) = whole_entry(document), model_entries(document)
    assert {entry.tags[ID_TAG] for entry in (whole, net, dead)} == {run_id(document)}
    assert [entry.tags[MODEL_TAG] for entry in (whole, net, dead)] == ["", "net", "dead"]
    tomorrow = make_run({"net": make_result(0.8)}, name="nightly", day=2)
    other = make_run({"net": make_result(0.8)}, name="weekly")
    assert len({run_id(one) for one in (document, tomorrow, other)}) == 3
    assert whole.params["config_digest"] == digest("nightly")
    assert whole.params["set.main"] == digest("faces")
