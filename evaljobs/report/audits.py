"""What the report reads out of audits: the part on images, and those of models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import pyarrow as pa

from evaljobs.report.results import OK, Document, Group, groups_of

AUDIT = "audit"
_NO_LABELS = {"label_a": None, "label_b": None}
# Of one job on one set: by model, None for the part on images, and by name.
Tables = Mapping[Any, Mapping[str, pa.Table]]
# Pairs of duplicates, and of images whose labels are likely wrong, that a sheet shows.
DUPLICATES, SUSPECTS = 16, 16
# How bad a verdict is, worst first; as `evaljobs.audit.finding.Verdict`.
LEAK = "leak"
VERDICTS = (LEAK, "suspicious", "unknown", "clean")


def audits(results: Document) -> list[Group]:
    """Return the audits of a run by (job, set)."""
    return groups_of(results, AUDIT)


def of_images(group: Group) -> Document | None:
    """Return the result of the part that needs no model; None where it is not there or failed."""
    return next((e["result"] for name, e in _entries(group) if name is None and e["status"] == OK), None)


def of_models(group: Group) -> dict[str, Document]:
    """Return the results by model, in the order of the evaluations."""
    return {n: e["result"] for n, e in _entries(group) if n is not None and e["status"] == OK}


def _entries(group: Group) -> Iterable[tuple[str | None, Document]]:
    """Return the evaluations by model, or by None: a group of others has models alone."""
    return cast("Iterable[tuple[str | None, Document]]", group.evaluations.items())


def all_findings(group: Group) -> Iterator[tuple[str | None, Mapping[str, Any]]]:
    """Yield each finding with the name of the model that it is about; None: it is about the images."""
    images = of_images(group)
    parts = [*([] if images is None else [(None, images)]), *of_models(group).items()]
    yield from ((name, finding) for name, result in parts for finding in result["findings"])


def verdict_of(group: Group) -> str:
    """Return the worst verdict of an audit; ``unknown`` where nothing else was found."""
    found = {finding["verdict"] for _, finding in all_findings(group)} - {"unknown"}
    return next((verdict for verdict in VERDICTS if verdict in found), "unknown")


def by_verdict(group: Group) -> list[tuple[str | None, Mapping[str, Any]]]:
    """Return all findings, the worst first; of those what moves a model's numbers, the greatest fall first."""
    return sorted(all_findings(group), key=lambda one: (VERDICTS.index(one[1]["verdict"]), _fall(one[1])))


def _fall(finding: Mapping[str, Any]) -> float:
    """Return by how much an AUROC rose; 0 for other findings."""
    rows = finding["evidence"].get("differences") or () if finding["check"] == "counterfactual" else ()
    return next((row["difference"] or 0.0 for row in rows if row["metric"] == "auroc"), 0.0)


def falls(result: Document) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield what each way to encode all images anew does to the AUROC of a model: its title, and the difference."""
    for finding in result["findings"]:
        evidence = finding["evidence"]
        if finding["check"] == "counterfactual":
            yield from ((evidence["recoding"], row) for row in evidence["differences"] if row["metric"] == "auroc")


def evidence_of(result: Document, check: str) -> Mapping[str, Any] | None:
    """Return the evidence of the first finding of a check; None where there is none."""
    return next((finding["evidence"] for finding in result["findings"] if finding["check"] == check), None)


def rows_of(tables: Tables, model: str | None, name: str) -> list[dict[str, Any]]:
    """Return the rows of a table of an evaluation; none where there is no such table."""
    table = tables.get(model, {}).get(name)
    return [] if table is None else list(table.to_pylist())


def duplicate_rows(tables: Tables) -> list[dict[str, Any]]:
    """Return pairs of duplicates, those with different labels first, exact ones before near ones.

    Returns
    -------
    list of dict
        ``where`` (``set`` or ``training``), ``id_a``, ``id_b``, ``label_a``, ``label_b``, ``distance`` (None: equal
        bytes), and digests of the images.
    """
    names = {"exact": "set", "near": "set", "training_exact": "training", "training_near": "training"}
    rows = [
        {**_NO_LABELS, "id_a": row.get("id"), **row, "where": where, "distance": row.get("distance")}
        for name, where in names.items()
        for row in rows_of(tables, None, name)
    ]
    return sorted(rows, key=lambda row: (row["where"] != "set", row["label_a"] == row["label_b"], row["distance"] or 0))


def suspect_rows(tables: Tables, models: Iterable[str]) -> list[dict[str, Any]]:
    """Return images whose labels are likely wrong, those first that most models say it of."""
    told: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for name in models:
        for row in rows_of(tables, name, "label_errors"):
            told.setdefault((row.get("id_a", row["row_a"]), row["suggested"]), []).append(row)
    rows = [{**several[0], "n_models": len(several)} for several in told.values()]
    return sorted(
        ({**row, "label_a": row["label"], "label_b": row["suggested"]} for row in rows),
        key=lambda row: (-row["n_models"], -row["score"], str(row.get("id_a"))),
    )
