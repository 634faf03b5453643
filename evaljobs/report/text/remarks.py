"""What a person must know beside the numbers, in lines: said at the end of a run, since nothing is silent."""

from __future__ import annotations

from evaljobs.report.results import OK, Document, job_notes, model_notes
from evaljobs.report.tables.escape import visible

_NAMED = 3


def remarks(results: Document) -> list[str]:
    """Return a line for each model without a result, and for what happened to images and models on the way."""
    lines = [
        f"{model['name']} ({model['status']}): {model['error']['message']}"
        for model in results["models"]
        if model["status"] != OK
    ]
    for image_set in results["sets"]:
        lines += _of_set(image_set)
    lines += [f"note: {note}" for note in job_notes(results)]
    lines += [f"note: {note}: {_names(names)}" for note, names in model_notes(results).items()]
    return [visible(line) for line in lines]


def _of_set(image_set: Document) -> list[str]:
    where = f"set {image_set['name']}"
    lines = []
    if image_set["excluded"]:
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in image_set["excluded_by_kind"].items())
        excluded = f"{image_set['excluded']:,} image(s) are excluded for every model"
        lines.append(f"{where}: {excluded}: {kinds} (failures.csv)")
    if image_set["n_single_labels"]:
        lines.append(f"{where}: {image_set['n_single_labels']:,} label(s) have one image only, hence no genuine pair")
    return lines + [f"{where}: {n['n_images']:,} image(s) {n['explanation']}" for n in image_set["notices"]]


def _names(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
