"""Models by how much their uncertainty tells: of foreign images, and of their own mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from evaljobs.report.comparing.differences import Side
from evaljobs.report.results import OK, UNCERTAINTY, Document, Group, group_rows, groups_of

# As `evaljobs.uncertainty.measures` has them, which no report imports; a test compares them.
TITLES: Final[Mapping[str, str]] = {
    "entropy": "softmax entropy",
    "doubt": "1 - confidence",
    "predictive_entropy": "predictive entropy",
    "mutual_information": "mutual information",
    "expected_entropy": "expected entropy",
    "variance": "variance",
    "disagreement": "disagreement",
    "distance": "distance",
    "farthest": "k-th distance",
}
KNOWN: Final = "set"


def measures_of(group: Group) -> list[str]:
    """Return what the models of a group were measured by, the leading one first."""
    results = [entry["result"] for entry in group.evaluations.values() if entry["status"] == OK]
    named = dict.fromkeys([result["measure"] for result in results])
    return list(named | dict.fromkeys(name for result in results for name in result["measures"]))


def title_of(measure: str) -> str:
    """Return what a measure is called."""
    return TITLES.get(measure, measure)


def set_names(group: Group) -> dict[str, str]:
    """Return the names of the sets by role: ``set``, ``corrupted 1``, ..., ``foreign 1``, ..., ``reference``."""
    entry = next(iter(group.evaluations.values()))
    return dict(entry.get("sets") or {KNOWN: group.set})


def foreign_of(found: Document) -> dict[str, Document]:
    """Return what a measure found on each foreign set, by role."""
    return {role: one for role, one in found["sets"].items() if one["detection"] is not None}


def foreign_auroc(found: Document | None) -> float | None:
    """Return the mean AUROC over the foreign sets; None without any."""
    several = [] if found is None else [one["detection"]["auroc"] for one in foreign_of(found).values()]
    return sum(several) / len(several) if several else None


def aurc_of(found: Document | None) -> float | None:
    """Return the area under the risk-coverage curve of the in-distribution images; None where nobody is right."""
    coverage = None if found is None else found["sets"][KNOWN]["coverage"]
    return None if coverage is None else float(coverage["aurc"])


class Number(NamedTuple):
    """A number of a model, its 95% interval, and the number without each group; None where there is none."""

    value: float | None = None
    interval: Sequence[float] | None = None
    replicates: Sequence[float | None] | None = None


def leading(result: Document) -> Document | None:
    """Return what the leading measure of a result found."""
    found: Document | None = result["measures"].get(result["measure"])
    return found


def foreign_number(found: Document | None) -> Number:
    """Return the mean AUROC over the foreign sets; of a mean over several there is no interval."""
    detections = [] if found is None else [one["detection"] for one in foreign_of(found).values()]
    one = detections[0] if len(detections) == 1 else {}
    return Number(foreign_auroc(found), one.get("auroc_ci"), one.get("replicates"))


def aurc_number(found: Document | None) -> Number:
    """Return the area under the risk-coverage curve of the in-distribution images."""
    coverage = (None if found is None else found["sets"][KNOWN]["coverage"]) or {}
    return Number(aurc_of(found), coverage.get("aurc_ci"), coverage.get("replicates"))


def side_of(result: Document, number: Number) -> Side:
    """Return a number of a result, to be compared with another one's."""
    # Of other labels that are left out, other images are judged.
    images = f"{result['n_samples']} {result.get('excluded')}"
    grouping = {"unit": "image", "groups": len(number.replicates or ())}
    return Side(number.value, grouping, number.replicates or None, images=images)


def uncertainty_rows(results: Document, group: Group, measure: str) -> list[dict[str, Any]]:
    """Return a row for each model, best first by a measure; those that failed last.

    By the mean AUROC over foreign sets, else by the area under the risk-coverage curve. Models of one value share a
    rank.

    Returns
    -------
    list of dict
        As `group_rows`, with ``rank``, ``found`` (what the measure found), ``auroc`` and ``aurc``.
    """
    rows = []
    for row in group_rows(results, group):
        found = None if row["result"] is None else row["result"]["measures"].get(measure)
        rows.append({**row, "found": found, "auroc": foreign_auroc(found), "aurc": aurc_of(found), "rank": None})
    rows.sort(key=_order)
    values = [_goodness(row) for row in rows]
    for row, value in zip(rows, values, strict=True):
        row["rank"] = None if value is None else values.index(value) + 1
    return rows


def _goodness(row: Mapping[str, Any]) -> float | None:
    if row["auroc"] is not None:
        return float(row["auroc"])
    return None if row["aurc"] is None else -float(row["aurc"])


def _order(row: Mapping[str, Any]) -> tuple[Any, ...]:
    value = _goodness(row)
    return row["status"] != OK, value is None, 0.0 if value is None else -value, row["model"]["name"]


def ranked(results: Document, group: Group) -> list[str]:
    """Return the models that have a result, best first by the leading measure."""
    measures = measures_of(group)
    if not measures:
        return []
    return [row["model"]["name"] for row in uncertainty_rows(results, group, measures[0]) if row["status"] == OK]


def uncertainty_groups(results: Document) -> list[Group]:
    """Return the uncertainty jobs of a run."""
    return groups_of(results, UNCERTAINTY)
