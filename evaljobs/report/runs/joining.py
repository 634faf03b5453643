"""Several runs as one: what is the same in them is one thing, what only has the same name is told apart.

Joined, models of several runs stand in one leaderboard, and their replicates on equal images say whether they differ.
The order in which runs are given does not matter: they are taken in the order in which they were made.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from evaljobs.errors import UsageError
from evaljobs.report.results import OK, Document, run_name
from evaljobs.report.runs.joined_names import Names, name_everything
from evaljobs.report.runs.kept_results import kept_findings
from evaljobs.report.runs.told_apart import unused
from evaljobs.schemas import RESULTS_VERSION

# Tables of an evaluation, by (job, set, model) and then by name.
Key = tuple[str, str, str | None]
Tables = Mapping[Key, Mapping[str, pa.Table]]

# How much of a time tells runs apart: the date, the minute, all of it.
_DATE_MINUTE_ALL = (10, 16, 25)
_PLACE = ("job", "set", "model")


class NamedRun(NamedTuple):
    """A run with a name of its own among those that are joined."""

    name: str
    document: Document
    tables: Tables


class Joined(NamedTuple):
    """The results document and the tables of several runs together."""

    document: Document
    tables: Tables


def started(document: Document) -> str:
    """Return when a run began (ISO 8601, UTC), such as ``2026-11-02T03:00:00+00:00``; empty where nobody knows."""
    return str((document.get("execution") or {}).get("started") or "")


def name_runs(runs: Iterable[tuple[Document, Tables]]) -> list[NamedRun]:
    """Give runs names of their own, oldest first: what they are called, and when they began where that is not enough.

    A run that is given twice is one.
    """
    distinct = {_content(document): (document, tables) for document, tables in runs}
    ordered = [run for _, run in sorted(distinct.items(), key=lambda item: (started(item[1][0]), item[0]))]
    named: list[NamedRun] = []
    for document, tables in ordered:
        name = _told_by_time(document, [other for other, _ in ordered if other is not document])
        named.append(NamedRun(unused(name, {run.name for run in named}), document, tables))
    return named


def _told_by_time(document: Document, others: Sequence[Document]) -> str:
    """Return the name of a run with as much of the time of its start as tells it from others of that name."""
    name = run_name(document)
    alike = [other for other in others if run_name(other) == name]
    for length in (0, *_DATE_MINUTE_ALL):
        if started(document)[:length] not in {started(other)[:length] for other in alike}:
            return f"{name} {started(document)[:length]}".strip()
    return f"{name} {started(document)}".strip()


def join(runs: Sequence[tuple[str, Document, Tables]]) -> Joined:
    """Return several runs as one.

    - Sets of equal digest are one set; sets of one name with other images are told apart as ``RUN/SET``.
    - Models of equal name, file, preprocessing and output are one model, of which the newest result counts, unless
      their numbers differ; else they are told apart as ``RUN/MODEL``.
    - Jobs of equal name that compare other pairs of a set are told apart as ``RUN/JOB``.

    Parameters
    ----------
    runs
        A name, the results document and the tables of each; names are unique.

    Returns
    -------
    Joined
        Of one run, or of one that is given several times: that one, unchanged. Of several, the document has ``joined``:
        ``runs``, oldest first (``name``, ``run``, ``config_digest``, ``started``, ``seconds``, ``command``,
        ``provider``, ``versions``, and ``results``: the job, set and model here, and the model's own name there, of
        each evaluation that worked), and ``findings`` (``level``, ``text``, ``advice``: which results are older than
        the last run, since a model failed there, and what was told apart).

    Raises
    ------
    UsageError
        If there is no run, two have one name, or one has a version that cannot be read.
    """
    ordered = _ordered(runs)
    if len(ordered) == 1:
        return Joined(ordered[0].document, ordered[0].tables)
    documents = [(run.name, run.document) for run in ordered]
    names, findings = name_everything(documents)
    evaluations, tables = _evaluations(ordered, names)
    document = {
        "schema_version": RESULTS_VERSION,
        "run": " + ".join(dict.fromkeys(run_name(run.document) for run in ordered)),
        "config_digest": _config_digest(ordered),
        "sets": _sets(ordered, names),
        "models": _models(ordered, names),
        "evaluations": evaluations,
        "joined": {
            "runs": [_about(run, own) for run, own in zip(ordered, names, strict=True)],
            "findings": [*kept_findings(documents, names), *findings],
        },
        "execution": _execution(ordered, names),
    }
    return Joined(document, tables)


def _ordered(runs: Sequence[tuple[str, Document, Tables]]) -> list[NamedRun]:
    """Return the distinct runs, oldest first."""
    if not runs:
        raise UsageError("no run to join; name the folder of at least one")
    distinct: dict[str, NamedRun] = {}
    for run in sorted((NamedRun(*run) for run in runs), key=lambda run: run.name):
        version = run.document.get("schema_version")
        if version != RESULTS_VERSION:
            raise UsageError(
                f"run {run.name!r} has schema_version {version!r}; this version of evaljobs joins {RESULTS_VERSION}. "
                "Run its configuration again: what is in the store is not computed twice"
            )
        distinct.setdefault(_content(run.document), run)
    name, times = max(Counter(run.name for run in distinct.values()).items(), key=lambda item: item[1])
    if times > 1:
        raise UsageError(f"{times} different runs are named {name!r}; give each a name of its own")
    return sorted(distinct.values(), key=lambda run: (started(run.document), run.name))


def _content(document: Document) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode(errors="backslashreplace")).hexdigest()


def _config_digest(ordered: Sequence[NamedRun]) -> str:
    """Return the digest that all have, or one of all theirs."""
    digests = sorted({str(run.document.get("config_digest")) for run in ordered})
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _sets(ordered: Sequence[NamedRun], names: Sequence[Names]) -> list[Document]:
    """Return the sets in order of first appearance, each as the newest run says."""
    found: dict[str, Document] = {}
    for run, own in zip(ordered, names, strict=True):
        found.update({own.sets[e["name"]]: {**e, "name": own.sets[e["name"]]} for e in run.document["sets"]})
    return list(found.values())


def _models(ordered: Sequence[NamedRun], names: Sequence[Names]) -> list[Document]:
    """Return the models in order of first appearance, each as the newest run in which it worked says."""
    found: dict[str, Document] = {}
    for run, own in zip(ordered, names, strict=True):
        for entry in run.document["models"]:
            name = own.models[entry["name"]]
            if name not in found or entry["status"] == OK or found[name]["status"] != OK:
                found[name] = {**entry, "name": name, "series": _series(entry, name)}
    return list(found.values())


def _series(entry: Document, name: str) -> Document | None:
    """Return where a model stands in its line; the lines of models that were told apart are told apart too."""
    series = entry.get("series")
    prefix = name.removesuffix(entry["name"])
    return {**series, "name": f"{prefix}{series['name']}"} if series else None


def _evaluations(ordered: Sequence[NamedRun], names: Sequence[Names]) -> tuple[list[Document], Tables]:
    """Return the evaluations in order of first appearance, each of the newest run in which it worked, with its tables.

    They name no files: those lie in the folders of their runs.
    """
    found: dict[Key, Document] = {}
    tables: dict[Key, Mapping[str, pa.Table]] = {}
    for run, own in zip(ordered, names, strict=True):
        for entry in run.document["evaluations"]:
            key = own.key(entry)
            if key in found and entry["status"] != OK and found[key]["status"] == OK:
                continue
            tables[key] = run.tables.get((entry["job"], entry["set"], entry["model"]), {})
            own_place = dict(zip(_PLACE, key, strict=True))
            found[key] = {**entry, **own_place, "tables": sorted(tables[key]), "figures": []}
    return list(found.values()), tables


def _about(run: NamedRun, own: Names) -> Document:
    """Return what the joined document says of one run."""
    worked = [entry for entry in run.document["evaluations"] if entry["status"] == OK]
    execution = run.document.get("execution") or {}
    return {
        "name": run.name,
        "run": run_name(run.document),
        "config_digest": run.document.get("config_digest"),
        "started": started(run.document) or None,
        **{key: execution.get(key) for key in ("seconds", "command", "provider")},
        "versions": execution.get("versions") or {},
        "results": [{**dict(zip(_PLACE, own.key(e), strict=True)), "own_name": e["model"]} for e in worked],
    }


def _execution(ordered: Sequence[NamedRun], names: Sequence[Names]) -> dict[str, Any]:
    """Return the newest run's, with the models of all and the seconds of all together."""
    executions = [run.document.get("execution") or {} for run in ordered]
    models: dict[str, Any] = {}
    for execution, own in zip(executions, names, strict=True):
        models.update({own.models.get(name, name): of for name, of in (execution.get("models") or {}).items()})
    seconds = [execution["seconds"] for execution in executions if execution.get("seconds") is not None]
    return {**executions[-1], "seconds": sum(seconds), "models": dict(sorted(models.items()))}
