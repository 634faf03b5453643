"""Compare two runs: every model of the one with its counterpart in the other, on equal images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from evaljobs.errors import UsageError
from evaljobs.report.differences import grouping, pair_rows, targets_of
from evaljobs.report.matching import Pair, Wanted, match_groups, match_models, refuse_other_images, where
from evaljobs.report.numbers import rate_text
from evaljobs.report.results import Document, Group, result_of

# What two results of the same pairs have in common.
_COUNTS = ("protocol", "n_samples", "n_genuine", "n_impostor")


@dataclass(frozen=True)
class Comparison:
    """What was found: rows of `evaljobs.report.differences`, and what was left out."""

    rows: list[dict[str, Any]]
    notes: list[str]


def compare(a: Document, b: Document, wanted: Wanted) -> Comparison:
    """Return the differences of the models of two runs, B - A, on equal images.

    Parameters
    ----------
    a, b
        Results documents; A is the reference.
    wanted
        Which models, jobs, sets and targets.

    Raises
    ------
    UsageError
        If something wanted is not there, nothing is common to both, the images differ, or the replicates do not
        belong together.
    """
    pairs, notes = match_models(a, b, wanted)
    groups, left_out = match_groups(a, b, wanted)
    notes += left_out
    rows: list[dict[str, Any]] = []
    for first, second in groups:
        refuse_other_images(a, b, first, second)
        for pair in pairs:
            found, left_out = _of_pair(first, second, pair, wanted)
            rows += found
            notes += left_out
    if not rows:
        raise UsageError(f"nothing can be compared: {'; '.join(notes)}")
    return Comparison(rows, list(dict.fromkeys(notes)))


def _of_pair(first: Group, second: Group, pair: Pair, wanted: Wanted) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the rows of one pair of models in one group, and what is left out."""
    a, b = result_of(first, pair[0]), result_of(second, pair[1])
    if a is None or b is None:
        sides = zip("AB", pair, (a, b), strict=True)
        return [], [f"model {name!r} of {side} has no result of {where(first)}" for side, name, r in sides if r is None]
    _refuse_other_pairs(first, pair, a, b)
    _refuse_other_groups(first, a, b)
    in_a, in_b = targets_of(a), targets_of(b)
    _refuse_absent(first, wanted.targets, in_a, in_b)
    if wanted.targets:
        return pair_rows(first, second, *pair, wanted.targets), []
    alone = (("A", [t for t in in_a if t not in in_b]), ("B", [t for t in in_b if t not in in_a]))
    notes = [f"only {side} has FPR {_rates(targets)} in {where(first)}" for side, targets in alone if targets]
    return pair_rows(first, second, *pair), notes


def _refuse_absent(group: Group, wanted: Sequence[float], in_a: Sequence[float], in_b: Sequence[float]) -> None:
    """Refuse targets that one of the two has no point for."""
    for side, targets in (("A", in_a), ("B", in_b)):
        absent = [target for target in wanted if target not in targets]
        if absent:
            raise UsageError(
                f"run {side} has no point at FPR {_rates(absent)} in {where(group)}; it has {_rates(targets)}. "
                "Add the target to `fpr` of its configuration and run it again: nothing is embedded twice"
            )


def _rates(targets: Sequence[float]) -> str:
    return ", ".join(map(rate_text, targets)) or "none"


def _refuse_other_pairs(group: Group, pair: Pair, a: Document, b: Document) -> None:
    """Refuse results that compared other pairs of the same images."""
    found = [", ".join(f"{key} {result[key]}" for key in _COUNTS) + _listed(result) for result in (a, b)]
    if found[0] != found[1]:
        raise UsageError(
            f"{where(group)} compares other pairs in A ({pair[0]!r}: {found[0]}) than in B ({pair[1]!r}: {found[1]}); "
            "expected the same. Evaluate both with one configuration of the job"
        )


def _listed(result: Document) -> str:
    """Return what tells listed pairs from others; nothing where none are listed."""
    listed = result.get("listed")
    return f", listed pairs of digest {listed['digest'][:12]}..." if listed else ""


def _refuse_other_groups(group: Group, a: Document, b: Document) -> None:
    """Refuse replicates that left out other groups; results without replicates are compared without an interval."""
    groups = [grouping(result) for result in (a, b)]
    if groups[0] != groups[1] and None not in (groups[0]["unit"], groups[1]["unit"]):
        found = [f"{one['groups']} groups of {one['unit']}s" for one in groups]
        raise UsageError(
            f"the intervals of {where(group)} come from {found[0]} in A and from {found[1]} in B: their replicates do "
            "not belong together. Run both configurations again, with equal `groups` and one version of evaljobs"
        )
