"""What belongs to the run as a whole: its sets, what failed, what must be known, how to reproduce it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from evaljobs.report.audits import AUDIT, LEAK, audits, verdict_of
from evaljobs.report.results import Document, failed_rows, model_notes
from evaljobs.report.runs.history import joined_findings
from evaljobs.report.section import Finding, Level, Table, worst_first
from evaljobs.report.tables.columns import Column, Kind
from evaljobs.report.tables.escape import visible
from evaljobs.report.tables.listing import first_names
from evaljobs.report.tables.numbers import count_text
from evaljobs.report.tables.verification import FAILURE_COLUMNS, SET_COLUMNS
from evaljobs.report.tables.views import view_text
from evaljobs.report.text.audit_words import headline

_NAMED = 5


def _versions(run: Document) -> str | None:
    return ", ".join(f"{name} {version}" for name, version in (run.get("versions") or {}).items()) or None


_RUN_COLUMNS = [
    Column("name", "run", "name", Kind.TEXT),
    Column("started", "started", "started", Kind.TEXT),
    Column("seconds", "seconds", "seconds", Kind.NUMBER, format=",.1f"),
    Column("provider", "provider", "provider", Kind.TEXT),
    Column("versions", "versions", _versions, Kind.TEXT),
    Column("command", "command", "command", Kind.TEXT),
    Column("config_digest", "configuration digest", "config_digest", Kind.TEXT),
]


class Entry(NamedTuple):
    """A line of a list of facts; ``copied`` where people take the text elsewhere."""

    name: str
    text: str
    copied: bool = False


def sets_table(results: Document) -> Table:
    """Return what the image sets hold."""
    return Table("sets", "Image sets", SET_COLUMNS, results["sets"])


def runs_table(results: Document) -> Table:
    """Return the runs that were joined; no row for the results of one run."""
    return Table("runs", "Runs", _RUN_COLUMNS, (results.get("joined") or {}).get("runs") or ())


def failures_table(results: Document) -> Table:
    """Return what failed: a row per model without any result, then one per evaluation that failed by itself."""
    return Table("failures", "What failed", FAILURE_COLUMNS, failed_rows(results))


def run_findings(results: Document, n_failed: int) -> list[Finding]:
    """Return what must be known of the images and the models, worst first."""
    found = joined_findings(results)
    if n_failed and not results["evaluations"]:  # where there are some, their section says it
        found.append(Finding(Level.BAD, "no model could be evaluated", "The reasons stand below."))
    found += _of_audits(results)
    for image_set in results["sets"]:
        found += _of_set(image_set)
    for note, names in model_notes(results).items():
        found.append(Finding(Level.NOTE, f"{note}: {first_names(names, _NAMED)}"))
    return worst_first(found)


def _of_audits(results: Document) -> Iterator[Finding]:
    """Yield the leaks that audits found: they stand where numbers are read first, unless that is the audit itself."""
    for group in audits(results):
        if verdict_of(group) == LEAK and results["evaluations"][0]["kind"] != AUDIT:
            text = f"{group.job} on {group.set}: {headline(group)}"
            yield Finding(Level.BAD, text, "The section of the audit has all that it found.")


def _of_set(image_set: Document) -> Iterator[Finding]:
    where = f"set {image_set['name']}"
    if view := view_text(image_set):
        yield Finding(Level.NOTE, f"{where}: {view}")
    if excluded := image_set.get("excluded"):
        kinds = ", ".join(f"{n:,} {k.replace('_', ' ')}" for k, n in (image_set.get("excluded_by_kind") or {}).items())
        text = f"{where}: {excluded:,} image(s) could not be used and count for no model{kinds and f': {kinds}'}"
        yield Finding(Level.WARNING, text, "failures.csv lists each with its reason.")
    if single := image_set.get("n_single_labels"):
        yield Finding(Level.NOTE, f"{where}: {single:,} label(s) have one image only, hence no genuine pair")
    for notice in image_set.get("notices") or ():
        yield Finding(Level.NOTE, f"{where}: {notice['n_images']:,} image(s) {notice['explanation']}")


def run_entries(results: Document) -> list[Entry]:
    """Return what is needed to carry the run out again, and what it was carried out with.

    Of joined runs only the digests of the sets: the rest is another for each, and stands in the table of the runs.
    """
    sets = [Entry(f"digest of the set {s['name']}", str(s["digest"]), copied=True) for s in results["sets"]]
    if "joined" in results:
        return sets
    execution = results.get("execution") or {}
    entries = [Entry("configuration digest", str(results.get("config_digest")), copied=True), *sets]
    if execution.get("command"):
        entries.append(Entry("command", str(execution["command"]), copied=True))
    if execution.get("started"):
        entries.append(Entry("started", str(execution["started"])))
    if execution.get("seconds") is not None:
        entries.append(Entry("seconds", f"{execution['seconds']:,.1f}"))
    entries += [Entry(key, str(execution[key])) for key in ("provider", "host", "cores") if execution.get(key)]
    computed = execution.get("computed") or {}
    said = ", ".join(f"{_number(value)} {key.replace('_', ' ')}" for key, value in computed.items())
    entries += [Entry("computed in this run", said)] if said else []
    entries += [Entry(name, str(version)) for name, version in (execution.get("versions") or {}).items()]
    return entries


def run_config(results: Document) -> str:
    """Return the configuration as text of several lines, each made visible; empty where it is not known.

    Joined runs have one each.
    """
    text = "" if "joined" in results else str((results.get("execution") or {}).get("config") or "")
    return "\n".join(map(visible, text.split("\n")))


def _number(value: float) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"


def model_entries(model: Document) -> list[Entry]:
    """Return what is known of a model: file, cost, input, preprocessing, metadata, notes."""
    cost = model.get("cost") or {}
    entries = [Entry(f"tag {key}", str(value)) for key, value in (model.get("tags") or {}).items()]
    entries += _some("digest", model.get("digest"), copied=True)
    entries += [Entry("size", f"{cost['size_mb']:.3g} MB")] if cost.get("size_mb") is not None else []
    entries += [Entry("parameters", count_text(cost["params"]))] if cost.get("params") is not None else []
    entries += [Entry("cost of an image", f"{cost['gflops']:.3g} GFLOPs")] if cost.get("gflops") is not None else []
    for key in ("input", "outputs", "preprocessing"):
        entries += _some(key, _words(model.get(key)))
    entries += _some("batch size", model.get("batch_size"))
    entries += [Entry(f"metadata {key}", str(value)) for key, value in (model.get("metadata") or {}).items()]
    return entries + [Entry("note", str(note)) for note in model.get("notes") or ()]


def _some(name: str, value: object, *, copied: bool = False) -> Sequence[Entry]:
    return [Entry(name, str(value), copied)] if value not in (None, "") else []


def _words(value: object) -> str:
    """Return a mapping, or a list of them, as ``key value, key value``."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(inner)}" for key, inner in value.items() if inner is not None)
    return "; ".join(map(_words, value)) if isinstance(value, list) else str(value or "")


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
