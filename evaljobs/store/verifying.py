"""Every file of a store against what its name and its checksum promise."""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pyarrow as pa

from evaljobs.schemas import DIGEST
from evaljobs.store import arrow
from evaljobs.store.folder import Entry, Folder
from evaljobs.store.inventory import Inventory, Unit, take_inventory
from evaljobs.store.keys import key_digest
from evaljobs.store.layout import Kind, Role, recognise
from evaljobs.store.store import Store
from evaljobs.store.tables import part_name

# Hashing leaves Python's lock to others; on S3 each answer takes its time.
_THREADS = 8


class Condition(enum.StrEnum):
    """What is wrong with a file."""

    DAMAGED = "damaged"  # not what was once written; when it is deleted, its content is made again
    LEFTOVER = "leftover"  # of a writer that was killed: nobody reads it
    UNKNOWN = "unknown"  # the store did not make it


class Finding(NamedTuple):
    """A file with something wrong, relative to the store."""

    name: str
    condition: Condition
    reason: str


class Verified(NamedTuple):
    """What was looked at, what was found, and the names of the files that were deleted for it."""

    store: str
    files: int
    size: int
    findings: tuple[Finding, ...]
    deleted: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing is damaged, or was."""
        return all(finding.condition is not Condition.DAMAGED for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"version": 1, **self._asdict(), "findings": [finding._asdict() for finding in self.findings]}


def verify(store: Store, *, delete: bool, start: Callable[[int], None], advance: Callable[[int], None]) -> Verified:
    """Read every file of a store and check it.

    Parameters
    ----------
    delete
        Whether damaged files are deleted.
    start, advance
        Told the bytes of all files, and of each that was checked.

    Raises
    ------
    StoreError
        If it cannot be read, or a damaged file cannot be deleted.
    """
    inventory = take_inventory(store.folder.walk())
    start(inventory.size)
    units = [unit for several in inventory.units.values() for unit in several]

    def check(unit: Unit) -> list[Finding]:
        found = list(_check(store.folder, unit))
        advance(unit.size)
        return found

    with ThreadPoolExecutor(_THREADS) as threads:
        findings = [finding for found in threads.map(check, units) for finding in found]
    findings += _beside(inventory)
    deleted = tuple(_delete(store.folder, findings) if delete else ())
    files = sum(len(unit.entries) for unit in units)
    return Verified(store.location, files, inventory.size, tuple(sorted(findings)), deleted)


def _delete(folder: Folder, findings: Iterable[Finding]) -> Iterator[str]:
    for finding in findings:
        if finding.condition is Condition.DAMAGED:
            folder.delete(finding.name)
            yield finding.name


def _beside(inventory: Inventory) -> list[Finding]:
    half = [Finding(e.name, Condition.LEFTOVER, "half-written; deleted after a day") for e in inventory.temporary]
    asked = [Finding(e.name, Condition.LEFTOVER, "a question to other machines") for e in inventory.nonces]
    unknown = [Finding(e.name, Condition.UNKNOWN, "not made by a store; left alone") for e in inventory.unknown]
    return [*half, *asked, *unknown]


def _check(folder: Folder, unit: Unit) -> Iterator[Finding]:
    """Yield what is wrong with the files of one key."""
    if unit.kind is Kind.RESULTS:
        yield from _check_result(folder, unit)
        return
    for entry in unit.entries:
        data = folder.read(entry.name)
        if data is not None and (reason := _wrong(unit, entry, data)):
            yield Finding(entry.name, Condition.DAMAGED, reason)


def _wrong(unit: Unit, entry: Entry, data: bytes) -> str | None:
    """Return what is wrong with a file's bytes."""
    named = recognise(entry.name)
    try:
        if named is None or named.role is not Role.PART:
            content = json.loads(data)
            right = named is None or named.role is not Role.KEY or key_digest(content) == unit.key
            return None if right else "its key is not the one that its folder is named for"
        table = arrow.from_bytes(data)
    except (ValueError, TypeError, AttributeError):
        return "it is no JSON"
    except arrow.DamagedError as error:
        return str(error)
    return _wrong_name(unit, entry, data, table)


def _wrong_name(unit: Unit, entry: Entry, data: bytes, table: pa.Table) -> str | None:
    """Return what of a whole part is not what its name promises."""
    if unit.kind is not Kind.TABLES:
        right = entry.name.endswith(f"/part-{hashlib.sha256(data).hexdigest()}.arrow")
        return None if right else "its content is not the one that it is named for"
    key = json.loads(table.schema.metadata.get(b"evaljobs.model_key", b"null"))
    if not isinstance(key, dict) or key_digest(key) != unit.key:
        return "it belongs to another model key than the one that its folder is named for"
    digests = table.column(0).combine_chunks()
    if digests.type != DIGEST or not entry.name.endswith(f"/{part_name(digests)}"):
        return "its image digests are not those that its name was made of"
    return None


def _check_result(folder: Folder, unit: Unit) -> Iterator[Finding]:
    """Yield what is wrong with a result: the JSON file vouches for its tables."""
    base = f"{unit.kind}/{unit.key}"
    vouched: Sequence[str] = []
    for entry in unit.of_role(Role.RESULT):
        data = folder.read(entry.name)
        if data is None:  # deleted since the files were listed, and its tables go after it
            return
        stored = _stored(data, unit)
        if stored is None:
            yield Finding(entry.name, Condition.DAMAGED, "it is not the result of the key that its folder is named for")
            continue
        vouched = [f"{base}/{name}.arrow" for name in stored["tables"]]
        missing = sorted(set(vouched) - {found.name for found in unit.entries})
        yield from (
            Finding(entry.name, Condition.DAMAGED, f"its table {name} is missing")
            # It may have been written since the files were listed.
            for name in missing[:1]
            if folder.read(name) is None
        )
    for entry in unit.of_role(Role.RESULT_TABLE):
        if entry.name not in vouched:
            yield Finding(entry.name, Condition.LEFTOVER, "no result vouches for it")
        elif (data := folder.read(entry.name)) is not None and (reason := _wrong_table(data)):
            yield Finding(entry.name, Condition.DAMAGED, reason)


def _stored(data: bytes, unit: Unit) -> Mapping[str, Any] | None:
    try:
        stored = json.loads(data)
        whole = key_digest(stored["key"]) == unit.key and isinstance(stored["tables"], list) and "outcome" in stored
    except (ValueError, TypeError, KeyError):
        return None
    return stored if whole else None


def _wrong_table(data: bytes) -> str | None:
    try:
        arrow.from_bytes(data)
    except arrow.DamagedError as error:
        return str(error) or "it is damaged"
    return None
