"""Whether two results answer one question; numbers of two questions differ for reasons other than the models."""

from __future__ import annotations

from evaljobs.errors import UsageError
from evaljobs.report.comparing.differences import grouping
from evaljobs.report.comparing.matching import Pair, where
from evaljobs.report.results import ANOMALY, CLASSIFICATION, UNCERTAINTY, Document, Group, kind_of

# What two results of the same pairs have in common.
_COUNTS = ("protocol", "n_samples", "n_genuine", "n_impostor")


def refuse_other_question(group: Group, pair: Pair, a: Document, b: Document) -> None:
    """Refuse results that were asked for something else.

    Verifications of other pairs, classifications whose labels mean other classes, anomalies of other normal labels or
    by another method, uncertainty by another measure.

    Parameters
    ----------
    group
        In which A stands.
    pair
        The names of both models.
    a, b
        Their results.

    Raises
    ------
    UsageError
        Saying what each was asked for.
    """
    kind = kind_of(group)
    if kind == CLASSIFICATION:
        _refuse_other_classes(group, pair, a, b)
        return
    of_kind = {ANOMALY: ("tells other anomalies", _of_anomaly), UNCERTAINTY: ("measures otherwise", _of_uncertainty)}
    what, said = of_kind.get(kind, ("compares other pairs", _of_pairs))
    found = [said(result) for result in (a, b)]
    if found[0] != found[1]:
        raise UsageError(
            f"{where(group)} {what} in A ({pair[0]!r}: {found[0]}) than in B ({pair[1]!r}: {found[1]}); expected the "
            "same. Evaluate both with one configuration of the job"
        )


def _of_pairs(result: Document) -> str:
    listed = result.get("listed")
    digest = f", listed pairs of digest {listed['digest'][:12]}..." if listed else ""
    return ", ".join(f"{key} {result[key]}" for key in _COUNTS) + digest


def _of_anomaly(result: Document) -> str:
    normal = ", ".join(map(repr, result["normal"]))
    counts = f"{result['n_normal']} normal and {result['n_anomalous']} anomalous"
    return f"{result['method']}{_how_many(result)}, normal {normal}, {counts}"


def _of_uncertainty(result: Document) -> str:
    return f"{result['measure']}{_how_many(result)}"


def _how_many(result: Document) -> str:
    """Return how many neighbours or passes a result rests on; nothing where it rests on none."""
    neighbours, passes = result.get("neighbours"), result.get("passes")
    of_neighbours = f" of {neighbours['k']} neighbours" if neighbours else ""
    return of_neighbours + (f" of {passes['count']} passes" if passes else "")


def _refuse_other_classes(group: Group, pair: Pair, a: Document, b: Document) -> None:
    found = [result.get("asked") for result in (a, b)]
    if found[0] != found[1]:
        said = [_classes(asked) for asked in found]
        raise UsageError(
            f"the labels of {where(group)} mean other classes in A ({pair[0]!r}: {said[0]}) than in B ({pair[1]!r}: "
            f"{said[1]}); expected equal `label_map` and `missing`. Evaluate both with one configuration of the job"
        )


def _classes(asked: Document | None) -> str:
    if asked is None:
        return "nothing is said about it, by an older version"
    return f"{asked['n_mapped']} labels mapped, missing: {asked['missing']}, digest {asked['digest'][:12]}..."


def refuse_other_groups(group: Group, a: Document, b: Document) -> None:
    """Refuse replicates that left out other groups; results without replicates are compared without an interval."""
    groups = [grouping(result) for result in (a, b)]
    if groups[0] != groups[1] and None not in (groups[0]["unit"], groups[1]["unit"]):
        found = [f"{one['groups']} groups of {one['unit']}s" for one in groups]
        raise UsageError(
            f"the intervals of {where(group)} come from {found[0]} in A and from {found[1]} in B: their replicates do "
            "not belong together. Run both configurations again, with equal `groups` and one version of evaljobs"
        )
