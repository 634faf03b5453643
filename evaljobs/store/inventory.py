"""What stands in a store: its files by what they belong to, without opening them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from evaljobs.store.folder import Entry
from evaljobs.store.layout import Kind, Role, recognise
from evaljobs.store.uses import Record


class Unit(NamedTuple):
    """One table, result, listing, ...: the files of one key.

    Attributes
    ----------
    kind, key
        What it is, and the digest that its folder or file is named for.
    entries
        Its files, half-written ones not among them.
    used
        When it was last used or written, in seconds since 1970.
    """

    kind: Kind
    key: str
    entries: tuple[Entry, ...]
    used: float

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(entry.size for entry in self.entries)

    @property
    def written(self) -> float:
        """When the last of its files was written, in seconds since 1970."""
        return max(entry.modified for entry in self.entries)

    def of_role(self, role: Role) -> list[Entry]:
        """Return its files of one role, by name."""
        return [e for e in self.entries if (named := recognise(e.name)) and named.role is role]


class Inventory(NamedTuple):
    """All files of a store.

    Attributes
    ----------
    units
        By kind, in order of their keys.
    temporary, nonces
        What writers leave that are killed; and questions to other machines, which are deleted when they are answered.
    submitted
        Of runs that were submitted to a cluster: what was sent for them, and their results. No part of the size.
    unknown
        What the store did not make.
    """

    units: dict[Kind, list[Unit]]
    temporary: list[Entry]
    nonces: list[Entry]
    submitted: list[Entry]
    unknown: list[Entry]

    @property
    def size(self) -> int:
        """Bytes of all files that the store made."""
        files = [entry for units in self.units.values() for unit in units for entry in unit.entries]
        return sum(entry.size for entry in (*files, *self.temporary, *self.nonces))


def take_inventory(entries: Iterable[Entry], records: Iterable[Record] = ()) -> Inventory:
    """Sort files into what they belong to.

    Parameters
    ----------
    entries
        All files of a store, by names relative to it.
    records
        What runs have used.
    """
    files: dict[tuple[Kind, str], list[Entry]] = defaultdict(list)
    found = Inventory({kind: [] for kind in Kind if kind is not Kind.OTHER}, [], [], [], [])
    for entry in entries:
        named = recognise(entry.name)
        if named is None:
            found.unknown.append(entry)
        elif named.role is Role.TEMPORARY:
            found.temporary.append(entry)
        elif named.role is Role.NONCE:
            found.nonces.append(entry)
        elif named.role is Role.SUBMITTED:
            found.submitted.append(entry)
        elif named.role not in {Role.MARKER, Role.LEASE}:
            files[named.kind, named.key].append(entry)
    used = last_uses(records)
    for (kind, key), several in sorted(files.items()):
        written = max(entry.modified for entry in several)
        found.units[kind].append(Unit(kind, key, tuple(several), max(written, used.get((kind, key), 0.0))))
    return found


def last_uses(records: Iterable[Record]) -> dict[tuple[Kind, str], float]:
    """Return when each table and result that some run has recorded was last used."""
    used: dict[tuple[Kind, str], float] = {}
    for record in records:
        for kind, keys in ((Kind.TABLES, record.tables), (Kind.RESULTS, record.results)):
            for key in keys:
                used[kind, key] = max(record.used, used.get((kind, key), 0.0))
    return used
