"""Trimming a store: what nobody uses now and the wish names is deleted, file by file; whatever is left is a store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from evaljobs.errors import StoreError
from evaljobs.store import lease, uses
from evaljobs.store.folder import Entry, Folder, each
from evaljobs.store.inventory import Inventory, Unit, take_inventory
from evaljobs.store.layout import Kind, Role
from evaljobs.store.lease import Holder
from evaljobs.store.store import Store
from evaljobs.store.submitted import NOTHING, old, upload_of
from evaljobs.store.trimming import Known, Wish, doomed
from evaljobs.store.usage import read_key
from evaljobs.store.uses import Lease, Record

_RESULTS = "results.json"

# Clocks of machines that share a store may differ by so much.
_SKEW_S = 600.0


class Collected(NamedTuple):
    """What was trimmed, or would be.

    Attributes
    ----------
    tables, results, freed
        How many of each go, and the bytes of both.
    left
        Bytes of all files that stay.
    spared, holders
        Tables and results that stay because runs are at work, and these runs.
    dry_run
        Whether nothing was deleted.
    uploads, runs, submitted
        Files that were sent for submissions, and runs whose results go; and the bytes of both, which are no part of
        the others.
    held
        Whether what was sent stays, whatever its age, since somebody is at work.
    """

    store: str
    tables: int
    results: int
    freed: int
    left: int
    spared: int
    holders: tuple[str, ...]
    dry_run: bool
    uploads: int = 0
    runs: int = 0
    submitted: int = 0
    held: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"version": 1, **self._asdict()}


class Tell(NamedTuple):
    """Who is told how many tables and results go, and of each that is gone."""

    start: Callable[[int], None]
    advance: Callable[[int], None]


def collect(store: Store, wish: Wish, tell: Tell, *, dry_run: bool) -> Collected:
    """Trim a store: least recently used first, but nothing that a run at work uses.

    Parameters
    ----------
    dry_run
        Find out what would go, and delete nothing.

    Raises
    ------
    UsageError
        If the wish names what is not there, or somebody else trims this store.
    StoreError
        If files cannot be read or deleted; what was deleted before is gone, and the rest is a store.
    """
    if dry_run:
        return _Trimming(store, wish, None).outcome(dry_run=True)
    with uses.trimming(store.folder) as own:
        trimming = _Trimming(store, wish, own)
        trimming.carry_out(own, tell)
        return trimming.outcome(dry_run=False)


class _Trimming:
    """One store, what is to go of it, and what is spared.

    Parameters
    ----------
    own
        This process's lease, whose time is the store's; None where nothing is to be deleted.
    """

    def __init__(self, store: Store, wish: Wish, own: Lease | None) -> None:
        self._store, self._folder = store, store.folder
        # First: a run leaves its record before its lease, and one that comes later waits.
        self._holders, self._stale, now = uses.look_for_runs(self._folder, own)
        self._entries = self._folder.walk()
        self._records = uses.records(self._folder, self._entries)
        self._inventory = take_inventory(self._entries, self._records)
        units = [*self._inventory.units[Kind.TABLES], *self._inventory.units[Kind.RESULTS]]
        self._tables = _tables_of(self._folder, self._inventory) if wish.by_model or self._holders else {}
        spared = frozenset(self._in_use(units))
        models = _models_of(self._folder, self._inventory) if wish.by_model else {}
        known = Known(units, self._inventory.size, now, models, self._tables)
        self._doomed = doomed(wish, known, spared)
        self._spared = sum(unit in spared for unit in doomed(wish, known, ())) if spared else 0
        self._left = NOTHING
        self._of_submissions = wish.submitted
        if wish.submitted and wish.unused_s is not None:
            # Who is at work says so at least once in that time: its results are not old, however short the wish is.
            submitted, before = self._inventory.submitted, now - max(wish.unused_s, lease.EXPIRES_S)
            self._left = old(self._folder, submitted, self._records, before, in_use=bool(self._holders))

    def outcome(self, *, dry_run: bool) -> Collected:
        """Return what is gone, or would be."""
        freed = sum(unit.size for unit in self._doomed)
        kinds = [unit.kind for unit in self._doomed]
        return Collected(
            store=self._store.location,
            tables=kinds.count(Kind.TABLES),
            results=kinds.count(Kind.RESULTS),
            freed=freed,
            left=self._inventory.size - freed,
            spared=self._spared,
            holders=tuple(map(str, self._holders)),
            dry_run=dry_run,
            uploads=len(self._left.uploads),
            runs=len(self._left.runs),
            submitted=self._left.size,
            held=self._of_submissions and bool(self._holders),
        )

    def carry_out(self, own: Lease, tell: Tell) -> None:
        """Delete what is to go, and the marks of runs that are over."""
        tell.start(len(self._doomed) + len(self._left.uploads) + len(self._left.runs))

        def in_time() -> None:
            if own.heartbeat.age_s > lease.EXPIRES_S / 2:
                raise StoreError(
                    "this process was held up for so long that a run may no longer know of it. Nothing more is "
                    "deleted; run the same command again"
                )

        def remove(unit: Unit) -> None:
            in_time()
            _remove(self._folder, unit)
            tell.advance(1)

        def remove_all(entries: Sequence[Entry]) -> None:
            in_time()
            # Results whose other files are gone are none.
            for entry in sorted(entries, key=lambda entry: not entry.name.endswith(f"/{_RESULTS}")):
                self._folder.delete(entry.name)
            tell.advance(1)

        for _ in each(self._folder, remove, self._doomed):
            pass
        for _ in each(self._folder, remove_all, [*self._left.runs.values(), *([one] for one in self._left.uploads)]):
            pass
        self._forget()

    def _in_use(self, units: Sequence[Unit]) -> list[Unit]:
        """Return what the runs at work use or have written, and the results of their tables."""
        if not self._holders:
            return []
        used = {holder.uses for holder in self._holders}
        records = [record for record in self._records if record.name in used]
        tables = frozenset[str]().union(*(record.tables for record in records))
        results = frozenset[str]().union(*(record.results for record in records))
        if any(not _recorded(holder, records) for holder in self._holders):
            return list(units)
        since = min(holder.started for holder in self._holders) - _SKEW_S
        return [
            unit
            for unit in units
            if unit.written >= since
            or (unit.key in tables if unit.kind is Kind.TABLES else unit.key in results)
            or self._tables.get(unit.key) in tables
        ]

    def _forget(self) -> None:
        """Delete leases of runs that were killed, and records of which nothing is left."""
        gone = {(unit.kind, unit.key) for unit in self._doomed}
        there = {(u.kind, u.key) for units in self._inventory.units.values() for u in units} - gone
        held = {holder.uses for holder in self._holders}
        uploads = {*self._inventory.submitted} - {*self._left.uploads}
        sent = {upload_of(entry.name) for entry in uploads}
        for record in self._records:
            kept = any((Kind.TABLES, key) in there for key in record.tables) or bool(record.uploads & sent)
            if not kept and not any((Kind.RESULTS, key) in there for key in record.results) and record.name not in held:
                self._folder.delete(f"{uses.FOLDER}/{record.name}.json")
        for name in self._stale:
            self._folder.delete(name)


def _recorded(holder: Holder, records: Iterable[Record]) -> bool:
    return any(record.name == holder.uses for record in records)


def _remove(folder: Folder, unit: Unit) -> None:
    """Delete a unit so that whatever is left after each step is a store.

    A table with fewer parts lacks rows, and its key goes last. A result goes before the tables that it vouches for.
    """
    first = Role.PART if unit.kind is Kind.TABLES else Role.RESULT
    before = unit.of_role(first)
    for entry in (*before, *(entry for entry in unit.entries if entry not in before)):
        folder.delete(entry.name)
    folder.remove_empty(f"{unit.kind}/{unit.key}")


def _models_of(folder: Folder, inventory: Inventory) -> dict[str, str]:
    """Return the digest of the model file of each table whose key can be read."""
    units = inventory.units[Kind.TABLES]
    keys = each(folder, lambda unit: read_key(folder, unit), units)
    return {unit.key: str(key["model"]) for unit, key in zip(units, keys, strict=True) if "model" in key}


def _tables_of(folder: Folder, inventory: Inventory) -> dict[str, str]:
    """Return the table of each result that can be read: digests of keys."""
    units = inventory.units[Kind.RESULTS]
    found = each(folder, lambda unit: _table_of(folder, unit.of_role(Role.RESULT)), units)
    return {unit.key: table for unit, table in zip(units, found, strict=True) if table is not None}


def _table_of(folder: Folder, results: Sequence[Entry]) -> str | None:
    try:
        stored: Mapping[str, Any] = json.loads(folder.read(results[0].name) or b"")
        return str(stored["key"]["model"])
    except (IndexError, ValueError, TypeError, KeyError):
        return None
