"""Compare two runs: every model of the one with its counterpart in the other, on equal images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from evaljobs.errors import UsageError
from evaljobs.report.comparing.differences import pair_rows, targets_of
from evaljobs.report.comparing.gate import Gate, judge
from evaljobs.report.comparing.matching import (
    Pair,
    Wanted,
    best_pair,
    match_groups,
    match_models,
    refuse_other_images,
    where,
)
from evaljobs.report.comparing.measures import measure_difference, measures_of, to_have, value_of
from evaljobs.report.comparing.questions import refuse_other_groups, refuse_other_question
from evaljobs.report.results import ANOMALY, CLASSIFICATION, UNCERTAINTY, Document, Group, kind_of, result_of
from evaljobs.report.tables.numbers import rate_text


@dataclass(frozen=True)
class Comparison:
    """What was found: rows of `comparing.differences`, what was left out, and what became of the gates."""

    rows: list[dict[str, Any]]
    notes: list[str]
    gates: list[dict[str, Any]] = field(default_factory=list)


def compare(a: Document, b: Document, wanted: Wanted, gates: Sequence[Gate] = ()) -> Comparison:
    """Return the differences of the models of two runs, B - A, on equal images.

    Parameters
    ----------
    a, b
        Results documents; A is the reference.
    wanted
        Which models, jobs, sets and targets.
    gates
        Conditions for each model of B that is compared; A is the baseline.

    Raises
    ------
    UsageError
        If something wanted is not there, nothing is common to both, the images differ, or the replicates do not
        belong together; with gates, in jobs that one of them speaks of.
    """
    pairs, notes = match_models(a, b, wanted)
    groups, left_out = match_groups(a, b, wanted)
    notes += left_out
    rows: list[dict[str, Any]] = []
    judged: list[dict[str, Any]] = []
    _refuse_idle(gates, [kind_of(first) for first, _ in groups])
    for both in groups:
        own = [gate for gate in gates if gate.kind == kind_of(both[0])]
        try:
            found = _of_groups((a, b), both, pairs, wanted, own)
        except UsageError as error:
            if own or not gates:
                raise
            # What no gate speaks of must not keep any from being judged.
            notes.append(f"{where(both[0])} is not compared: {error}")
            continue
        rows += found.rows
        notes += found.notes
        judged += found.gates
    # A model that failed in B has no rows; the gates on it are judged, and say so.
    if not rows and not judged:
        raise UsageError(f"nothing can be compared: {'; '.join(notes)}")
    return Comparison(rows, list(dict.fromkeys(notes)), judged)


def _of_groups(
    runs: tuple[Document, Document],
    groups: tuple[Group, Group],
    pairs: Sequence[Pair],
    wanted: Wanted,
    gates: Sequence[Gate],
) -> Comparison:
    """Compare the models of one job, and judge the gates that speak of its kind."""
    refuse_other_images(*runs, *groups)
    if wanted.best:
        pairs = [best_pair(*runs, *groups, _ranked_at(wanted, gates))]
    whole = Comparison([], [])
    for pair in pairs:
        rows, notes = _of_pair(*groups, pair, wanted)
        whole.rows.extend(rows)
        whole.notes.extend(notes)
        whole.gates.extend(_judge(gates, runs, groups, pair))
    return whole


_PLURALS = {ANOMALY: "anomaly jobs", UNCERTAINTY: "uncertainty jobs"}


def _refuse_idle(gates: Sequence[Gate], kinds: Sequence[str]) -> None:
    """Refuse gates that speak of nothing that is compared: whoever sets one believes that it holds."""
    for gate in gates:
        if gate.kind not in kinds:
            raise UsageError(
                f"the gate {gate.text!r} speaks of {_PLURALS.get(gate.kind) or f'{gate.kind}s'}, and none is compared; "
                "choose others with --job and --set, or leave it out"
            )


def _ranked_at(wanted: Wanted, gates: Sequence[Gate]) -> float | None:
    """Return the FPR at which the best model is sought: of the first gate that has one, else the first wanted one."""
    return next((gate.target for gate in gates if gate.target is not None), next(iter(wanted.targets), None))


def _judge(
    gates: Sequence[Gate], runs: tuple[Document, Document], groups: tuple[Group, Group], pair: Pair
) -> Iterator[dict[str, Any]]:
    """Yield what becomes of each gate for one pair of models; one that failed in B leaves its gates open."""
    results = [result_of(group, name) for group, name in zip(groups, pair, strict=True)]
    digests = [
        next((model.get("digest") for model in document["models"] if model["name"] == name), None)
        for document, name in zip(runs, pair, strict=True)
    ]
    where_it_is = {"job": groups[1].job, "set": groups[1].set, "reference": pair[0], "model": pair[1]}
    for gate in gates:
        _refuse_unanswerable(gate, groups[0], results)
        same_file = digests[0] is not None and digests[0] == digests[1]
        yield {**where_it_is, **judge(gate, *results, same_file=same_file)}


def _refuse_unanswerable(gate: Gate, group: Group, results: Sequence[Document | None]) -> None:
    """Refuse a gate on a number that a result was not asked for."""
    there = [result for result in (results if gate.relative else results[1:]) if result is not None]
    if gate.measure is not None:
        if any(value_of(result, gate.measure) is None for result in there):
            raise UsageError(
                f"the gate {gate.text!r}: a result of {where(group)} has no {gate.measure}; {to_have(gate.measure)} "
                "and run it again: nothing is embedded twice"
            )
        return
    targets = [] if gate.target is None else [gate.target]
    of_a, of_b = (targets if result is None else targets_of(result) for result in results)
    _refuse_absent(group, targets, of_a if gate.relative else targets, of_b)


def _of_pair(first: Group, second: Group, pair: Pair, wanted: Wanted) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the rows of one pair of models in one group, and what is left out."""
    a, b = result_of(first, pair[0]), result_of(second, pair[1])
    if a is None or b is None:
        sides = zip("AB", pair, (a, b), strict=True)
        return [], [f"model {name!r} of {side} has no result of {where(first)}" for side, name, r in sides if r is None]
    refuse_other_question(first, pair, a, b)
    refuse_other_groups(first, a, b)
    if kind_of(first) in {CLASSIFICATION, UNCERTAINTY}:
        rows = _measured(second, pair, a, b)
        return rows, [] if rows else [f"models {pair[0]!r} and {pair[1]!r} have no number in common in {where(first)}"]
    in_a, in_b = targets_of(a), targets_of(b)
    _refuse_absent(first, wanted.targets, in_a, in_b)
    if wanted.targets:
        return pair_rows(first, second, *pair, wanted.targets), []
    alone = (("A", [t for t in in_a if t not in in_b]), ("B", [t for t in in_b if t not in in_a]))
    notes = [f"only {side} has FPR {_rates(targets)} in {where(first)}" for side, targets in alone if targets]
    return pair_rows(first, second, *pair), notes


def _measured(group: Group, pair: Pair, a: Document, b: Document) -> list[dict[str, Any]]:
    """Return the rows of one pair of models, in each measure that both have."""
    names = {"job": group.job, "set": group.set, "reference": pair[0], "model": pair[1]}
    both = [m.name for m in measures_of(group) if None not in (value_of(a, m.name), value_of(b, m.name))]
    return [{**names, **measure_difference(a, b, name)} for name in both]


def _refuse_absent(group: Group, wanted: Sequence[float], in_a: Sequence[float], in_b: Sequence[float]) -> None:
    """Refuse targets that one of the two has no point for."""
    for side, targets in (("A", in_a), ("B", in_b)):
        absent = [target for target in wanted if target not in targets]
        if absent:
            raise UsageError(
                f"run {side} has no point at FPR {_rates(absent)} in {where(group)}; it has {_rates(targets)}. "
                "Add the target to `fpr` of its configuration and run it again: nothing is embedded twice; or choose "
                "another job with --job"
            )


def _rates(targets: Sequence[float]) -> str:
    return ", ".join(map(rate_text, targets)) or "none"
