"""What is logged of a finished run: an entry for the results as a whole, and one for each model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from evaljobs.report.results import ANOMALY, CLASSIFICATION, OK, VERIFICATION, Document, run_name
from evaljobs.report.tables.numbers import rate_text

ID_TAG = "evaljobs.run_id"
MODEL_TAG = "evaljobs.model"

# What MLflow takes for a name; and how long a parameter may be, whatever its store.
_NO_NAME = re.compile(r"[^\w.\-/ :]+", re.ASCII)
_LONGEST = 500
# Of a classification whose scores are known to be logits or probabilities.
_CALIBRATION = ("ece", "mce", "mean_confidence", "brier", "nll")


@dataclass(frozen=True)
class Entry:
    """One logged run: its name, the tags by which it is found again, what was asked, and what was found."""

    name: str
    tags: dict[str, str]
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)


def run_id(document: Document) -> str:
    """Return what a run is known by: the sha256 of its configuration's digest, its name, and when it began."""
    began = (document.get("execution") or {}).get("started")
    text = f"{document.get('config_digest')} {run_name(document)} {began}"
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()


def whole_entry(document: Document) -> Entry:
    """Return what is logged of a run as a whole."""
    execution = document.get("execution") or {}
    params = {
        "config_digest": document.get("config_digest"),
        "provider": execution.get("provider"),
        "models": len(document["models"]),
        **{f"set.{entry['name']}": entry["digest"] for entry in document["sets"]},
        **{f"version.{name}": version for name, version in (execution.get("versions") or {}).items()},
    }
    return Entry(run_name(document) or "evaljobs", {ID_TAG: run_id(document), MODEL_TAG: ""}, _texts(params))


def model_entries(document: Document) -> Iterator[Entry]:
    """Yield what is logged of each model: tags and digest as parameters, results and cost as metrics."""
    places = {(e["job"], e["set"]) for e in document["evaluations"]}
    for model in document["models"]:
        params = {"digest": model.get("digest"), "status": model["status"]}
        params |= {f"tag.{key}": value for key, value in (model.get("tags") or {}).items()}
        series = model.get("series") or {}
        params |= {f"series.{key}": value for key, value in series.items()}
        metrics = {key: float(value) for key, value in (model.get("cost") or {}).items() if value is not None}
        for entry in document["evaluations"]:
            if entry["model"] == model["name"] and entry["status"] == OK:
                prefix = "" if len(places) == 1 else f"{entry['job']}/{entry['set']}/"
                metrics |= {f"{prefix}{key}": value for key, value in _metrics(entry)}
        tags = {ID_TAG: run_id(document), MODEL_TAG: model["name"]}
        yield Entry(model["name"], tags, _texts(params), {_name(key): value for key, value in metrics.items()})


def _metrics(entry: Document) -> Iterator[tuple[str, float]]:
    """Yield the numbers of an evaluation: of verification and anomaly those of points, of others those at the top.

    Those of a classification have the ends of their intervals, and macro F1, top-k and calibration beside them.
    """
    result = entry["result"]
    if entry["kind"] in {VERIFICATION, ANOMALY}:
        yield from _of_points(result)
        return
    numbers = {key: value for key, value in result.items() if isinstance(value, int | float)}
    for key, value in numbers.items():
        if not isinstance(value, bool):
            yield from _with_ends(key, value, result.get(f"{key}_ci"))
    if entry["kind"] == CLASSIFICATION:
        yield from _of_classification(result)


def _of_classification(result: Document) -> Iterator[tuple[str, float]]:
    macro_f1 = result["macro"]["f1"]
    if macro_f1 is not None:
        yield from _with_ends("macro_f1", macro_f1, result.get("macro_f1_ci"))
    for top in result["top_k"]:
        yield from _with_ends(f"top_{top['k']}", top["accuracy"], top.get("accuracy_ci"))
    calibration = result.get("calibration") or {}
    for key in _CALIBRATION:
        if calibration.get(key) is not None:
            yield key, float(calibration[key])


def _of_points(result: Document) -> Iterator[tuple[str, float]]:
    if result["auroc"] is not None:
        yield from _with_ends("auroc", result["auroc"], result.get("auroc_ci"))
    for point in result["points"]:
        target = rate_text(float(point["target"]))
        if point["tpr"] is not None:
            yield from _with_ends(f"tpr_at_{target}", point["tpr"], point.get("tpr_ci"))
        if point.get("threshold") is not None:
            yield f"threshold_at_{target}", float(point["threshold"])


def _with_ends(name: str, value: float, ends: Any) -> Iterator[tuple[str, float]]:
    yield name, float(value)
    if ends is not None:
        yield f"{name}_lower", float(ends[0])
        yield f"{name}_upper", float(ends[1])


def _texts(params: Mapping[str, Any]) -> dict[str, str]:
    cut = {key: str(value) for key, value in params.items() if value is not None}
    return {_name(key): text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..." for key, text in cut.items()}


def _name(text: str) -> str:
    return _NO_NAME.sub("_", text)[:250]
