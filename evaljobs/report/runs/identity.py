"""Whether what two runs call by one name is the same thing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from evaljobs.report.audits import AUDIT, falls
from evaljobs.report.results import ANOMALY, CLASSIFICATION, MAP, OK, VERIFICATION, Document

# Numbers of one model on one set, made on two machines.
_TOLERANCE = 1e-6
# What two equal evaluations may say in other words.
_REMARKS = frozenset({"notes", "self_check"})

# What two results of the same pairs have in common.
_COUNTS = ("protocol", "n_samples", "n_genuine", "n_impostor")


def same_model(a: Document, b: Document) -> bool:
    """Return whether two entries are one file that is used in one way: equal pixels in, equal tensors out.

    Runs whose jobs ask for other outputs use a file in one way as far as both use it.
    """
    if a["name"] != b["name"] or a.get("digest") != b.get("digest"):
        return False
    if a.get("digest") is None:  # never read: refused, or of a document that does not say
        return (a.get("error") or {}).get("kind") == (b.get("error") or {}).get("kind")
    outputs = [{output["role"]: output for output in model.get("outputs") or ()} for model in (a, b)]
    common = outputs[0].keys() & outputs[1].keys()
    return _seen(a) == _seen(b) and all(outputs[0][role] == outputs[1][role] for role in common)


def _seen(model: Document) -> tuple[Any, ...]:
    """Return what a model is shown, whoever decided it."""
    preprocessing = {key: value for key, value in (model.get("preprocessing") or {}).items() if key != "sources"}
    return preprocessing, model.get("input")


def question_of(evaluations: Sequence[Document]) -> tuple[Any, ...]:
    """Return what one job on one set asks for: its kind, and what it compares, where a model says so.

    Parameters
    ----------
    evaluations
        Of all models.

    Returns
    -------
    tuple
        Equal for equal questions; of the kind alone where no model has a result, or none says what it was asked.
    """
    for entry in evaluations:
        if entry["status"] == OK:
            result = entry["result"]
            if entry["kind"] == CLASSIFICATION:  # not how many images: each model may leave out others
                asked = (result.get("asked") or {}).get("digest")
                return (CLASSIFICATION, asked) if asked else (CLASSIFICATION,)
            if entry["kind"] == AUDIT:
                ways = {title for one in evaluations if one["status"] == OK for title, _ in falls(one["result"])}
                return (AUDIT, result["n_samples"], tuple(sorted(ways)))
            if entry["kind"] == ANOMALY:
                return (ANOMALY, result["method"], tuple(result["normal"]), result["n_samples"])
            listed = result.get("listed") or {}
            return (entry["kind"], *(result.get(key) for key in _COUNTS), listed.get("digest"))
    return (evaluations[0]["kind"],)


def agree(a: Document, b: Document) -> bool:
    """Return whether two evaluations of one model on one set found the same, as far as both looked for it.

    Verifications agree where their true positives at common targets and their AUROC are equal; classifications where
    they judge the same images and as many are right, whatever bins, groups and top-k they were asked for; maps always,
    since they only show; audits where the AUROC is equal; other kinds where all that both have is equal. An evaluation
    that failed contradicts nothing.
    """
    if a["status"] != OK or b["status"] != OK:
        return True
    kind, first, second = a["kind"], a["result"], b["result"]
    if kind == VERIFICATION:
        return _same_pairs_found(first, second)
    if kind == CLASSIFICATION:
        return _decided(first) == _decided(second)
    if kind == AUDIT:  # of images both say the same, or their files were read otherwise; what was asked may differ
        return first.get("auroc") is None or _same(first["auroc"], second.get("auroc"))
    return kind == MAP or _same({k: v for k, v in first.items() if k not in _REMARKS}, second)


def _decided(result: Document) -> tuple[Any, ...]:
    """Return the whole numbers of a classification, and which images were left out."""
    return result["n_samples"], result["n_correct"], result["excluded"]["digest"]


def _same_pairs_found(first: Document, second: Document) -> bool:
    counts = [{float(p["target"]): p.get("true_positives") for p in result["points"]} for result in (first, second)]
    common = counts[0].keys() & counts[1].keys()
    return all(counts[0][t] == counts[1][t] for t in common) and _same_auroc(first, second)


def _same_auroc(a: Document, b: Document) -> bool:
    if a["auroc"] is None or b["auroc"] is None:
        return a["auroc"] is b["auroc"]
    # Bounds of different tiles differ; the number lies in both.
    error = sum((r["auroc_bounds"][1] - r["auroc_bounds"][0]) / 2 for r in (a, b) if not r["auroc_exact"])
    return bool(abs(a["auroc"] - b["auroc"]) <= error + _TOLERANCE)


def _same(a: object, b: object) -> bool:
    """Return whether two values are equal: floats up to what another machine may change, mappings in common keys."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return all(_same(a[key], b[key]) for key in a.keys() & b.keys())
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return a == b
