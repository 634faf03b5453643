"""Findings as they stand in results.json, and the verdict of several together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from evaljobs.audit.finding import Checked, Finding, Verdict

# The set that is audited, and that of training images: the roles in which a job has them.
SET, TRAINING = "set", "training"
# Decoding an image takes about as long as comparing so many pairs.
PAIRS_A_PICTURE = 2**20


class Told(NamedTuple):
    """What an audit found.

    Attributes
    ----------
    result
        As JSON: numbers of samples, ``verdict``, ``findings`` and ``notes``.
    tables
        By name.
    findings
        In the order in which they are to be read.
    """

    result: dict[str, Any]
    tables: Mapping[str, pa.Table]
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The verdict of all findings together."""
        return worst(self.findings)


def tell(about: Mapping[str, Any], checks: Sequence[Checked], notes: Sequence[str] = ()) -> Told:
    """Put several checks together.

    Parameters
    ----------
    about
        What the result says first: numbers of samples and the like.
    checks
        What was found, in the order in which it is to be read.
    notes
        Sentences about the evaluation itself.
    """
    findings = [finding for check in checks for finding in check.findings]
    result = {**about, "verdict": str(worst(findings)), "findings": as_json(findings), "notes": list(notes)}
    tables = {name: _in_set(name, table) for check in checks for name, table in check.tables.items()}
    return Told(result, tables, tuple(findings))


def _in_set(name: str, table: pa.Table) -> pa.Table:
    """Say of pairs inside the set that both sides are in it; pairs with training images have those at side b."""
    if "row_b" not in table.column_names or name.startswith(TRAINING):
        return table
    return table.append_column("role_b", pa.array([SET] * table.num_rows, pa.string()))


def as_json(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Return findings as JSON: undefined is null."""
    return [
        {
            "check": finding.check,
            "verdict": str(finding.verdict),
            "claim": finding.claim,
            "evidence": dict(finding.evidence),
            "advice": finding.advice,
        }
        for finding in findings
    ]


def worst(findings: Sequence[Finding]) -> Verdict:
    """Return the verdict of several findings: the worst, but that what is unknown hides nothing that is clean.

    A question that could not be answered is listed; it makes a set no worse than those that were.
    """
    order = list(Verdict)
    known = [finding.verdict for finding in findings if finding.verdict is not Verdict.UNKNOWN]
    return min(known, key=order.index, default=Verdict.UNKNOWN)
