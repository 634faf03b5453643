"""Which models and which jobs of two runs belong together; what does not is refused or said."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evaljobs.errors import UsageError
from evaljobs.report.comparing.anomalies import anomaly_rows
from evaljobs.report.comparing.measures import class_rows
from evaljobs.report.comparing.uncertainties import measures_of, uncertainty_rows
from evaljobs.report.results import ANOMALY, CLASSIFICATION, RANKED, UNCERTAINTY, Document, Group, groups_of, kind_of
from evaljobs.report.tables.escape import visible
from evaljobs.report.tables.leaderboard import chosen_fpr, leaderboard_rows

MAX_NAMED = 8

Pair = tuple[str, str]


@dataclass(frozen=True)
class Wanted:
    """What somebody wants to compare; all that both runs have where it is left empty.

    Attributes
    ----------
    job, set
        Names.
    targets
        FPRs.
    models
        Names of a model of the first run and of the one of the second run to compare it with.
    same_run
        Whether both are the same run, so that equal names are the same model.
    best
        Whether the best model of each is compared, whatever their names.
    """

    job: str | None = None
    set: str | None = None
    targets: tuple[float, ...] = ()
    models: tuple[Pair, ...] = ()
    same_run: bool = False
    best: bool = False


# Models


def named_pairs(models: Sequence[str], counterparts: Sequence[str]) -> tuple[Pair, ...]:
    """Pair the names of models with those to compare them with; each with its own name where none is given.

    Raises
    ------
    UsageError
        If there are counterparts, but not one for each.
    """
    if counterparts and len(models) != len(counterparts):
        raise UsageError(
            f"found {len(models)} --model and {len(counterparts)} --with; expected one --with for each --model, in the "
            "same order, or none"
        )
    return tuple(zip(models, counterparts or models, strict=True))


def match_models(a: Document, b: Document, wanted: Wanted) -> tuple[list[Pair], list[str]]:
    """Return the names that are compared, and what is left out; none where the best of each run are sought."""
    if wanted.best:
        _check_best(wanted)
        return [], []
    names_a, names_b = ([model["name"] for model in document["models"]] for document in (a, b))
    if wanted.models:
        return [_named_pair(pair, names_a, names_b, wanted) for pair in wanted.models], []
    if wanted.same_run:
        raise UsageError(
            f"both are the same run; name two of its models with --model A --with B. It has {_list(names_a)}"
        )
    common = [name for name in names_a if name in names_b]
    if common:
        return [(name, name) for name in common], [*_only("A", names_a, common), *_only("B", names_b, common)]
    if len(names_a) == len(names_b) == 1:
        return [(names_a[0], names_b[0])], []
    near = ((name, _nearest(name, names_b)) for name in names_a)
    hint = next((f" (is it --model {name!r} --with {found!r}?)" for name, found in near if found), "")
    raise UsageError(
        f"the runs have no model in common: A has {_list(names_a)}; B has {_list(names_b)}. Name what to compare "
        f"with --model A --with B{hint}"
    )


def _check_best(wanted: Wanted) -> None:
    if wanted.models:
        raise UsageError("found --best and --model; expected one of them: the best model of each run, or those named")
    if wanted.same_run:
        raise UsageError("both are the same run, whose best model would be compared with itself; name two runs")


def best_pair(a: Document, b: Document, first: Group, second: Group, target: float | None) -> Pair:
    """Return the names of the best models of two runs: the first of their leaderboards.

    Parameters
    ----------
    a, b, first, second
        The runs, and the groups in them.
    target
        The FPR at which verifications and anomalies are ranked; where it is None, those by that of the leaderboard of
        each run, these by AUROC.
    """
    names: list[str] = []
    for side, document, group in (("A", a, first), ("B", b, second)):
        ranked, number = _ranked(document, group, target)
        if not ranked or ranked[0]["rank"] is None:
            raise UsageError(
                f"run {side} has no best model in {where(group)}: no model has {number}; name the models with --model "
                "and --with"
            )
        names.append(ranked[0]["model"]["name"])
    return names[0], names[1]


def _ranked(document: Document, group: Group, target: float | None) -> tuple[list[dict[str, Any]], str]:
    """Return the rows of a group's leaderboard, and what its models are ranked by."""
    kind = kind_of(group)
    if kind == CLASSIFICATION:
        return class_rows(document, group), "an accuracy"
    if kind == UNCERTAINTY:
        leading = measures_of(group)[:1]
        return [row for name in leading for row in uncertainty_rows(document, group, name)], "a number"
    if kind == ANOMALY and target is None:
        return anomaly_rows(document, group), "an AUROC"
    fpr = chosen_fpr(group) if target is None else target
    return [] if fpr is None else leaderboard_rows(document, group, fpr), f"a TPR at FPR {fpr}"


def _named_pair(pair: Pair, names_a: Sequence[str], names_b: Sequence[str], wanted: Wanted) -> Pair:
    for side, name, names in zip("AB", pair, (names_a, names_b), strict=True):
        if name not in names:
            near = _nearest(name, names)
            hint = f"did you mean {near!r}?" if near else f"it has {_list(names)}"
            raise UsageError(f"run {side} has no model {name!r}; {hint}")
    if wanted.same_run and pair[0] == pair[1]:
        raise UsageError(f"{pair[0]!r} would be compared with itself; name another model with --with")
    return pair


def _only(side: str, names: Sequence[str], common: Sequence[str]) -> list[str]:
    alone = [name for name in names if name not in common]
    return [f"only {side} has the model(s) {_list(alone)}"] if alone else []


def _nearest(name: str, names: Sequence[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, names, n=1)), None)


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:MAX_NAMED]) or "none"
    return f"{shown} and {len(names) - MAX_NAMED:,} more" if len(names) > MAX_NAMED else shown


# Jobs and sets


def where(group: Group) -> str:
    """Return what a group is called in a message."""
    return visible(f"{group.job} on {group.set}")


def match_groups(a: Document, b: Document, wanted: Wanted) -> tuple[list[tuple[Group, Group]], list[str]]:
    """Return the groups of equal names that are compared, and what is left out."""
    chosen = [_chosen(side, document, wanted) for side, document in (("A", a), ("B", b))]
    by_name = {(group.job, group.set, kind_of(group)): group for group in chosen[1]}
    sought = [(group, by_name.get((group.job, group.set, kind_of(group)))) for group in chosen[0]]
    both = [(first, second) for first, second in sought if second is not None]
    if not both:
        listed = ["; ".join(map(where, groups)) or "none" for groups in chosen]
        raise UsageError(
            f"the runs have no job in common, on one set, that ranks models: A has {listed[0]}; B has {listed[1]}. "
            "Give jobs and sets that belong together the same name in both configurations"
        )
    common = {(group.job, group.set) for group, _ in both}
    notes = [
        f"only {side} has {where(group)}"
        for side, groups in zip("AB", chosen, strict=True)
        for group in groups
        if (group.job, group.set) not in common
    ]
    return both, notes


def _chosen(side: str, document: Document, wanted: Wanted) -> list[Group]:
    groups = groups_of(document, *RANKED)
    chosen = [g for g in groups if wanted.job in {None, g.job} and wanted.set in {None, g.set}]
    if chosen or (wanted.job is None and wanted.set is None):
        return chosen
    sought = " on ".join(filter(None, [wanted.job and f"job {wanted.job!r}", wanted.set and f"set {wanted.set!r}"]))
    listed = "; ".join(map(where, groups)) or "none that ranks models"
    raise UsageError(f"run {side} has nothing to compare of {sought}; it has {listed}")


def _sets(document: Document, group: Group) -> list[Document]:
    """Return the entries of a group's set, or of the several that its name joins."""
    by_name = {entry["name"]: entry for entry in document["sets"]}
    names = [group.set] if group.set in by_name else group.set.split(" / ")
    return [by_name[name] for name in names] if all(name in by_name for name in names) else []


def refuse_other_images(a: Document, b: Document, first: Group, second: Group) -> None:
    """Refuse groups on different images: their numbers differ for reasons other than the models."""
    sets = [_sets(a, first), _sets(b, second)]
    digests = [[entry["digest"] for entry in entries] for entries in sets]
    if digests[0] and digests[0] == digests[1]:
        return
    described = [" / ".join(map(_describe, entries)) or "no entry for it" for entries in sets]
    raise UsageError(
        f"the images of {where(first)} are not the same: A has {described[0]}; B has {described[1]}. Differences are "
        "between models on equal images and labels: evaluate both on one set, or choose another with --job and --set"
    )


def _describe(entry: Document) -> str:
    digest = str(entry["digest"])[:12]
    return f"{entry['n_samples']:,} images of {entry['n_labels']:,} labels (digest {digest}...)"
