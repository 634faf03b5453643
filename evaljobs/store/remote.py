"""Files that appear whole or not at all, below a prefix of a bucket on S3."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pyarrow as pa

from evaljobs.errors import RemoteError, StoreError
from evaljobs.remote import objects
from evaljobs.remote.ranges import open_ranges
from evaljobs.store.folder import Entry

_CONCURRENCY = 8


class RemoteFolder:
    """A `Folder` on S3: a created file is one conditional request, so of several that race one wins.

    Raises
    ------
    StoreError
        From every method, where the server denies, has no such bucket, or does not answer for two minutes.
    """

    concurrency = _CONCURRENCY

    def __init__(self, location: str) -> None:
        self.location = location
        self._noted: set[str] = set()

    def create(self, name: str, data: bytes) -> bool:
        """Create an object; return False where it is there already (its bytes stay)."""
        with _explained():
            return objects.create(self._uri(name), data)

    def note(self, name: str, data: bytes) -> None:
        """Create an object for people; asked for again and again by a process, it costs one request."""
        if name not in self._noted:
            self.create(name, data)
            self._noted.add(name)

    def replace(self, name: str, data: bytes) -> None:
        """Write an object in place of the one of that name."""
        with _explained():
            objects.replace(self._uri(name), data)

    def read(self, name: str) -> bytes | None:
        """Return an object's bytes, or None where there is no such object."""
        with _explained():
            return objects.read(self._uri(name))

    def has(self, name: str) -> bool:
        """Return whether there is such an object."""
        with _explained():
            return objects.stat(self._uri(name)) is not None

    @contextlib.contextmanager
    def opened(self, name: str) -> Iterator[pa.NativeFile | None]:
        """Open an object to read ranges of it; None where there is no such object."""
        with _explained():
            ranges = open_ranges(self._uri(name))
            if ranges is None:
                yield None
                return
            with ranges, pa.PythonFile(ranges, mode="r") as file:
                yield file

    def names(self, folder: str, suffix: str) -> list[str]:
        """Return the objects of a subfolder that end so, sorted, as names that `read` takes."""
        with _explained():
            found = objects.find(self._uri(folder), recursive=False)
        names = [one.uri.rpartition("/")[2] for one in found]
        return [f"{folder}/{name}" for name in names if name.endswith(suffix) and name[0] != "."]

    def walk(self, folder: str = "") -> list[Entry]:
        """Return all objects below a subfolder, sorted by name."""
        with _explained():
            found = objects.find(self._uri(folder) if folder else self.location)
        start = len(self.location) + 1
        return sorted(Entry(one.uri[start:], one.size, one.modified) for one in found)

    def sweep(self, folder: str) -> None:
        """Do nothing: a request that is cut off leaves nothing behind, and no object has a temporary name."""

    def delete(self, name: str) -> None:
        """Delete an object, if it is there."""
        with _explained():
            objects.delete(self._uri(name))

    def remove_empty(self, folder: str) -> None:
        """Do nothing: a subfolder is a part of its objects' names."""

    def _uri(self, name: str) -> str:
        return f"{self.location}/{name}"


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except RemoteError as error:
        raise StoreError(f"{error}, or name another `store`") from error
