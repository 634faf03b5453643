"""Gates: conditions that a candidate must meet, judged by the 95% interval of what they speak of.

``METRIC >= BOUND``, where the metric is ``tpr@RATE`` or ``auroc`` of verifications, the same of anomaly jobs
(``anomaly_auroc``), or a measure of classifications or uncertainty, and the bound a number, or ``baseline`` with a
margin: ``tpr@1e-4 >= baseline - 0.005``, ``auroc >= 0.99``, ``accuracy >= 0.9``. Where less is better, ``<=``.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from evaljobs.errors import ExitCode, UsageError
from evaljobs.report.comparing.differences import Metric, differences
from evaljobs.report.comparing.measures import (
    AURC,
    NAMES,
    OF_UNCERTAINTY,
    interval_of,
    measure_difference,
    same_replicates,
    value_of,
)
from evaljobs.report.results import ANOMALY, CLASSIFICATION, UNCERTAINTY, VERIFICATION, Document
from evaljobs.report.tables.flags import flags
from evaljobs.report.tables.leaderboard import find_point
from evaljobs.report.tables.numbers import rate_text

EXAMPLE = "tpr@1e-4 >= baseline - 0.005"
_SAME_FILE = "the same model file"

_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_OF_UNCERTAINTY = frozenset(measure.name for measure in OF_UNCERTAINTY)
_MEASURES = rf"accuracy|balanced_accuracy|macro_f1|top_[1-9]\d{{0,5}}|{'|'.join(sorted(_OF_UNCERTAINTY))}"
_POINTS = rf"(?P<anomaly>anomaly_)?(?:tpr\s*@\s*(?P<rate>{_NUMBER})|auroc)"
_GATE = re.compile(
    rf"\s*(?:{_POINTS}|(?P<measure>{_MEASURES}))\s*(?P<order>[<>]=)\s*"
    rf"(?:(?P<number>{_NUMBER})|baseline\s*(?:(?P<sign>[+-])\s*(?P<margin>{_NUMBER}))?)\s*",
    re.IGNORECASE | re.ASCII,
)


class Judgement(enum.StrEnum):
    """What the interval says of a gate."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Gate:
    """A condition.

    Attributes
    ----------
    text
        As it was written.
    target
        The FPR at which TPR is looked at; None for everything else.
    bound
        The least that is allowed: of the metric itself, or of its difference to the baseline.
    relative
        Whether it speaks of the difference to the baseline.
    kind
        The kind of job that it speaks of.
    measure
        As `evaljobs.report.comparing.measures` names it; None for TPR and AUROC of operating points.
    """

    text: str
    target: float | None
    bound: float
    relative: bool
    kind: str = VERIFICATION
    measure: str | None = None

    @property
    def at_most(self) -> bool:
        """Whether the bound is the most that is allowed, since less is better."""
        return self.measure == AURC.name


def parse_gate(text: str, parse_rate: Callable[[str], float]) -> Gate:
    """Read a gate.

    Parameters
    ----------
    text
        As in ``tpr@1e-4 >= baseline - 0.005``; case and spaces do not matter.
    parse_rate
        Returns a false-positive rate, or raises ValueError.

    Raises
    ------
    UsageError
        If it is none.
    """
    found = _GATE.fullmatch(text)
    measure = found and found["measure"] and found["measure"].lower()
    if found is None or (found["order"] == "<=") != (measure == AURC.name):
        raise UsageError(
            f"the gate {text!r} cannot be read; expected tpr@RATE, auroc, anomaly_tpr@RATE, anomaly_auroc, "
            f"{', '.join(NAMES[:-1])} or {NAMES[-1]}, then >= (of {AURC.name}, where less is better, <=), then a "
            f"number or baseline with a margin, such as '{EXAMPLE}' or 'auroc >= 0.99'"
        )
    try:
        target = parse_rate(found["rate"]) if found["rate"] else None
    except ValueError as error:
        raise UsageError(f"the gate {text!r}: {error}") from None
    size = float(found["number"] or found["margin"] or 0)
    if size > 1:
        raise UsageError(
            f"the gate {text!r}: {size:g} is more than 1, and what gates speak of are shares; write 0.9 for 90%"
        )
    bound = -size if found["sign"] == "-" else size
    kind = _kind(measure) if measure else ANOMALY if found["anomaly"] else VERIFICATION
    return Gate(text.strip(), target, bound, found["number"] is None, kind, measure or None)


def _kind(measure: str) -> str:
    return UNCERTAINTY if measure in _OF_UNCERTAINTY else CLASSIFICATION


def judge(gate: Gate, baseline: Document | None, candidate: Document | None, *, same_file: bool) -> dict[str, Any]:
    """Judge a gate for one model.

    It fails where the whole interval lies below the bound, and passes where none of it does; the lower end may equal
    the bound. Where less is better, it is the other way round. Where the interval straddles the bound, or there is
    none, it is inconclusive; so it is at a target that the data do not resolve, unless both are one model file with
    equal replicates.

    Parameters
    ----------
    gate
        The condition.
    baseline, candidate
        Results of the gate's kind of job on the same images, with a point at its target if it has one; None where one
        has failed.
    same_file
        Whether both are one model file. With equal replicates its difference is 0 for certain, not unknown.

    Returns
    -------
    dict
        ``gate`` (as it was written), ``metric``, ``target``, ``relative``, ``bound``, ``baseline``, ``candidate`` (the
        numbers), ``judged`` (what the bound is for: the candidate's number or the difference), ``ci`` (its 95%
        interval), ``judgement``, ``reason`` why there is no interval or it decides nothing, ``flags`` of the points.
    """
    about = {
        "gate": gate.text,
        "metric": gate.measure or str(Metric.AUROC if gate.target is None else Metric.TPR),
        "target": gate.target,
        "relative": gate.relative,
        "bound": gate.bound,
        "flags": list(dict.fromkeys(flag for result in (baseline, candidate) for flag in _flags(gate, result))),
    }
    numbers = {"baseline": _number(gate, baseline), "candidate": _number(gate, candidate)}
    if candidate is None or (gate.relative and baseline is None):
        reason = f"the {'candidate' if candidate is None else 'baseline'} has no result"
        return {**about, **numbers, **_judged(gate, None, None, reason)}
    if not gate.relative or baseline is None:
        return {**about, **numbers, **_resolved(gate, [candidate], _absolute(gate, candidate))}
    found = _relative(gate, baseline, candidate, same_file=same_file)
    return {**about, **numbers, **_resolved(gate, [baseline, candidate], found)}


def _resolved(gate: Gate, results: list[Document], found: dict[str, Any]) -> dict[str, Any]:
    """Return what was judged; inconclusive where the TPR is that at zero false positives, not that at the target."""
    unresolved = any("unresolved" in _flags(gate, result) for result in results)
    if gate.target is None or not unresolved or found["reason"] == _SAME_FILE:
        return found
    reason = f"FPR {rate_text(gate.target)} is not resolved by this data: the TPR is that at zero false positives"
    return {**found, "judgement": str(Judgement.INCONCLUSIVE), "reason": reason}


def _relative(gate: Gate, baseline: Document, candidate: Document, *, same_file: bool) -> dict[str, Any]:
    row = _difference(gate, baseline, candidate)
    ends, reason = row["ci"], row["reason"]
    if ends is None and same_file and row["difference"] == 0 and _replicates(gate, baseline, candidate):
        ends, reason = [0.0, 0.0], _SAME_FILE
    return _judged(gate, row["difference"], ends, reason)


def _difference(gate: Gate, baseline: Document, candidate: Document) -> dict[str, Any]:
    if gate.measure is not None:
        return measure_difference(baseline, candidate, gate.measure)
    targets = [] if gate.target is None else [gate.target]
    return next(row for row in differences(baseline, candidate, targets) if row["target"] == gate.target)


def _replicates(gate: Gate, baseline: Document, candidate: Document) -> bool:
    """Return whether both have the same replicates of what the gate speaks of."""
    if gate.measure is not None:
        return same_replicates(baseline, candidate, gate.measure)
    found = []
    for result in (baseline, candidate):
        replicates = (result.get("intervals") or {}).get("replicates")
        if replicates is None:
            return False
        place = next((i for i, p in enumerate(result["points"]) if float(p["target"]) == gate.target), None)
        found.append(replicates["auroc"] if place is None else replicates["tpr"][place])
    return bool(found[0] == found[1])


def _absolute(gate: Gate, candidate: Document) -> dict[str, Any]:
    value = _number(gate, candidate)
    if gate.measure is not None:
        ends = interval_of(candidate, gate.measure)
    elif gate.target is None:
        ends, bounds = candidate.get("auroc_ci"), candidate.get("auroc_bounds")
        if ends is not None and bounds is not None and not candidate["auroc_exact"]:
            # As in differences: wider by what the certified bounds leave open.
            error = (bounds[1] - bounds[0]) / 2
            ends = [max(0.0, ends[0] - error), min(1.0, ends[1] + error)]
    else:
        ends = (find_point(candidate, gate.target) or {}).get("tpr_ci")
    return _judged(gate, value, ends, "" if ends else _why_none(candidate, value))


def _why_none(result: Document, value: float | None) -> str:
    if value is None:
        return "a number is undefined"
    return "the replicates do not vary" if result.get("intervals") else "no replicates in the results"


def _number(gate: Gate, result: Document | None) -> float | None:
    if result is None:
        return None
    if gate.measure is not None:
        return value_of(result, gate.measure)
    found = result["auroc"] if gate.target is None else (find_point(result, gate.target) or {}).get("tpr")
    return None if found is None else float(found)


def _flags(gate: Gate, result: Document | None) -> Iterator[str]:
    point = None if gate.target is None else find_point(result, gate.target)
    yield from flags(point) if point else ()


def _judged(gate: Gate, value: float | None, ends: Any, reason: str) -> dict[str, Any]:
    return {
        "judged": value,
        "ci": None if ends is None else [float(end) for end in ends],
        "judgement": str(_judgement(gate, ends)),
        "reason": reason,
    }


def _judgement(gate: Gate, ends: Any) -> Judgement:
    if ends is None:
        return Judgement.INCONCLUSIVE
    low, high, bound = (-ends[1], -ends[0], -gate.bound) if gate.at_most else (*ends, gate.bound)
    if high < bound:
        return Judgement.FAILED
    return Judgement.PASSED if low >= bound else Judgement.INCONCLUSIVE


def exit_code(judged: list[dict[str, Any]], *, strict: bool) -> ExitCode:
    """Return GATE_FAILED where a gate failed, or with `strict` where one is inconclusive; else OK."""
    bad = {Judgement.FAILED, Judgement.INCONCLUSIVE} if strict else {Judgement.FAILED}
    return ExitCode.GATE_FAILED if any(row["judgement"] in bad for row in judged) else ExitCode.OK
