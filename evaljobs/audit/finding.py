"""What an audit says: a verdict on one question, with its evidence and what to do."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any

import pyarrow as pa


class Verdict(enum.StrEnum):
    """How bad it is, worst first."""

    LEAK = "leak"
    SUSPICIOUS = "suspicious"
    UNKNOWN = "unknown"
    CLEAN = "clean"


@dataclasses.dataclass(frozen=True)
class Finding:
    """The answer to one question of an audit.

    Attributes
    ----------
    check
        What was asked: ``metadata``, ``duplicates``, ...; the same for all findings of one check.
    verdict
        The answer.
    claim
        The answer as one sentence, with its numbers.
    evidence
        These numbers, as JSON: undefined is null.
    advice
        What to do, as one sentence; empty where there is nothing to do.
    """

    check: str
    verdict: Verdict
    claim: str
    evidence: Mapping[str, Any]
    advice: str = ""


@dataclasses.dataclass(frozen=True)
class Checked:
    """What one check found.

    Attributes
    ----------
    findings
        In the order in which they are to be read.
    tables
        By name; images are named by number, in columns ``row``, or ``row_a`` and ``row_b`` of pairs.
    """

    findings: tuple[Finding, ...]
    tables: Mapping[str, pa.Table] = dataclasses.field(default_factory=dict)
