"""A results document that was not written by a run is refused in words."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from evaljobs.classification.classification import classify
from evaljobs.errors import UsageError
from evaljobs.report.runs.reading import read_results
from evaljobs.uncertainty.assessment import UncertainImages, assess_uncertainty
from tests.report.runs import make_result, make_run


def without(result, *path):
    """Return a result that lacks what a path leads to."""
    found = copy.deepcopy(result)
    inner = found
    for part in path[:-1]:
        inner = inner[part]
    del inner[path[-1]]
    return found


def classified():
    labels = [f"c{number % 3}" for number in range(60)]
    scores = np.random.default_rng(1).normal(size=(60, 3))
    return classify(scores, labels, ["c0", "c1", "c2"], scores_are="logits").to_json()


CLASSES = classified()
UNSURE = {
    "n_samples": 3,
    "measure": "entropy",
    "measures": {
        "entropy": assess_uncertainty(UncertainImages([0.1, 0.2, 0.3], np.array([True, True, False]))).to_json()
    },
    "notes": [],
}
MAP = {
    "n_samples": 9,
    "n_shown": 9,
    "sampling": "all",
    "pca": {"explained_variance": [0.5, 0.4]},
    "tsne": None,
    "color": ["label"],
    "nearest_same_label": 0.5,
    "nearest_same_label_by_chance": 0.1,
}


@pytest.mark.parametrize(
    ("kind", "result", "missing"),
    [
        ("verification", make_result(0.8), ()),
        ("verification", {}, "result has no protocol"),
        ("verification", without(make_result(0.8), "points", 0, "tpr"), r"result.points\[0\] has no tpr"),
        (
            "verification",
            without(make_result(0.8), "intervals", "replicates", "auroc"),
            "has not 20 replicates of auroc",
        ),
        ("uncertainty", UNSURE, ()),
        ("uncertainty", {**UNSURE, "measure": "doubt"}, "result.measures has no doubt"),
        ("uncertainty", without(UNSURE, "measures", "entropy", "threshold"), "measures.entropy has no threshold"),
        ("uncertainty", without(UNSURE, "measures", "entropy", "sets", "set", "split"), r"sets\.set has no split"),
        ("classification", CLASSES, ()),
        ("classification", {**CLASSES, "intervals": None, "calibration": None}, ()),
        ("classification", {}, "result has no n_samples"),
        ("classification", None, "result has no n_samples"),
        ("classification", without(CLASSES, "macro", "f1"), "result.macro has no f1"),
        ("classification", without(CLASSES, "excluded", "digest"), "result.excluded has no digest"),
        ("classification", without(CLASSES, "calibration", "ece"), "result.calibration has no ece"),
        ("classification", {**CLASSES, "top_k": 3}, r"result.top_k\[0\] has no k"),
        (
            "classification",
            without(CLASSES, "intervals", "replicates", "top_k", 0),
            "has not 20 replicates of accuracy",
        ),
        ("map", MAP, ()),
        ("map", {**MAP, "pca": None}, ()),
        ("map", without(MAP, "n_shown"), "result has no n_shown"),
        ("map", {**MAP, "pca": {}}, "result.pca has no explained_variance"),
        ("one of our own", {}, ()),
    ],
)
def test_a_result_of_another_shape_is_refused(tmp_path, kind, result, missing):
    """With what is missing and what to do, before a table stumbles over it."""
    document = make_run({"m": make_result(0.8)})
    document["evaluations"][0] |= {"kind": kind, "result": result}
    (tmp_path / "results.json").write_text(json.dumps(document))
    if not missing:
        assert read_results(tmp_path) == document
        return
    with pytest.raises(UsageError, match=rf"no whole result of evaljobs: evaluations\[0\]\..*{missing}.*again"):
        read_results(tmp_path)
