"""What the store is kept in: a place for files that appear whole or not at all, whatever kind of place it is."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple, Protocol, TypeVar

import pyarrow as pa

T = TypeVar("T")
R = TypeVar("R")


class Entry(NamedTuple):
    """A file: its name relative to the place, its bytes, and when it was written, in seconds since 1970."""

    name: str
    size: int
    modified: float


class Folder(Protocol):
    """Files by names such as ``tables/<key>/key.json``, whole at every moment, and but for `replace` never changed.

    Attributes
    ----------
    location
        Where it is, for people and for whoever opens the same place elsewhere.
    concurrency
        How many reads at a time pay.

    Raises
    ------
    StoreError
        From every method, where the place refuses or does not answer.
    """

    location: str
    concurrency: int

    def create(self, name: str, data: bytes) -> bool:
        """Create a file, whole; return False where it is there already (its bytes stay). One of several wins."""

    def note(self, name: str, data: bytes) -> None:
        """Create a file for people, of a content that follows from its name: once for a process, if it is not there."""

    def replace(self, name: str, data: bytes) -> None:
        """Write a file, whole, in place of the one of that name."""

    def read(self, name: str) -> bytes | None:
        """Return a file's bytes, or None where there is no such file."""

    def has(self, name: str) -> bool:
        """Return whether there is such a file; nothing of it is read."""

    def opened(self, name: str) -> contextlib.AbstractContextManager[pa.NativeFile | None]:
        """Open a file to read parts of it; None where there is no such file."""

    def names(self, folder: str, suffix: str) -> list[str]:
        """Return the files of a subfolder that end so, sorted, as names that `read` takes."""

    def walk(self, folder: str = "") -> list[Entry]:
        """Return all files below a subfolder, or all, sorted by name; half-written ones are among them."""

    def sweep(self, folder: str) -> None:
        """Delete what killed writers left in a subfolder long ago."""

    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""

    def remove_empty(self, folder: str) -> None:
        """Delete a subfolder, if it holds nothing."""


def each(folder: Folder, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield a function of each item, in order: as many at a time as pay, and no more ahead of who takes them."""
    if folder.concurrency == 1:
        yield from map(function, items)
        return
    left = iter(items)
    with ThreadPoolExecutor(folder.concurrency) as threads:
        waiting: deque[Future[R]] = deque(threads.submit(function, item) for item in islice(left, folder.concurrency))
        try:
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(threads.submit(function, item) for item in islice(left, 1))
        finally:
            threads.shutdown(wait=True, cancel_futures=True)
