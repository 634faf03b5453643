"""The tables of uncertainty: a row for each model, each set, each measure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

from evaljobs.report.comparing.uncertainties import KNOWN, foreign_auroc, foreign_of, set_names, title_of
from evaljobs.report.results import Document, Group, tag_keys
from evaljobs.report.tables.columns import Column, Kind, Row, count_column, end_columns, number_column
from evaljobs.report.tables.numbers import interval_text
from evaljobs.report.tables.verification import COST_COLUMNS, STATUS_COLUMN, TAG, tag_columns

BOARD_NOTES: Final = (
    "An image is unsure if its uncertainty is at least the threshold.",
    "Foreign images are the positives of AUROC, AUPR and FPR at 95% TPR; ties count one half in the AUROC.",
    "AURC: the mean share of wrong images among the surest, over all coverages (less is better).",
)


def board_columns(results: Document, group: Group) -> list[Column]:
    """Return the columns of the rows of `uncertainty_rows`."""
    names = set_names(group)
    foreign = [role for role in names if role.startswith("foreign")]
    return [
        Column("rank", "rank", "rank", Kind.INTEGER),
        Column("model", "model", "model.name", Kind.TEXT),
        *tag_columns(tag_keys(results), TAG),
        *(column for role in foreign for column in _foreign_columns(role, names[role], len(foreign) > 1)),
        Column(
            "aurc",
            "AURC",
            "aurc",
            Kind.NUMBER,
            format=_aurc_text,
            beside=end_columns("aurc_ci", _COVERAGE + ".aurc_ci", "AURC"),
        ),
        number_column("auroc_errors", "AUROC of mistakes", _COVERAGE + ".auroc_errors"),
        number_column("threshold", "threshold", "found.threshold.value", ".6g"),
        count_column("n_unsure", "unsure", "found.sets.set.split.n_unsure"),
        _share("accuracy_unsure", "right of them", "found.sets.set.split.accuracy_unsure"),
        count_column("n_sure", "sure", "found.sets.set.split.n_sure"),
        _share("accuracy_sure", "right of them", "found.sets.set.split.accuracy_sure"),
        *COST_COLUMNS,
        STATUS_COLUMN,
    ]


_COVERAGE = "found.sets.set.coverage"


def _foreign_columns(role: str, name: str, several: bool) -> Iterator[Column]:
    """Yield what is told of one foreign set."""
    key = role.replace(" ", "_")
    of = f" ({name})" if several else ""
    yield Column(
        f"{key}_auroc",
        f"AUROC{of}",
        partial(_detected, role, "auroc"),
        Kind.NUMBER,
        format=partial(_auroc_text, role),
        beside=tuple(
            Column(f"{key}_auroc_ci_{end}", f"AUROC {end} end{of}", partial(_end, role, place), Kind.NUMBER)
            for place, end in enumerate(("lower", "upper"))
        ),
        strong=_is_first,
    )
    for measure, title in (("aupr", "AUPR"), ("aupr_negative", "AUPR of in-distribution")):
        yield Column(f"{key}_{measure}", f"{title}{of}", partial(_detected, role, measure), Kind.NUMBER, format=".4f")
    yield Column(f"{key}_fpr95", f"FPR at 95% TPR{of}", partial(_fpr, role), Kind.NUMBER, format=".4f")
    yield Column(f"{key}_unsure", f"foreign unsure{of}", partial(_unsure, role), Kind.NUMBER, format=".1%")


def _found(role: str, row: Row) -> Any:
    return None if row["found"] is None else row["found"]["sets"].get(role)


def _detected(role: str, key: str, row: Row) -> Any:
    one = _found(role, row)
    return None if one is None else one["detection"][key]


def _fpr(role: str, row: Row) -> float | None:
    one = _found(role, row)
    return None if one is None else float(one["detection"]["at_tpr"]["fpr"])


def _unsure(role: str, row: Row) -> float | None:
    one = _found(role, row)
    return None if one is None else one["split"]["share_unsure"]


def _end(role: str, place: int, row: Row) -> float | None:
    ends = _detected(role, "auroc_ci", row)
    return None if ends is None else float(ends[place])


def _auroc_text(role: str, row: Row) -> str:
    return interval_text(_detected(role, "auroc", row), _detected(role, "auroc_ci", row))


def _aurc_text(row: Row) -> str:
    coverage = row["found"]["sets"][KNOWN]["coverage"]
    return interval_text(coverage["aurc"], coverage["aurc_ci"])


def _is_first(row: Row) -> bool:
    return bool(row["rank"] == 1)


def split_rows(group: Group, models: Sequence[str], measures: Sequence[str]) -> list[dict[str, Any]]:
    """Return how many images of each set are sure and unsure, and how many of them are right: a row for each."""
    return [row for model in models for measure in measures for row in _splits(group, model, measure)]


def _splits(group: Group, model: str, measure: str) -> Iterator[dict[str, Any]]:
    names = set_names(group)
    found = group.evaluations[model]["result"]["measures"].get(measure)
    for role, one in found["sets"].items() if found is not None else ():
        base = {
            "model": model,
            "measure": title_of(measure),
            "role": role.split(" ")[0],
            "threshold": found["threshold"],
        }
        base |= {"mean": one["mean"], "median": one["median"]}
        yield {**base, "set": names.get(role, role), "split": one["split"]}
        if one["changed"] is not None:
            part = {"mean": None, "median": None}
            yield {**base, **part, "set": f"{names.get(role, role)}: changed images", "split": one["changed"]}


def split_notes(group: Group) -> list[str]:
    """Say how the thresholds were chosen."""
    results = [entry["result"] for entry in group.evaluations.values() if entry["result"] is not None]
    shares = {r["measures"][r["measure"]]["threshold"]["share"] for r in results}
    return [
        "The threshold is given."
        if share is None
        else f"The threshold is the lowest one at which at most {share:g} of the in-distribution images are unsure."
        for share in sorted(shares, key=lambda share: (share is not None, share))
    ]


def detection_rows(group: Group, models: Sequence[str], measures: Sequence[str]) -> list[dict[str, Any]]:
    """Return how each measure tells each foreign set from the in-distribution one: a row for each."""
    names = set_names(group)
    rows = []
    for model in models:
        found = group.evaluations[model]["result"]["measures"]
        for measure in measures:
            several = foreign_of(found[measure]) if measure in found else {}
            rows += [
                {"model": model, "measure": title_of(measure), "set": names.get(role, role), **one}
                for role, one in several.items()
            ]
    return rows


def measure_rows(group: Group, model: str) -> list[dict[str, Any]]:
    """Return what each measure of a model tells: a row for each."""
    found = group.evaluations[model]["result"]["measures"]
    return [{"measure": title_of(name), "found": one, "auroc": foreign_auroc(one)} for name, one in found.items()]


def _share(name: str, title: str, source: str) -> Column:
    return Column(name, title, source, Kind.NUMBER, format=".2%")


_MODEL = Column("model", "model", "model", Kind.TEXT)
_MEASURE = Column("measure", "measure", "measure", Kind.TEXT)
SPLIT_COLUMNS: Final = (
    _MODEL,
    _MEASURE,
    Column("set", "set", "set", Kind.TEXT),
    Column("role", "role", "role", Kind.TEXT),
    number_column("threshold", "threshold", "threshold.value", ".6g"),
    count_column("n_unsure", "unsure", "split.n_unsure"),
    _share("share_unsure", "share", "split.share_unsure"),
    _share("accuracy_unsure", "right of them", "split.accuracy_unsure"),
    count_column("n_sure", "sure", "split.n_sure"),
    _share("accuracy_sure", "right of them", "split.accuracy_sure"),
    number_column("mean", "mean uncertainty", "mean"),
    number_column("median", "median", "median"),
)
DETECTION_COLUMNS: Final = (
    _MODEL,
    _MEASURE,
    Column("set", "foreign set", "set", Kind.TEXT),
    Column(
        "auroc",
        "AUROC",
        "detection.auroc",
        Kind.NUMBER,
        format=lambda row: interval_text(row["detection"]["auroc"], row["detection"]["auroc_ci"]),
        beside=end_columns("auroc_ci", "detection.auroc_ci", "AUROC"),
    ),
    number_column("aupr", "AUPR", "detection.aupr"),
    number_column("aupr_negative", "AUPR of in-distribution", "detection.aupr_negative"),
    number_column("fpr95", "FPR at 95% TPR", "detection.at_tpr.fpr"),
    number_column("threshold95", "threshold there", "detection.at_tpr.threshold", ".6g"),
    count_column("n_positive", "foreign", "detection.n_positive"),
    count_column("n_negative", "in-distribution", "detection.n_negative"),
)
MEASURE_COLUMNS: Final = (
    _MEASURE,
    number_column("auroc", "AUROC of foreign", "auroc"),
    number_column("aurc", "AURC", "found.sets.set.coverage.aurc", ".6f"),
    number_column("aurc_best", "the least it could be", "found.sets.set.coverage.aurc_best", ".6f"),
    number_column("auroc_errors", "AUROC of mistakes", "found.sets.set.coverage.auroc_errors"),
    number_column("threshold", "threshold", "found.threshold.value", ".6g"),
    count_column("n_unsure", "unsure", "found.sets.set.split.n_unsure"),
    _share("accuracy_unsure", "right of them", "found.sets.set.split.accuracy_unsure"),
    _share("accuracy_sure", "right of the sure", "found.sets.set.split.accuracy_sure"),
)
