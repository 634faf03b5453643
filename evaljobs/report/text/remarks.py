"""What a person must know beside the numbers, in lines: said at the end of a run, since nothing is silent."""

from __future__ import annotations

from evaljobs.report.results import Document, failed_rows, job_notes, model_notes
from evaljobs.report.tables.columns import Row
from evaljobs.report.tables.escape import visible
from evaljobs.report.tables.listing import first_names
from evaljobs.report.tables.views import view_text

_NAMED = 3


def remarks(results: Document) -> list[str]:
    """Return a line for all that has no result, and for what happened to images and models on the way."""
    lines = [_failure(row) for row in failed_rows(results)]
    made = _made(results)
    for image_set in results["sets"]:
        lines += [] if image_set["name"] in made else _of_set(image_set)
    lines += [f"note: {note}" for note in job_notes(results)]
    lines += [f"note: {note}: {first_names(names, _NAMED)}" for note, names in model_notes(results).items()]
    return [visible(line) for line in lines]


def _made(results: Document) -> set[str]:
    """Return the views that jobs made themselves, under whose names nothing stands."""
    used = {name for entry in results["evaluations"] for name in (entry.get("sets") or {}).values()}
    return used - {name for entry in results["evaluations"] for name in entry["set"].split(" / ")}


def _failure(row: Row) -> str:
    where = None if row["job"] is None else f"{row['job']} on {row['set']}"
    what = ", ".join(part for part in (row["model"]["name"], where) if part)
    return f"{what} ({row['status']}): {(row['error'] or {}).get('message', 'no reason is recorded')}"


def _of_set(image_set: Document) -> list[str]:
    where = f"set {image_set['name']}"
    view = view_text(image_set)
    lines = [f"{where}: {view}"] if view else []
    if excluded := image_set.get("excluded"):
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in (image_set.get("excluded_by_kind") or {}).items())
        text = f"{excluded:,} image(s) are excluded for every model{kinds and f': {kinds}'}"
        lines.append(f"{where}: {text} (failures.csv)")
    if single := image_set.get("n_single_labels"):
        lines.append(f"{where}: {single:,} label(s) have one image only, hence no genuine pair")
    return lines + [f"{where}: {n['n_images']:,} image(s) {n['explanation']}" for n in image_set.get("notices") or ()]
