"""What submissions have left in a store and nobody needs any more: files that were sent, and results of runs.

What is sent is named by its content and sent once, so the time of a file says nothing of its last use. Whoever sends
it, and each run that is given it, leaves a record of the sets and models (`evaljobs.store.uses`); which images a set
needs is read from its table.
"""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from evaljobs.errors import StoreError
from evaljobs.store.folder import Entry, Folder, each
from evaljobs.store.uses import Record

UPLOADS, RUNS = "uploads", "runs"
_SETS = f"{UPLOADS}/sets/"
# What of an upload stands in a record: the others are named by the tables of sets.
_RECORDED = (_SETS, f"{UPLOADS}/models/")
# Of the uris of images, which may lie inside containers: behind the # stand their own names. A store may be in a folder
# that is called as those are.
_NAMED = re.compile(rf"[^#]*({UPLOADS}/(?:images|containers)/[^/#?]+)")
# What a run writes into its folder, sooner or later.
_OF_RUNS = frozenset({"results.json", "failures.csv", ".evaljobs.lease"})


class Left(NamedTuple):
    """What is to go: files that were sent, and the files of runs, by the folder of the run."""

    uploads: list[Entry]
    runs: dict[str, list[Entry]]

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        return sum(entry.size for entry in (*self.uploads, *(one for run in self.runs.values() for one in run)))


NOTHING = Left([], {})


def recorded(location: str, places: Iterable[str]) -> frozenset[str]:
    """Return the uploads of a store that stand in a record, of the places of what was sent, or of what a run is given.

    Parameters
    ----------
    location
        Of the store.
    places
        Places anywhere.
    """
    own = (place.removeprefix(f"{location}/") for place in places if place.startswith(f"{location}/"))
    return frozenset(upload_of(name) for name in own if name.startswith(_RECORDED))


def old(folder: Folder, entries: Sequence[Entry], records: Iterable[Record], before: float, *, in_use: bool) -> Left:
    """Return what was last used before a moment, in seconds since 1970.

    Parameters
    ----------
    entries
        All that submissions have left.
    in_use
        Whether somebody is at work with the store, and may need any of what was sent: then all of that stays.

    Raises
    ------
    StoreError
        If the table of a set that is still needed cannot be read: nobody knows what it needs.
    """
    sent = [entry for entry in entries if entry.name.startswith(f"{UPLOADS}/")]
    runs = _runs([entry for entry in entries if entry.name.startswith(f"{RUNS}/")])
    stale = {run: several for run, several in runs.items() if max(entry.modified for entry in several) < before}
    if in_use:
        return Left([], stale)
    fresh = {upload for record in records if record.used >= before for upload in record.uploads}
    fresh |= {upload_of(entry.name) for entry in sent if entry.modified >= before}
    there = {upload_of(entry.name) for entry in sent if entry.name.startswith(_SETS)}
    fresh |= set[str]().union(*each(folder, lambda name: _needed_by(folder, name), sorted(fresh & there)))
    return Left([entry for entry in sent if upload_of(entry.name) not in fresh], stale)


def upload_of(name: str) -> str:
    """Return what a file is a part of: a model may be several."""
    return "/".join(name.split("/")[:3])


def _needed_by(folder: Folder, name: str) -> set[str]:
    """Return the uploads that the table of a set names."""
    try:
        uris = pq.read_table(io.BytesIO(folder.read(name) or b""), columns=["uri"])["uri"]
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:  # OSError: of Arrow, where columns are damaged
        why = " ".join(str(error).split()).rstrip(".")
        raise StoreError(
            f"{folder.location}/{name} cannot be read, so nobody knows which uploads it needs: {why}. Nothing was "
            "deleted. Delete that file, and submit what needs it again"
        ) from None
    return {found[1] for uri in uris.to_pylist() if (found := _NAMED.match(uri))}


def _runs(entries: Sequence[Entry]) -> Mapping[str, list[Entry]]:
    """Return files by the folder of their run: the nearest above them that holds what runs write there."""
    folders = {name for entry in entries for name, _, last in [entry.name.rpartition("/")] if last in _OF_RUNS}
    found: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        parts = entry.name.split("/")
        above = ("/".join(parts[:n]) for n in range(len(parts) - 1, 1, -1))
        found[next((name for name in above if name in folders), "/".join(parts[:-1]))].append(entry)
    return found
