"""Anomalies and uncertainty of two runs: compared, held to gates, and rows of results.csv."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from evaljobs.config import parse_target
from evaljobs.errors import UsageError
from evaljobs.report.comparing.comparison import Comparison, compare
from evaljobs.report.comparing.comparison_page import to_page
from evaljobs.report.comparing.differences import differences
from evaljobs.report.comparing.gate import Gate, judge, parse_gate
from evaljobs.report.comparing.matching import Wanted
from evaljobs.report.comparing.measures import all_measure_differences
from evaljobs.report.results import ANOMALY, UNCERTAINTY
from evaljobs.report.writing import write_results
from tests.anomaly import test_report as anomalies
from tests.report import runs as verifications
from tests.report import test_classification as classes
from tests.report import test_uncertainty as doubts

Document = dict[str, Any]
Made = Callable[[str, float], tuple[Document, Any]]
KINDS = pytest.mark.parametrize("made", [anomalies.evaluation, doubts.evaluation], ids=[ANOMALY, UNCERTAINTY])


def run_of(*several: tuple[Made, dict[str, float]]) -> Document:
    """Return the results of a run: jobs with the skill of each of their models."""
    evaluations = [made(model, skill)[0] for made, skills in several for model, skill in skills.items()]
    sets = [{"name": name, "digest": name, "n_samples": 9, "n_labels": 3} for name in ("parts", *doubts.SETS.values())]
    names = list(dict.fromkeys(entry["model"] for entry in evaluations))
    models = [{"name": name, "status": "ok", "error": None} for name in names]
    return {"schema_version": 1, "run": "r", "sets": sets, "models": models, "evaluations": evaluations}


def compared(a: Document, b: Document, *gates: str, **wanted: Any) -> Comparison:
    return compare(a, b, Wanted(**wanted), [parse_gate(gate, parse_target) for gate in gates])


def test_anomalies_are_compared_point_by_point() -> None:
    """As verifications are: TPR at each target, and AUROC, from the replicates of both."""
    last, tonight = (run_of((anomalies.evaluation, {"m": skill})) for skill in (1.0, 2.0))
    found = compared(last, tonight)
    a, b = (document["evaluations"][0]["result"] for document in (last, tonight))
    wanted = list(differences(a, b, [1e-3, 0.01, 0.1]))
    assert [{key: row[key] for key in wanted[0]} for row in found.rows] == wanted
    assert found.rows[-1]["verdict"] == "real"
    assert "## odd on parts" in to_page(found)
    assert [row["target"] for row in compared(last, tonight, targets=(0.1,)).rows] == [0.1, None]


def test_uncertainty_is_compared_in_both_numbers() -> None:
    """The AUROC of foreign images and the area under risk and coverage, of the leading measure."""
    last, tonight = (run_of((doubts.evaluation, {"m": skill})) for skill in (1.0, 6.0))
    rows = compared(last, tonight).rows
    found = [document["evaluations"][0]["result"]["measures"]["entropy"]["sets"] for document in (last, tonight)]
    auroc = [sets["foreign 1"]["detection"]["auroc"] for sets in found]
    aurc = [sets["set"]["coverage"]["aurc"] for sets in found]
    assert [(row["metric"], row["a"], row["b"]) for row in rows] == [("foreign_auroc", *auroc), ("aurc", *aurc)]
    assert [row["verdict"] for row in rows] == ["real", "real"]
    assert rows[0]["difference"] > 0 > rows[1]["difference"]
    assert "| AUROC of foreign images |" in to_page(compared(last, tonight))


def test_uncertainty_of_a_run_is_compared_with_its_first_model() -> None:
    """As of other kinds: in differences.csv, in the order of the models."""
    run = run_of((doubts.evaluation, {"first": 1.0, "second": 6.0, "third": 2.0}))
    rows = all_measure_differences(run)
    assert [(row["reference"], row["model"], row["metric"]) for row in rows] == [
        ("first", name, metric) for name in ("second", "third") for metric in ("foreign_auroc", "aurc")
    ]
    other = compared(run, copy.deepcopy(run), models=(("first", "second"),))
    assert [row["difference"] for row in rows[:2]] == [row["difference"] for row in other.rows]


GATES = [
    (anomalies.evaluation, "anomaly_auroc >= baseline - 0.01", "passed", "failed"),
    (anomalies.evaluation, "anomaly_tpr@1e-1 >= baseline - 0.01", "passed", "failed"),
    (anomalies.evaluation, "Anomaly_AUROC >= 0.75", "passed", "failed"),
    (doubts.evaluation, "foreign_auroc >= baseline - 0.01", "passed", "failed"),
    (doubts.evaluation, "foreign_auroc >= 0.62", "passed", "failed"),
    (doubts.evaluation, "aurc <= baseline + 0.01", "passed", "failed"),
    (doubts.evaluation, "aurc <= 0.3", "passed", "failed"),
]


@pytest.mark.parametrize(("made", "gate", "better", "worse"), GATES, ids=[gate for _, gate, *_ in GATES])
def test_gates_are_judged(made: Made, gate: str, better: str, worse: str) -> None:
    """A model that became much better passes, one that became much worse fails; the same one passes for certain."""
    poor, good = (run_of((made, {"m": skill})) for skill in (0.5, 2.5))
    for candidate, baseline, judgement in ((good, poor, better), (poor, good, worse)):
        (row,) = compared(baseline, candidate, gate).gates
        assert row["judgement"] == judgement
    if "baseline" in gate:
        poor["models"][0]["digest"] = "00"
        same = copy.deepcopy(poor)
        (row,) = compared(poor, same, gate.replace("- 0.01", "- 0").replace("+ 0.01", "+ 0")).gates
        assert (row["judgement"], row["reason"]) == ("passed", "the same model file")


def test_a_bound_from_above_is_judged_the_other_way_round() -> None:
    """The upper end may equal the bound; the whole interval above it fails."""
    result = run_of((doubts.evaluation, {"m": 1.0}))["evaluations"][0]["result"]
    low, high = result["measures"]["entropy"]["sets"]["set"]["coverage"]["aurc_ci"]
    for bound, judgement in ((high, "passed"), ((low + high) / 2, "inconclusive"), (low, "inconclusive")):
        gate = Gate("", None, bound, relative=False, kind=UNCERTAINTY, measure="aurc")
        assert judge(gate, None, result, same_file=False)["judgement"] == judgement
    gate = Gate("", None, low - 1e-9, relative=False, kind=UNCERTAINTY, measure="aurc")
    assert judge(gate, None, result, same_file=False)["judgement"] == "failed"


@pytest.mark.parametrize("gate", ["aurc >= 0.1", "auroc <= 0.9", "foreign_auroc <= 0.9", "anomaly_accuracy >= 0.9"])
def test_a_gate_in_the_wrong_direction_is_refused(gate: str) -> None:
    """It would pass where it should fail."""
    with pytest.raises(UsageError, match=r"of aurc, where less is better, <="):
        parse_gate(gate, parse_target)


REFUSED = [
    (anomalies.evaluation, "auroc >= 0.9", "speaks of verifications, and none is compared"),
    (doubts.evaluation, "anomaly_auroc >= 0.9", "speaks of anomaly jobs, and none is compared"),
    (anomalies.evaluation, "foreign_auroc >= 0.9", "speaks of uncertainty jobs, and none is compared"),
    (anomalies.evaluation, "anomaly_tpr@1e-4 >= 0.9", "no point at FPR 1e-4 in odd on parts"),
]


@pytest.mark.parametrize(("made", "gate", "said"), REFUSED, ids=[gate for _, gate, _ in REFUSED])
def test_gates_that_cannot_be_answered_are_refused(made: Made, gate: str, said: str) -> None:
    """Whoever sets a gate believes that it holds."""
    run = run_of((made, {"m": 1.0}))
    with pytest.raises(UsageError, match=said):
        compared(run, copy.deepcopy(run), gate)


def test_without_foreign_images_there_is_nothing_to_hold_to_that_gate() -> None:
    """It is said what to do; the area under risk and coverage is compared alone."""
    run = run_of((doubts.evaluation, {"m": 1.0}))
    for found in run["evaluations"][0]["result"]["measures"].values():
        del found["sets"]["foreign 1"]
    assert [row["metric"] for row in compared(run, copy.deepcopy(run)).rows] == ["aurc"]
    with pytest.raises(UsageError, match="has no foreign_auroc; give the job sets of `foreign` images"):
        compared(run, copy.deepcopy(run), "foreign_auroc >= 0.5")


def test_results_without_a_number_are_said() -> None:
    """Uncertainty of no foreign images and without class scores: nothing to compare, and a sentence that says so."""
    run = run_of((doubts.evaluation, {"m": 1.0}))
    for found in run["evaluations"][0]["result"]["measures"].values():
        del found["sets"]["foreign 1"]
        found["sets"]["set"]["coverage"] = None
    with pytest.raises(UsageError, match="'m' and 'm' have no number in common in doubts on digits"):
        compared(run, copy.deepcopy(run))


@pytest.mark.parametrize("best", [False, True])
def test_what_no_gate_speaks_of_keeps_none_from_being_judged(best: bool) -> None:
    """The gate of last month is judged as before, when another job of the run was changed."""
    pairs = verifications.make_run({"m": verifications.make_result(0.98)})
    runs = []
    for change in ({}, {"method": "neighbours"}):
        run = run_of((anomalies.evaluation, {"m": 0.5}))
        run["evaluations"][0]["result"] |= change
        both = [*run["evaluations"], *pairs["evaluations"]]
        runs.append({**run, "sets": [*run["sets"], *pairs["sets"]], "evaluations": both})
    found = compared(*runs, "auroc >= 0.9", best=best)
    assert [(row["job"], row["judgement"]) for row in found.gates] == [("verification", "passed")]
    (note,) = found.notes
    assert note.startswith("odd on parts is not compared: odd on parts tells other anomalies")
    for gates in ((), ("anomaly_auroc >= 0.4",)):
        with pytest.raises(UsageError, match="tells other anomalies"):
            compared(*runs, *gates, best=best)


@KINDS
def test_the_best_of_each_run_is_the_first_of_its_leaderboard(made: Made) -> None:
    """Whatever their names are; anomalies by AUROC, uncertainty by the number that ranks it."""
    last, tonight = run_of((made, {"a": 6.0, "b": 0.5})), run_of((made, {"a": 0.5, "b": 6.0}))
    assert {(row["reference"], row["model"]) for row in compared(last, tonight, best=True).rows} == {("a", "b")}


OTHERS = [
    (anomalies.evaluation, {"normal": ["good", "dent"]}, "tells other anomalies"),
    (anomalies.evaluation, {"method": "neighbours"}, "tells other anomalies"),
    (anomalies.evaluation, {"neighbours": {"k": 5}}, "of 5 neighbours"),
    (doubts.evaluation, {"measure": "doubt"}, "measures otherwise"),
    (doubts.evaluation, {"passes": {"count": 30, "seed": 0}}, "entropy of 30 passes"),
]


@pytest.mark.parametrize(("made", "change", "said"), OTHERS, ids=[str(change) for _, change, _ in OTHERS])
def test_another_question_is_refused(made: Made, change: Document, said: str) -> None:
    """The numbers would differ for reasons other than the models."""
    run = run_of((made, {"m": 1.0}))
    other = copy.deepcopy(run)
    other["evaluations"][0]["result"] |= change
    with pytest.raises(UsageError, match=said):
        compared(run, other)


@KINDS
def test_other_images_are_refused(made: Made) -> None:
    """Of any of the sets that a job judges."""
    run = run_of((made, {"m": 1.0}))
    for name in {"parts"} if made is anomalies.evaluation else {*doubts.SETS.values()}:
        other = copy.deepcopy(run)
        next(one for one in other["sets"] if one["name"] == name)["digest"] = "another"
        with pytest.raises(UsageError, match="are not the same"):
            compared(run, other)


def test_gates_of_verifications_leave_other_jobs_alone() -> None:
    """In a run that has both, `auroc` is that of pairs: each kind has gates of its own."""
    run = run_of((anomalies.evaluation, {"m": 0.5}))
    pairs = verifications.make_run({"m": verifications.make_result(0.98)})
    both = {**run, "sets": [*run["sets"], *pairs["sets"]], "evaluations": [*run["evaluations"], *pairs["evaluations"]]}
    rows = compared(both, copy.deepcopy(both), "auroc >= 0.9", "anomaly_auroc >= 0.9").gates
    assert {(row["job"], row["gate"], row["judgement"]) for row in rows} == {
        ("verification", "auroc >= 0.9", "passed"),
        ("odd", "anomaly_auroc >= 0.9", "failed"),
    }


def test_results_csv_has_every_kind_that_ranks_its_models(tmp_path: Path) -> None:
    """Operating points of anomalies with all that they rest on, the numbers of uncertainty, and who failed."""
    run = run_of((anomalies.evaluation, {"m": 1.0}), (doubts.evaluation, {"m": 1.0}))
    odd, doubt = (entry["result"] for entry in run["evaluations"])
    failed = {"status": "failed", "error": {"kind": "crashed", "message": "it died"}}
    run["models"].append({"name": "gone", **failed})
    run["evaluations"].append({**run["evaluations"][0], "model": "gone", "result": None, **failed})
    write_results(run, {}, tmp_path, report=False)
    rows = pq.read_table(tmp_path / "results.parquet").to_pylist()
    points = [row for row in rows if row["kind"] == "anomaly" and row["status"] == "ok"]
    keys = ("target", "threshold", "false_positives", "true_positives", "tpr", "next_normal_score")
    assert [[row[key] for key in keys] for row in points] == [[point[key] for key in keys] for point in odd["points"]]
    for row in points:
        assert (row["n_normal"], row["n_anomalous"]) == (odd["n_normal"], odd["n_anomalous"])
        assert [row[f"auroc_ci_{end}"] for end in ("lower", "upper")] == odd["auroc_ci"]
        assert {row[key] for key in ("threshold_half", "next_impostor_score", "n_genuine", "accuracy", "aurc")} == {
            None
        }
    (unsure,) = [row for row in rows if row["kind"] == "uncertainty"]
    sets = doubt["measures"]["entropy"]["sets"]
    assert (unsure["measure"], unsure["target"], unsure["auroc"]) == ("entropy", None, None)
    assert unsure["foreign_auroc"] == sets["foreign 1"]["detection"]["auroc"]
    assert [unsure[f"aurc_ci_{end}"] for end in ("lower", "upper")] == sets["set"]["coverage"]["aurc_ci"]
    (gone,) = [row for row in rows if row["model"] == "gone"]
    assert (gone["job"], gone["status"], gone["error"], gone["target"]) == ("odd", "failed", "crashed", None)


def test_results_csv_has_classifications(tmp_path: Path) -> None:
    """A row a model, with what ranks it and the ends of its intervals."""
    run = dict(classes.found_of(tmp_path, {"good": 2.0, "weak": 0.6}, None).results)
    write_results(run, {}, tmp_path, report=False)
    rows = pq.read_table(tmp_path / "results.parquet").to_pylist()
    found = {entry["model"]: entry["result"] for entry in run["evaluations"]}
    for row, name in zip(rows, ("good", "weak"), strict=True):
        result = found[name]
        assert (row["kind"], row["model"], row["target"]) == ("classification", name, None)
        numbers = [row[key] for key in ("n_samples", "accuracy", "balanced_accuracy", "macro_f1")]
        assert numbers == [
            *(result[key] for key in ("n_samples", "accuracy", "balanced_accuracy")),
            result["macro"]["f1"],
        ]
        assert [row[f"macro_f1_ci_{end}"] for end in ("lower", "upper")] == result["macro_f1_ci"]
