"""What each file of a store is, by its name: what the store made is told apart from what others put there."""

from __future__ import annotations

import enum
import re
from typing import NamedTuple

MARKER = "evaljobs-store.json"


class Kind(enum.StrEnum):
    """What a file belongs to."""

    TABLES = "tables"
    RESULTS = "results"
    FAILURES = "failures"
    LISTINGS = "listings"
    RATES = "rates"
    USES = "uses"
    OTHER = "other"  # the marker, questions to other machines, what killed writers left


class Role(enum.Enum):
    """What a file is."""

    MARKER = enum.auto()
    KEY = enum.auto()  # a key spelled out for people
    PART = enum.auto()  # Arrow rows
    RESULT = enum.auto()
    RESULT_TABLE = enum.auto()
    RATE = enum.auto()
    USE = enum.auto()
    LEASE = enum.auto()
    NONCE = enum.auto()
    TEMPORARY = enum.auto()  # half-written
    SUBMITTED = enum.auto()  # of runs that were submitted to a cluster: what was sent for them, and their results


class Named(NamedTuple):
    """A file of the store: what it is, and the digest of the key that its folder is named for, if it is."""

    kind: Kind
    role: Role
    key: str


_DIGEST = "[0-9a-f]{64}"
_PATTERNS: tuple[tuple[Role, re.Pattern[str]], ...] = tuple(
    (role, re.compile(pattern))
    for role, pattern in (
        (Role.MARKER, re.escape(MARKER)),
        (Role.KEY, f"(tables|failures)/({_DIGEST})/key\\.json"),
        (Role.PART, f"(tables|failures|listings)/({_DIGEST})/part-{_DIGEST}\\.arrow"),
        (Role.RESULT, f"(results)/({_DIGEST})/result\\.json"),
        (Role.RESULT_TABLE, f"(results)/({_DIGEST})/[^/.][^/]*\\.arrow"),
        (Role.RATE, f"(rates)/[a-z]+-({_DIGEST})\\.json"),
        (Role.USE, f"(uses)/({_DIGEST})\\.json"),
        (Role.LEASE, r"(uses)/(run|gc)-[0-9a-f]{32}\.lease"),
        (Role.SUBMITTED, r"(?:uploads|runs)/.+"),
        (Role.NONCE, r"nonces/[0-9a-f]{32}(-[0-9a-f]{32})?"),
        (
            Role.TEMPORARY,
            rf"(?:(?:tables|failures|listings|results)/{_DIGEST}/|(?:rates|nonces|uses)/)?\.[0-9a-f]{{32}}\.tmp",
        ),
    )
)
_NAMED_AFTER = {Role.KEY, Role.PART, Role.RESULT, Role.RESULT_TABLE, Role.RATE, Role.USE}


def recognise(name: str) -> Named | None:
    """Return what a file is, by its name relative to the store; None for what the store did not make."""
    for role, pattern in _PATTERNS:
        found = pattern.fullmatch(name)
        if found is None:
            continue
        if role in _NAMED_AFTER:
            return Named(Kind(found[1]), role, found[2])
        return Named(Kind.USES if role is Role.LEASE else Kind.OTHER, role, "")
    return None
