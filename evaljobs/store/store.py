"""The store as a whole: where each kind of file lives, and how it is read."""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from evaljobs.config import canonical_json
from evaljobs.errors import StoreError, UsageError
from evaljobs.remote import is_remote, locate
from evaljobs.schemas import FAILURES, STORE_VERSION
from evaljobs.store import arrow
from evaljobs.store.folder import Folder, each
from evaljobs.store.keys import key_digest, spelled_out
from evaljobs.store.layout import MARKER
from evaljobs.store.local import LocalFolder
from evaljobs.store.tables import Table, digests_of

__all__ = ["Store", "key_digest"]

log = logging.getLogger(__name__)

# A rate measured over less than the tenth part of the steps does not replace another.
_FEW_STEPS = 10


Result = tuple[dict[str, Any], dict[str, pa.Table]]


class Measured(NamedTuple):
    """Seconds for one step of the work of a key, and how many steps were measured."""

    key: Mapping[str, Any]
    seconds: float
    steps: int


class Store:
    """A store in a local folder or on S3. Picklable: an actor or a task opens its own from the same location.

    Parameters
    ----------
    location
        A local folder, or ``s3://bucket/prefix``.
    """

    def __init__(self, location: str | Path) -> None:
        self.location = locate(location, Path()) if is_remote(location) else str(location)
        self.folder: Folder = _folder(self.location)
        self._seen: dict[str, Result] = {}

    def __reduce__(self) -> tuple[type[Store], tuple[str]]:
        return type(self), (self.location,)

    def open(self) -> Store:
        """Make it where it is not there yet, and check that it is ours and of our version.

        What a killed run left half-written there is deleted after a day.

        Raises
        ------
        StoreError
            If it cannot be written, or was written by a newer version.
        """
        marker = canonical_json({"version": STORE_VERSION}).encode()
        # Looked for first: who may only read can still use what is there.
        data = self.folder.read(MARKER)
        if data is None and not self.folder.create(MARKER, marker):  # another has just made it
            data = self.folder.read(MARKER) or b""
        if data is not None:
            if not data.strip(b"\0"):
                # A power cut on a file system that names a file before it has its bytes: nothing else stood there.
                self.folder.replace(MARKER, marker)
                data = marker
            self._check_version(data)
        for flat in (".", "rates", "nonces"):
            self.folder.sweep(flat)
        return self

    def there(self) -> Store:
        """Check that there is a store, and that it is of our version; nothing is made.

        Raises
        ------
        UsageError
            If there is none.
        StoreError
            If it cannot be read, or was written by another version.
        """
        marker = self.folder.read(MARKER)
        if marker is None:
            raise UsageError(
                f"there is no store at {self.location}: it holds no {MARKER}. Expected the `store` of a "
                "configuration, or no name where the user's own store is meant"
            )
        self._check_version(marker)
        return self

    def _check_version(self, marker: bytes) -> None:
        try:
            version = json.loads(marker).get("version")
        except (ValueError, AttributeError):
            raise StoreError(f"{self.location}/{MARKER} is damaged; delete that one file and run again") from None
        if version != STORE_VERSION:
            raise StoreError(
                f"the store {self.location} has version {version}, this evaljobs writes version {STORE_VERSION}; "
                "name another `store`, or use the evaljobs that made it"
            )

    # Embedding tables

    def table(self, key: Mapping[str, Any]) -> Table:
        """Return the embedding table of a model key."""
        return Table(self.folder, key)

    def digests(self, keys: Sequence[Mapping[str, Any]]) -> list[pa.Array]:
        """Return `Table.digests` of several tables; many parts at a time where it pays."""
        return digests_of(self.folder, [self.table(key) for key in keys])

    # What cannot be decoded, per geometry

    def failures(self, geometry: Mapping[str, Any]) -> pa.Table:
        """Return the known undecodable images of a geometry (schemas.FAILURES)."""
        return self._all(f"failures/{key_digest(geometry)}", FAILURES)

    def add_failures(self, geometry: Mapping[str, Any], failures: pa.Table) -> None:
        """Remember images that cannot be decoded."""
        folder = f"failures/{key_digest(geometry)}"
        self.folder.note(f"{folder}/key.json", spelled_out(geometry))
        self._add(folder, failures)

    # What was found at a uri of a given size and time

    def listing(self, source: str, schema: pa.Schema) -> pa.Table:
        """Return what earlier runs found in an image source, in no order that says which look was later."""
        return self._all(f"listings/{_sha256(source)}", schema)

    def add_listing(self, source: str, rows: pa.Table) -> None:
        """Remember what was found in an image source."""
        self._add(f"listings/{_sha256(source)}", rows)

    # Results

    def results(self, keys: Iterable[Mapping[str, Any]]) -> Iterator[Result | None]:
        """Yield `result` of each key, in order; many at a time where it pays.

        A result never changes: one that was there is not read again.
        """

        def once(key: Mapping[str, Any]) -> Result | None:
            name = key_digest(key)
            if name not in self._seen and (found := self.result(key)) is not None:
                self._seen[name] = found
            return self._seen.get(name)

        return each(self.folder, once, keys)

    def result(self, key: Mapping[str, Any]) -> Result | None:
        """Return a finished evaluation and its tables, or None."""
        folder = f"results/{key_digest(key)}"
        data = self.folder.read(f"{folder}/result.json")
        if data is None:
            return None
        try:
            stored = json.loads(data)
            tables = {name: self._read(f"{folder}/{name}.arrow") for name in stored["tables"]}
        except (ValueError, KeyError, arrow.DamagedError) as error:
            log.warning("%s is damaged and is made again (%s)", folder, error)
            for name in [f"{folder}/result.json", *self.folder.names(folder, ".arrow")]:
                self.folder.delete(name)
            return None
        return stored["outcome"], tables

    def add_result(self, key: Mapping[str, Any], outcome: dict[str, Any], tables: Mapping[str, pa.Table]) -> None:
        """Commit a finished evaluation; its tables first, so that the JSON file vouches for them."""
        folder = f"results/{key_digest(key)}"
        self.folder.sweep(folder)
        for name, table in tables.items():
            self.folder.create(f"{folder}/{name}.arrow", arrow.to_bytes(table, {"evaljobs.schema": "result/1"}))
        stored = {"key": key, "tables": sorted(tables), "outcome": outcome}
        self.folder.create(f"{folder}/result.json", json.dumps(stored, allow_nan=False).encode())

    # Whether other machines see it

    def leave_nonce(self) -> str:
        """Leave a file of a random name, for `sees_nonce` on another machine."""
        nonce = f"nonces/{uuid.uuid4().hex}"
        self.folder.create(nonce, nonce.encode())
        return nonce

    def sees_nonce(self, nonce: str) -> bool:
        """Say whether the file is here and an answer can be written beside it."""
        if self.folder.read(nonce) != nonce.encode():
            return False
        answer = f"{nonce}-{uuid.uuid4().hex}"
        written = self.folder.create(answer, b"")
        self.folder.delete(answer)
        return written

    def remove_nonce(self, nonce: str) -> None:
        """Remove the file."""
        self.folder.delete(nonce)

    # How long things take

    def rate(self, kind: str, key: Mapping[str, Any]) -> float | None:
        """Return the seconds for one step of some work, as the last run with this store measured them."""
        return self._rate(kind, key).get("seconds")

    def rates(self, kind: str, keys: Iterable[Mapping[str, Any]]) -> Iterator[float | None]:
        """Yield `rate` of each key, in order; many at a time where it pays."""
        return each(self.folder, lambda key: self.rate(kind, key), keys)

    def add_rates(self, kind: str, measured: Iterable[Measured]) -> None:
        """Remember several rates, as `add_rate` does; many at a time where it pays."""
        for _ in each(self.folder, lambda one: self.add_rate(kind, *one), measured):
            pass

    def add_rate(self, kind: str, key: Mapping[str, Any], seconds: float, steps: int) -> None:
        """Remember the seconds for one step of some work, in place of what was measured before.

        Parameters
        ----------
        kind, key
            What work it is.
        seconds
            For one step.
        steps
            How many were measured. A measurement over far more steps stays: what little work a second run has is
            mostly what comes before the first step.
        """
        if steps * _FEW_STEPS >= self._rate(kind, key).get("steps", 0):
            data = json.dumps({"seconds": seconds, "steps": steps}).encode()
            self.folder.replace(f"rates/{kind}-{key_digest(key)}.json", data)

    def _rate(self, kind: str, key: Mapping[str, Any]) -> dict[str, float]:
        try:
            found = json.loads(self.folder.read(f"rates/{kind}-{key_digest(key)}.json") or b"{}")
            return {name: float(found[name]) for name in ("seconds", "steps") if name in found}
        except (ValueError, TypeError):
            return {}

    def _read(self, name: str) -> pa.Table:
        data = self.folder.read(name)
        if data is None:
            raise arrow.DamagedError(f"{name} is missing")
        return arrow.from_bytes(data)

    def _all(self, folder: str, schema: pa.Schema) -> pa.Table:
        def rows(name: str) -> pa.Table:
            try:
                return self._read(name).replace_schema_metadata(None).cast(schema)
            except (arrow.DamagedError, pa.ArrowException, ValueError) as error:
                log.warning("%s is damaged and is made again (%s)", name, error)
                self.folder.delete(name)
                return schema.empty_table()

        return pa.concat_tables([schema.empty_table(), *each(self.folder, rows, self.folder.names(folder, ".arrow"))])

    def _add(self, folder: str, rows: pa.Table) -> None:
        if rows.num_rows:
            data = arrow.to_bytes(rows, {"evaljobs.schema": "rows/1"})
            self.folder.create(f"{folder}/part-{hashlib.sha256(data).hexdigest()}.arrow", data)


def _folder(location: str) -> Folder:
    if not is_remote(location):
        return LocalFolder(Path(location))
    # s3fs takes half a second to load.
    from evaljobs.store.remote import RemoteFolder

    return RemoteFolder(location)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
