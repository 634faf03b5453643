"""By what models are ranked where no pairs are compared, and how two of them differ in it.

Of classifications accuracy, balanced accuracy, macro F1 and top-k; of uncertainty the mean AUROC of foreign images, and
the area under risk and coverage, of which less is better.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from evaljobs.report.comparing import uncertainties
from evaljobs.report.comparing.differences import Side, difference_row, first_model, grouping
from evaljobs.report.comparing.uncertainties import Number
from evaljobs.report.results import (
    CLASSIFICATION,
    OK,
    UNCERTAINTY,
    Document,
    Group,
    group_rows,
    groups_of,
    kind_of,
    result_of,
)
from evaljobs.report.tables.columns import Row

_TOP = "top_"
# How they are written, for people who write conditions.
NAMES = ("accuracy", "balanced_accuracy", "macro_f1", f"{_TOP}K", "foreign_auroc", "aurc")


class Measure(NamedTuple):
    """A share in [0, 1] by which models can be ranked; ``name`` in files, ``title`` for people."""

    name: str
    title: str


ACCURACY = Measure("accuracy", "accuracy")
BALANCED = Measure("balanced_accuracy", "balanced accuracy")
MACRO_F1 = Measure("macro_f1", "macro F1")
_ALWAYS = (ACCURACY, BALANCED, MACRO_F1)
FOREIGN_AUROC = Measure("foreign_auroc", "AUROC of foreign images")
AURC = Measure("aurc", "AURC")
OF_UNCERTAINTY = (FOREIGN_AUROC, AURC)


def measures_of(group: Group) -> list[Measure]:
    """Return what the models of a group can be ranked by: top-k for every k that one of them was asked for."""
    results = [entry["result"] for entry in group.evaluations.values() if entry["status"] == OK]
    if kind_of(group) == UNCERTAINTY:
        return [m for m in OF_UNCERTAINTY if any(value_of(result, m.name) is not None for result in results)]
    several = sorted({top["k"] for result in results for top in result["top_k"] if top["k"] > 1})
    return [*_ALWAYS, *(measure_of(f"{_TOP}{k}") for k in several)]


def measure_of(name: str) -> Measure:
    """Return a measure by its name; ``top_5`` and the like included."""
    named = {measure.name: measure for measure in (*_ALWAYS, *OF_UNCERTAINTY)}
    return named.get(name) or Measure(name, f"top-{name.removeprefix(_TOP)} accuracy")


def to_have(name: str) -> str:
    """Say what to do so that results have a measure which they lack."""
    if name.startswith(_TOP):
        return f"add it to `{_TOP}k` of the job"
    return "give the job sets of `foreign` images" if name == FOREIGN_AUROC.name else "let the job judge class scores"


def value_of(result: Document | None, name: str) -> float | None:
    """Return a measure of a result; None where it is undefined, or not there."""
    value = _number(result, name).value
    return None if value is None else float(value)


def interval_of(result: Document | None, name: str) -> list[float] | None:
    """Return the 95% interval of a measure; None where there is none."""
    ends = _number(result, name).interval
    return None if ends is None else [float(end) for end in ends]


def _number(result: Document | None, name: str) -> Number:
    if result is None:
        return Number()
    if name == FOREIGN_AUROC.name:
        return uncertainties.foreign_number(uncertainties.leading(result))
    if name == AURC.name:
        return uncertainties.aurc_number(uncertainties.leading(result))
    replicates = (result.get("intervals") or {}).get("replicates") or {}
    if name.startswith(_TOP):
        k = int(name.removeprefix(_TOP))
        place = next((place for place, top in enumerate(result["top_k"]) if top["k"] == k), None)
        if place is None:
            return Number()
        top = result["top_k"][place]
        return Number(top["accuracy"], top["accuracy_ci"], replicates["top_k"][place] if replicates else None)
    value = result["macro"]["f1"] if name == MACRO_F1.name else result[name]
    return Number(value, result[f"{name}_ci"], replicates.get(name))


def class_rows(results: Document, group: Group, measure: Measure = ACCURACY) -> list[dict[str, Any]]:
    """Return the rows of a leaderboard, best first.

    Ordered by the measure, then by accuracy, balanced accuracy and name; models of one value share a rank. Those
    that were judged on other images than most follow (``unranked`` says so, else it is empty), then those without a
    value, then those that failed: all unranked.
    """
    images = _ranked_images(group)
    rows = [{**row, "rank": None, "unranked": _unranked(row["result"], images)} for row in group_rows(results, group)]
    rows.sort(key=partial(_order, measure))
    values = [None if row["unranked"] else value_of(row["result"], measure.name) for row in rows]
    for row, value in zip(rows, values, strict=True):
        if value is not None:
            row["rank"] = values.index(value) + 1
    return rows


def _ranked_images(group: Group) -> str | None:
    """Return the digest of what the models that are ranked left out: those judged on the most images.

    With `missing: exclude` a model is judged on the images whose labels it knows, and one that knows the easy ones
    alone would stand above all others.
    """
    fine = [entry["result"] for entry in group.evaluations.values() if entry["status"] == OK]
    most = min(fine, key=lambda result: (-result["n_samples"], result["excluded"]["digest"] or ""), default=None)
    return None if most is None else most["excluded"]["digest"]


def _unranked(result: Document | None, images: str | None) -> str:
    other = result is not None and result["excluded"]["digest"] != images
    return f"judged on {result['n_samples']:,} other images" if result is not None and other else ""


def _order(measure: Measure, row: Row) -> tuple[Any, ...]:
    values = [value_of(row["result"], name) for name in (measure.name, ACCURACY.name, BALANCED.name)]
    down = [-(0.0 if value is None else value) for value in values]
    return (row["status"] != OK, values[0] is None, bool(row["unranked"]), *down, row["model"]["name"])


def measure_difference(reference: Document, model: Document, name: str) -> dict[str, Any]:
    """Return how a model differs from a reference in one measure, as `evaljobs.report.comparing.differences` has it."""
    return difference_row(name, None, side_of(reference, name), side_of(model, name))


def same_replicates(a: Document, b: Document, name: str) -> bool:
    """Return whether two results have the same replicates of a measure."""
    of_a, of_b = _number(a, name).replicates, _number(b, name).replicates
    return of_a is not None and bool(of_a == of_b)


def side_of(result: Document, name: str) -> Side:
    """Return a measure of a result with its replicates, to be compared with another one's."""
    number = _number(result, name)
    if name in {measure.name for measure in OF_UNCERTAINTY}:
        return uncertainties.side_of(result, number)
    # Models that know different labels, with `missing: exclude`, are judged on different images.
    return Side(number.value, grouping(result), number.replicates, images=result["excluded"]["digest"])


def all_measure_differences(results: Document) -> list[dict[str, Any]]:
    """Return every classification and uncertainty against that of the first model of its group, in each measure."""
    groups = groups_of(results, CLASSIFICATION, UNCERTAINTY)
    return [row for group in groups for row in group_differences(results, group)]


def group_differences(results: Document, group: Group) -> list[dict[str, Any]]:
    """Return every model of a group against its first one, in each measure."""
    return list(_against_first(results, group))


def _against_first(results: Document, group: Group) -> Iterator[dict[str, Any]]:
    reference = first_model(results, group)
    first = None if reference is None else result_of(group, reference)
    if first is None:
        return
    for model in results["models"]:
        name, result = model["name"], result_of(group, model["name"])
        if name != reference and result is not None:
            where = {"job": group.job, "set": group.set, "reference": reference, "model": name}
            yield from ({**where, **measure_difference(first, result, m.name)} for m in measures_of(group))
