"""Which models failed in the last run that has them, while an older result of theirs is shown."""

from __future__ import annotations

from collections.abc import Sequence

from evaljobs.report.results import OK, Document
from evaljobs.report.runs.joined_names import Names

Key = tuple[str, str, str | None]

_NAMED = 6


def kept_findings(runs: Sequence[tuple[str, Document]], names: Sequence[Names]) -> list[dict[str, str]]:
    """Say which results are of an older run, since the model failed in a newer one: ``level``, ``text``, ``advice``.

    Parameters
    ----------
    runs
        Name and results document of each, oldest first.
    names
        What their models are called here.
    """
    worked: dict[Key, str] = {}
    last: dict[str, tuple[str, list[Key]]] = {}
    for (run, document), own in zip(runs, names, strict=True):
        worked.update({own.key(e): run for e in document["evaluations"] if e["status"] == OK})
        failed = _failed(document, own)
        for model in document["models"]:
            name = own.models[model["name"]]
            asked = failed.get(model["name"], [])
            # One that was refused has no evaluations: all that are there of it are older.
            every = [] if asked or model["status"] == OK else [key for key in worked if key[2] == name]
            last[name] = (run, [*asked, *every])
    kept: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for name, (run, keys) in last.items():
        of = tuple(dict.fromkeys(worked[key] for key in keys if worked.get(key, run) != run))
        if of:
            kept.setdefault((run, of), []).append(name)
    return [_finding(run, of, models) for (run, of), models in kept.items()]


def _failed(document: Document, own: Names) -> dict[str, list[Key]]:
    """Return the models of a run that failed in some evaluation, each with these by their names here."""
    found: dict[str, list[Key]] = {}
    for entry in document["evaluations"]:
        if entry["status"] != OK and entry["model"] is not None:
            found.setdefault(entry["model"], []).append(own.key(entry))
    return found


def _finding(run: str, of: Sequence[str], models: Sequence[str]) -> dict[str, str]:
    more = f" and {len(models) - _NAMED:,} more" if len(models) > _NAMED else ""
    which = "their results are" if len(models) > 1 else "its result is"
    return {
        "level": "bad",
        "text": f"failed in {run}: {', '.join(models[:_NAMED])}{more}; {which} of {', '.join(of)}",
        "advice": f"the report of {run} has the reasons",
    }
