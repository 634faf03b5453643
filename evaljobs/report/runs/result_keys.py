"""What the report reads out of a result, by kind of job: a document without it was not written by a run."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

from evaljobs.report.audits import AUDIT, VERDICTS
from evaljobs.report.results import ANOMALY, CLASSIFICATION, MAP, UNCERTAINTY, VERIFICATION

_VERIFICATION = ("protocol", "n_samples", "n_genuine", "n_impostor", "auroc", "auroc_exact", "auroc_bounds", "points")
_POINT = ("target", "tpr", "fpr", "threshold", "next_impostor_score", "false_positives", "true_positives")
_CLASSIFICATION = (
    *("n_samples", "n_correct", "n_tied", "accuracy", "accuracy_ci", "balanced_accuracy", "balanced_accuracy_ci"),
    *("top_k", "macro", "macro_f1_ci", "calibration", "intervals", "excluded"),
)
_CALIBRATION = ("ece", "mce", "mean_confidence", "brier", "nll", "n_impossible")
_MAP = (
    *("n_samples", "n_shown", "sampling", "pca", "tsne", "color"),
    *("nearest_same_label", "nearest_same_label_by_chance"),
)
_UNCERTAINTY = ("n_samples", "measure", "measures", "notes")
_ANOMALY = (
    *("method", "n_samples", "n_normal", "n_anomalous", "auroc", "auroc_exact", "auroc_ci", "points", "intervals"),
    *("normal", "rotations", "rotation_accuracy", "confusion", "notes"),
)
_ANOMALY_POINT = tuple("next_normal_score" if key == "next_impostor_score" else key for key in _POINT)
_AUDIT = ("part", "n_samples", "verdict", "findings", "notes")
_FINDING = ("check", "verdict", "claim", "evidence", "advice")
_OF_SET = ("n_samples", "mean", "median", "split", "changed", "coverage", "detection")


def missing_of(kind: str, result: object) -> Iterator[str]:
    """Yield what a result lacks; nothing for kinds that are not known here."""
    found = mapping(result)
    if kind in _KINDS:
        yield from _KINDS[kind](found)


def mapping(value: object) -> Mapping[str, Any]:
    """Return a value that is a mapping; an empty one for others."""
    return value if isinstance(value, dict) else {}


def _of_verification(result: Mapping[str, Any]) -> Iterator[str]:
    yield from _without(result, _VERIFICATION)
    points = yield from _entries(result, "points", _POINT)
    yield from _of_replicates(result, ("auroc",), "tpr", len(points))


def _of_classification(result: Mapping[str, Any]) -> Iterator[str]:
    yield from _without(result, _CLASSIFICATION)
    tops = yield from _entries(result, "top_k", ("k", "accuracy", "accuracy_ci"))
    yield from _without(mapping(result["macro"]), ("f1",), "result.macro")
    yield from _without(mapping(result["excluded"]), ("n_samples", "n_labels", "digest"), "result.excluded")
    if result["calibration"] is not None:
        yield from _without(mapping(result["calibration"]), _CALIBRATION, "result.calibration")
    yield from _of_replicates(result, ("accuracy", "balanced_accuracy", "macro_f1"), "top_k", len(tops))


def _of_map(result: Mapping[str, Any]) -> Iterator[str]:
    yield from _without(result, _MAP)
    if result["pca"] is not None:
        yield from _without(mapping(result["pca"]), ("explained_variance",), "result.pca")


def _of_uncertainty(result: Mapping[str, Any]) -> Iterator[str]:
    yield from _without(result, _UNCERTAINTY)
    for name, measured in mapping(result["measures"]).items():
        where = f"result.measures.{name}"
        yield from _without(mapping(measured), ("threshold", "sets"), where)
        sets = mapping(measured["sets"])
        yield from _without(sets, ("set",), f"{where}.sets")
        for role, one in sets.items():
            yield from _without(mapping(one), _OF_SET, f"{where}.sets.{role}")
    if result["measure"] not in mapping(result["measures"]):
        yield f"result.measures has no {result['measure']}"


def _of_anomaly(result: Mapping[str, Any]) -> Iterator[str]:
    yield from _without(result, _ANOMALY)
    points = yield from _entries(result, "points", _ANOMALY_POINT)
    yield from _of_replicates(result, ("auroc",), "tpr", len(points))


def _of_audit(result: Mapping[str, Any]) -> Iterator[str]:
    yield from _without(result, _AUDIT)
    if result["part"] == "model":
        yield from _without(result, ("auroc",))
    findings = yield from _entries(result, "findings", _FINDING)
    for place, finding in enumerate(findings):
        if finding["verdict"] not in VERDICTS:
            yield f"result.findings[{place}] has no verdict that is known"
        if finding["check"] == "counterfactual":
            yield from _without(mapping(finding["evidence"]), ("recoding", "differences"), f"result.findings[{place}]")


def _without(found: Mapping[str, Any], keys: Sequence[str], where: str = "result") -> Iterator[str]:
    yield from (f"{where} has no {key}" for key in keys if key not in found)


def _entries(result: Mapping[str, Any], name: str, keys: Sequence[str]) -> Generator[str, None, list[Any]]:
    """Yield what the entries of a list lack; return them."""
    entries: list[Any] = result[name] if isinstance(result[name], list) else [None]
    for place, entry in enumerate(entries):
        yield from _without(mapping(entry), keys, f"result.{name}[{place}]")
    return entries


def _of_replicates(result: Mapping[str, Any], single: Sequence[str], several: str, n: int) -> Iterator[str]:
    """Yield what is wrong with the replicates: a list by each name, and one for each of the several."""
    intervals = result.get("intervals")
    if intervals is None:
        return
    groups, replicates = mapping(intervals).get("groups"), mapping(mapping(intervals).get("replicates"))
    lists = [*(replicates.get(name) for name in single), *(replicates.get(several) or ())]
    if len(lists) != len(single) + n or any(not isinstance(one, list) or len(one) != groups for one in lists):
        yield f"result.intervals has not {groups} replicates of {', '.join(single)} and of each entry of {several}"


_KINDS: Mapping[str, Callable[[Mapping[str, Any]], Iterator[str]]] = {
    VERIFICATION: _of_verification,
    CLASSIFICATION: _of_classification,
    MAP: _of_map,
    UNCERTAINTY: _of_uncertainty,
    ANOMALY: _of_anomaly,
    AUDIT: _of_audit,
}
