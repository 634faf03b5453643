"""What runs use of a store: what is in use now is not trimmed, and what was used last is trimmed last.

    uses/<digest>.json        the tables and results of a run, by key, and what was sent for it; written anew by
                              every run that uses just these, so that its time is that of their last use
    uses/run-<id>.lease       there while a run is at work; names its record
    uses/gc-<id>.lease        there while a store is trimmed

A run leaves its lease and then looks for someone who trims; who trims leaves his and then looks for runs. So at least
one of two sees the other: the run waits, or what it uses is left alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from evaljobs.config import canonical_json
from evaljobs.errors import StoreError, UsageError
from evaljobs.remote.hurry import hurried
from evaljobs.store import lease
from evaljobs.store.folder import Entry, Folder
from evaljobs.store.layout import Role, recognise
from evaljobs.store.lease import Heartbeat, Holder

log = logging.getLogger(__name__)

FOLDER = "uses"
_VERSION = 1
_RUN, _GC = "run", "gc"
_LOOK_EVERY_S = 1.0


class Record(NamedTuple):
    """What was used together, and when for the last time (seconds since 1970).

    Attributes
    ----------
    tables, results
        By the digests of their keys.
    uploads
        As `evaljobs.store.submitted.recorded` names them.
    """

    name: str
    tables: frozenset[str]
    results: frozenset[str]
    used: float
    uploads: frozenset[str] = frozenset()


class Lease(NamedTuple):
    """A lease that this process holds: its file's name, and who renews it."""

    name: str
    heartbeat: Heartbeat


class Look(NamedTuple):
    """What was seen of leases: their holders, the names of those that are stale, and when (seconds since 1970)."""

    holders: list[Holder]
    stale: list[str]
    now: float


class Uses:
    """The marks of one run.

    Parameters
    ----------
    folder
        The store's.
    what
        The run, for people.
    uploads
        What was sent for it, as `evaljobs.store.submitted.recorded` names it.
    """

    def __init__(self, folder: Folder, what: str, uploads: Iterable[str] = ()) -> None:
        self._folder = folder
        self._what = what
        self._uploads = sorted(uploads)
        self._lease = f"{FOLDER}/{_RUN}-{uuid.uuid4().hex}.lease"

    @contextlib.contextmanager
    def marked(self, tables: Iterable[str], results: Iterable[str], say: Callable[[str], None]) -> Iterator[None]:
        """Mark tables and results as in use, until left; if the store is being trimmed, wait until that is done.

        Only what is looked for from then on is sure to stay. A store that takes no marks can be used all the same.

        Parameters
        ----------
        tables, results
            Digests of keys.
        say
            Told that, and for whom, it waits.
        """
        with contextlib.ExitStack() as stack:
            try:
                holder = Holder.this_process(self._what, self._record(tables, results))
                own = stack.enter_context(leased(self._folder, self._lease, holder))
                self._wait_for_trimming(own, say)
            except StoreError as error:
                say(f"nobody who trims the store will know what this run uses: {error}")
            yield

    def record(self, tables: Iterable[str], results: Iterable[str]) -> None:
        """Remember that tables and results are used at this moment, where the store takes it."""
        try:
            self._record(tables, results)
        except StoreError as error:
            log.warning("what this run has used is not remembered: %s", error)

    def _record(self, tables: Iterable[str], results: Iterable[str]) -> str:
        """Write a record, and return the digest that it is named for."""
        used = {"version": _VERSION, "tables": sorted(tables), "results": sorted(results)}
        content = canonical_json({**used, "uploads": self._uploads} if self._uploads else used)
        digest = hashlib.sha256(content.encode()).hexdigest()
        self._folder.replace(f"{FOLDER}/{digest}.json", content.encode())
        return digest

    def _wait_for_trimming(self, own: Lease, say: Callable[[str], None]) -> None:
        said = False
        while others := _look(self._folder, own, _GC).holders:
            if not said:
                say(f"waiting for {others[0]}, which trims the store")
                said = True
            time.sleep(_LOOK_EVERY_S)


@contextlib.contextmanager
def leased(folder: Folder, name: str, holder: Holder) -> Iterator[Lease]:
    """Hold a lease of a name that nobody else has; given back without much patience where an error ends the work."""
    data = holder.to_bytes()
    folder.replace(name, data)
    try:
        with Heartbeat(lambda: folder.replace(name, data)) as heartbeat:
            yield Lease(name, heartbeat)
    except BaseException:
        with hurried():
            _give_back(folder, name)
        raise
    _give_back(folder, name)


def _give_back(folder: Folder, name: str) -> None:
    try:
        folder.delete(name)
    except StoreError as error:  # it becomes stale by itself
        log.warning("the lease %s is left behind: %s", name, error)


@contextlib.contextmanager
def trimming(folder: Folder) -> Iterator[Lease]:
    """Hold the lease of who trims a store.

    Raises
    ------
    UsageError
        If somebody else does.
    """
    name = f"{FOLDER}/{_GC}-{uuid.uuid4().hex}.lease"
    with leased(folder, name, Holder.this_process("evaljobs store gc")) as own:
        if others := _look(folder, own, _GC).holders:
            raise UsageError(f"{others[0]} trims this store already; nothing was deleted. Wait for it to end")
        yield own


def look_for_runs(folder: Folder, own: Lease | None) -> Look:
    """Return the runs that are at work with a store; of a lease that nobody can read, a holder without a record.

    Parameters
    ----------
    own
        The caller's lease: its time is the store's. Without one, this machine's clock is taken for the store's.
    """
    return _look(folder, own, _RUN)


def _look(folder: Folder, own: Lease | None, kind: str) -> Look:
    """Return who holds a lease of a kind that is not stale, but for the owner of this one."""
    if own is not None:
        # However long this process has slept, its lease is now the one that was written just now.
        own.heartbeat.renew()
    leases = [e for e in folder.walk(FOLDER) if (named := recognise(e.name)) and named.role is Role.LEASE]
    now, held = _told_apart(leases, "" if own is None else own.name)
    others = [name for name in held if (own is None or name != own.name) and name.startswith(f"{FOLDER}/{kind}-")]
    holders = [_holder(name, data) for name in others if (data := folder.read(name)) is not None]
    return Look(holders, [entry.name for entry in leases if entry.name not in held], now)


def _told_apart(leases: Iterable[Entry], own: str) -> tuple[float, list[str]]:
    """Return the time by the lease that was written just now, or else by this machine, and the leases that are held."""
    now = next((entry.modified for entry in leases if entry.name == own), time.time())
    return now, [entry.name for entry in leases if abs(now - entry.modified) < lease.EXPIRES_S]


def records(folder: Folder, entries: Iterable[Entry]) -> list[Record]:
    """Return what runs have used; a record that is damaged or of another version counts for nothing."""
    found = []
    for entry in entries:
        named = recognise(entry.name)
        if named is None or named.role is not Role.USE:
            continue
        with contextlib.suppress(ValueError, TypeError, KeyError):
            content = json.loads(folder.read(entry.name) or b"")
            if content["version"] == _VERSION:
                tables, results = (frozenset(map(str, content[name])) for name in ("tables", "results"))
                uploads = frozenset(map(str, content.get("uploads", ())))
                found.append(Record(named.key, tables, results, entry.modified, uploads))
    return found


def _holder(name: str, data: bytes) -> Holder:
    return lease.read_holder(data) or Holder(f"the holder of {name}", "?", 0, 0.0)
