"""What the tables and figures read out of a results document.

The document is what stands in ``results.json``: plain mappings, lists, text, numbers, booleans and null. An evaluation
or a model that worked has the status ``"ok"``; a model is not ``"ok"`` when any of its evaluations failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

# JSON is typed by its schema, not by Python: this alias is the one place that says so.
Document = Mapping[str, Any]

OK = "ok"
VERIFICATION, CLASSIFICATION, MAP, UNCERTAINTY = "verification", "classification", "map", "uncertainty"
ANOMALY = "anomaly"
# Kinds of jobs that rank their models: two runs are compared in them, gates speak of them, results.csv has them.
RANKED = (VERIFICATION, CLASSIFICATION, ANOMALY, UNCERTAINTY)


class Group(NamedTuple):
    """Evaluations that can be compared: one job on one set, by model name."""

    job: str
    set: str
    evaluations: dict[str, Document]


def run_name(results: Document) -> str:
    """Return the name of the run, whether it stands there as text or in a mapping."""
    run = results.get("run")
    return str(run.get("name", "")) if isinstance(run, Mapping) else str(run or "")


def verification_groups(results: Document) -> list[Group]:
    """Return the verifications by (job, set), in the order in which they stand."""
    return groups_of(results, VERIFICATION)


def groups_of(results: Document, *kinds: str) -> list[Group]:
    """Return the evaluations of some kinds of jobs by (job, set), in the order in which they stand."""
    groups: dict[tuple[str, str], Group] = {}
    for evaluation in results["evaluations"]:
        if evaluation["kind"] in kinds:
            key = (evaluation["job"], evaluation["set"])
            groups.setdefault(key, Group(*key, {})).evaluations[evaluation["model"]] = evaluation
    return list(groups.values())


def all_groups(results: Document) -> list[Group]:
    """Return the evaluations of every kind of job by (job, set), in the order in which they stand."""
    return groups_of(results, *(evaluation["kind"] for evaluation in results["evaluations"]))


def kind_of(group: Group) -> str:
    """Return the kind of job of a group that is not empty."""
    return str(next(iter(group.evaluations.values()))["kind"])


def tag_keys(results: Document) -> list[str]:
    """Return every tag that some model has, in the order of first appearance."""
    return list(dict.fromkeys(key for model in results["models"] for key in model.get("tags") or {}))


def group_rows(results: Document, group: Group) -> Iterator[dict[str, Any]]:
    """Yield a row per model of a group, failed ones included, in the order of the models.

    A model that has no evaluation at all was refused or lost, and is a row of every group whose job takes all models. A
    job that comes after another one and takes some of its models was never asked for the others.

    Yields
    ------
    dict
        ``job``, ``set``, ``model`` (the model's entry), ``result`` (of the evaluation, or null), ``status`` and
        ``error`` (null, or kind and message).
    """
    evaluated = {entry["model"] for entry in results["evaluations"]}
    # Whoever asks all models asks every one that can be asked anything.
    chosen = any(model["name"] in evaluated - group.evaluations.keys() for model in results["models"])
    for model in results["models"]:
        evaluation = group.evaluations.get(model["name"])
        if evaluation is not None:
            yield _row(group.job, group.set, model, evaluation)
        elif model["status"] != OK and model["name"] not in evaluated and not chosen:
            yield _row(group.job, group.set, model, model)


def image_rates(results: Document) -> dict[str, float]:
    """Return the images that each model took in a second, by name; without those that nobody has measured."""
    models = (results.get("execution") or {}).get("models") or {}
    return {name: model["images_per_s"] for name, model in models.items() if model.get("images_per_s")}


def earlier_rates(results: Document) -> frozenset[str]:
    """Return the models whose rate was not measured in this run: the store keeps it, but not on which machine."""
    models = (results.get("execution") or {}).get("models") or {}
    return frozenset(name for name, model in models.items() if model.get("measured") == "earlier")


def result_of(group: Group, model: str) -> Document | None:
    """Return the result of a model in a group; None where it is not there or failed."""
    evaluation = group.evaluations.get(model)
    return evaluation["result"] if evaluation and evaluation["status"] == OK else None


def failed_rows(results: Document) -> list[dict[str, Any]]:
    """Return a row per model that has no result at all, then one per evaluation that failed by itself."""
    worked = {e["model"] for e in results["evaluations"] if e["status"] == OK}
    lost = {m["name"]: m for m in results["models"] if m["status"] != OK and m["name"] not in worked}
    models = {model["name"]: model for model in results["models"]}
    # A job without a model (an audit of the images, say) fails too.
    alone = [
        _row(e["job"], e["set"], models.get(e["model"], {"name": e["model"]}), e)
        for e in results["evaluations"]
        if e["status"] != OK and e["model"] not in lost
    ]
    return [*(_row(None, None, model, model) for model in lost.values()), *alone]


def _row(job: str | None, set_name: str | None, model: Document, judged: Document) -> dict[str, Any]:
    ok = judged["status"] == OK
    return {
        "job": job,
        "set": set_name,
        "model": model,
        "result": judged.get("result") if ok else None,
        "status": judged["status"],
        "error": None if ok else judged.get("error") or model.get("error"),
    }


def model_notes(results: Document) -> dict[str, list[str]]:
    """Return what was assumed or left out for models: the names of the models by note."""
    notes: dict[str, list[str]] = {}
    for model in results["models"]:
        for note in model.get("notes") or ():
            notes.setdefault(str(note), []).append(model["name"])
    return notes


def job_notes(results: Document) -> list[str]:
    """Return what was said about evaluations, a line each: once for each job, and of how many models."""
    lines = []
    for group in all_groups(results):
        fine = [e["result"] for e in group.evaluations.values() if e["status"] == OK]
        notes = Counter(note for result in fine for note in result.get("notes") or ())
        for note, models in notes.items():
            some = "" if models == len(fine) else f" ({models:,} of {len(fine):,} models)"
            lines.append(f"job {group.job} on {group.set}: {note}{some}")
    return lines
