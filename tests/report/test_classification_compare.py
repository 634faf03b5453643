"""Classifications of two runs: compared measure by measure, and held to gates."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from evaljobs.config import parse_target
from evaljobs.errors import UsageError
from evaljobs.report.comparing.comparison import Comparison, compare
from evaljobs.report.comparing.comparison_page import to_page
from evaljobs.report.comparing.gate import parse_gate
from evaljobs.report.comparing.matching import Wanted
from evaljobs.report.comparing.measures import measure_difference
from evaljobs.report.runs.identity import question_of
from tests.report.test_class_ranks import with_one_that_knows_little
from tests.report.test_classification import found_of, results_of

Document = dict[str, Any]
MEASURES = ["accuracy", "balanced_accuracy", "macro_f1", "top_3"]


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Document, Document]:
    """Give last night's run of two models and tonight's, in which one became worse."""
    last = found_of(tmp_path, {"good": 2.0, "weak": 0.6}, None)
    tonight = found_of(tmp_path, {"good": 1.6, "weak": 0.6}, None)
    return dict(last.results), dict(tonight.results)


def compared(runs: tuple[Document, Document], *gates: str, **wanted: Any) -> Comparison:
    return compare(*runs, Wanted(**wanted), [parse_gate(gate, parse_target) for gate in gates])


def of(document: Document, model: str) -> Document:
    (entry,) = [entry for entry in document["evaluations"] if entry["model"] == model]
    return dict(entry["result"])


def test_every_measure_of_every_model_is_compared(runs: tuple[Document, Document]) -> None:
    """Models of one name, in the order of the measures, as the differences of a run are."""
    rows = compared(runs).rows
    assert [(row["model"], row["metric"]) for row in rows] == [(m, name) for m in ("good", "weak") for name in MEASURES]
    for row in rows:
        wanted = measure_difference(of(runs[0], row["model"]), of(runs[1], row["model"]), row["metric"])
        assert {key: row[key] for key in wanted} == wanted
    assert "| good | top-3 accuracy |" in to_page(compared(runs))


def test_the_best_of_each_run_is_the_first_by_accuracy(runs: tuple[Document, Document]) -> None:
    """Whatever their names are."""
    results = of(runs[1], "weak")
    results["accuracy"] = 0.99
    runs[1]["evaluations"] = [
        {**entry, "result": results} if entry["model"] == "weak" else entry for entry in runs[1]["evaluations"]
    ]
    assert {(row["reference"], row["model"]) for row in compared(runs, best=True).rows} == {("good", "weak")}


@pytest.mark.parametrize("name", MEASURES)
def test_gates_are_judged_by_the_interval(runs: tuple[Document, Document], name: str) -> None:
    """Failed where the whole interval of B - A lies below the margin, passed where none of it does, else open."""
    row = next(row for row in compared(runs).rows if (row["model"], row["metric"]) == ("good", name))
    low, high = row["ci"]
    assert low < high < 1
    for margin, wanted in ((high + 1e-6, "failed"), ((low + high) / 2, "inconclusive"), (low - 1e-6, "passed")):
        gate = f"{name} >= baseline {'-' if margin < 0 else '+'} {abs(margin):.9f}"
        (judged,) = compared(runs, gate, models=(("good", "good"),)).gates
        assert (judged["metric"], judged["judgement"], judged["ci"]) == (name, wanted, [low, high])
    ends = {"top_3": of(runs[1], "good")["top_k"][1]["accuracy_ci"]}.get(name) or of(runs[1], "good")[f"{name}_ci"]
    (judged,) = compared(runs, f"{name} >= {ends[0] - 1e-6:.9f}", models=(("good", "good"),)).gates
    assert (judged["judgement"], judged["ci"]) == ("passed", ends)


def test_an_unchanged_model_passes(runs: tuple[Document, Document]) -> None:
    """Its difference is 0 for certain, though no replicate varies."""
    (judged,) = compared(runs, "accuracy >= baseline", models=(("weak", "weak"),)).gates
    assert (judged["judgement"], judged["reason"]) == ("passed", "the same model file")


REFUSED = [
    ("auroc >= 0.9", "speaks of verifications, and none is compared"),
    ("top_5 >= 0.9", "has no top_5; add it to `top_k`"),
    ("top_0 >= 0.9", "cannot be read"),
    ("acc >= 0.9", "accuracy, balanced_accuracy, macro_f1, top_K, foreign_auroc or aurc"),
    ("accuracy >= 90", "is more than 1"),
]


@pytest.mark.parametrize(("gate", "said"), REFUSED)
def test_gates_that_cannot_be_answered_are_refused(runs: tuple[Document, Document], gate: str, said: str) -> None:
    """Whoever sets a gate believes that it holds: one that holds nothing is an error."""
    with pytest.raises(UsageError) as caught:
        compared(runs, gate)
    assert said in str(caught.value)


def test_models_on_other_images_have_no_interval(runs: tuple[Document, Document], tmp_path: Path) -> None:
    """A model that left images out was judged on others; a gate on it is open, and says why."""
    other = copy.deepcopy(found_of(tmp_path, {"good": 1.6, "weak": 0.6}, None))
    results_of(other)["good"]["excluded"]["digest"] = "ab"
    (judged,) = compared((runs[0], dict(other.results)), "accuracy >= baseline", models=(("good", "good"),)).gates
    assert (judged["judgement"], judged["reason"]) == ("inconclusive", "judged on other images")


def test_labels_that_mean_other_classes_are_another_question(tmp_path: Path) -> None:
    """Their numbers differ for reasons other than the models: not compared, and told apart on one page."""
    last = dict(found_of(tmp_path, {"good": 2.0}, None).results)
    tonight = dict(found_of(tmp_path, {"good": 2.0}, None, label_map={"coat": "bag"}).results)
    with pytest.raises(UsageError, match=r"0 labels mapped.*1 labels mapped.*`label_map`"):
        compared((last, tonight))
    assert question_of(last["evaluations"]) != question_of(tonight["evaluations"])
    assert question_of(last["evaluations"]) == question_of(copy.deepcopy(last["evaluations"]))


def test_the_best_of_a_run_knows_most_labels(tmp_path: Path) -> None:
    """A model that was judged on the few images that it knows is not the best one, however right it is there."""
    run = dict(with_one_that_knows_little(tmp_path).results)
    assert of(run, "narrow")["accuracy"] > of(run, "good")["accuracy"]
    rows = compared((run, copy.deepcopy(run)), best=True).rows
    assert {(row["reference"], row["model"]) for row in rows} == {("good", "good")}
