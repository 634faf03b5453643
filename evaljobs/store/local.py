"""Files that appear whole or not at all, in a local folder."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from evaljobs.errors import StoreError
from evaljobs.files import beside, flushed
from evaljobs.store.folder import Entry

# Longer than any write takes, however slow the disk and however wrong another machine's clock.
_ABANDONED_S = 24 * 3600


class LocalFolder:
    """A `Folder` in a local folder; its files are whole after a power cut too.

    Raises
    ------
    StoreError
        From every method, where the file system refuses: full, read-only, not a folder.
    """

    # Threads gain nothing on a disk, and little on a network file system.
    concurrency = 1

    def __init__(self, root: Path) -> None:
        self.root = root
        self.location = str(root)

    def create(self, name: str, data: bytes) -> bool:
        """Create a file, whole; return False where it is there already (its bytes stay)."""
        target = self.root / name
        with self._explained("write", target):
            if target.exists():
                return False
            with _written(target, data) as temporary:
                return _link(temporary, target)

    def note(self, name: str, data: bytes) -> None:
        """Create a file for people, if it is not there."""
        self.create(name, data)

    def replace(self, name: str, data: bytes) -> None:
        """Write a file, whole, in place of the one of that name."""
        target = self.root / name
        with self._explained("write", target), _written(target, data) as temporary:
            temporary.replace(target)

    def read(self, name: str) -> bytes | None:
        """Return a file's bytes, or None where there is no such file."""
        target = self.root / name
        with self._explained("read", target):
            try:
                return target.read_bytes()
            except FileNotFoundError:
                return None

    def has(self, name: str) -> bool:
        """Return whether there is such a file."""
        target = self.root / name
        with self._explained("read", target):
            return target.exists()

    @contextlib.contextmanager
    def opened(self, name: str) -> Iterator[pa.NativeFile | None]:
        """Open a file to read parts of it; None where there is no such file."""
        target = self.root / name
        with self._explained("read", target):
            try:
                file = pa.OSFile(str(target))
            except FileNotFoundError:
                yield None
                return
            with file:
                yield file

    def names(self, folder: str, suffix: str) -> list[str]:
        """Return the files of a subfolder that end so, sorted, as names that `read` takes."""
        entries = self._entries(folder)
        self._delete_abandoned(folder, entries)
        return [f"{folder}/{entry}" for entry in sorted(entries) if entry.endswith(suffix) and entry[0] != "."]

    def walk(self, folder: str = "") -> list[Entry]:
        """Return all files below a subfolder, sorted by name; half-written ones are among them."""
        return sorted(self._walked(folder))

    def sweep(self, folder: str) -> None:
        """Delete what killed writers left in a subfolder; `names` does so by the way."""
        self._delete_abandoned(folder, self._entries(folder))

    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""
        with self._explained("delete", self.root / name):
            (self.root / name).unlink(missing_ok=True)

    def remove_empty(self, folder: str) -> None:
        """Delete a subfolder, if it holds nothing."""
        # Somebody writes into it again, or has deleted it before: both are fine.
        with contextlib.suppress(OSError):
            (self.root / folder).rmdir()

    def _walked(self, folder: str) -> Iterator[Entry]:
        with self._explained("list", self.root / folder):
            try:
                entries = list(os.scandir(self.root / folder))
            except FileNotFoundError:
                return
        for entry in entries:
            name = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from self._walked(name)
                continue
            with self._explained("list", self.root / name):
                try:
                    found = entry.stat(follow_symlinks=False)
                except FileNotFoundError:  # deleted meanwhile
                    continue
            yield Entry(name, found.st_size, found.st_mtime)

    def _entries(self, folder: str) -> list[str]:
        with self._explained("list", self.root / folder):
            try:
                return os.listdir(self.root / folder)  # noqa: PTH208 - names alone, ten times faster
            except FileNotFoundError:
                return []

    def _delete_abandoned(self, folder: str, entries: Iterable[str]) -> None:
        for entry in entries:
            if entry.startswith(".") and entry.endswith(".tmp"):
                path = self.root / folder / entry
                # Another sweeper was faster, or it is another user's: no reason to end a run.
                with contextlib.suppress(OSError):
                    if time.time() - path.stat().st_mtime > _ABANDONED_S:
                        path.unlink()

    @contextlib.contextmanager
    def _explained(self, verb: str, target: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(_explain(verb, target, error)) from error


@contextlib.contextmanager
def _written(target: Path, data: bytes) -> Iterator[Path]:
    """Write a temporary file beside the target, on the disk before it can be given the target's name."""
    with beside(target) as temporary:
        with flushed(_opened_anew(temporary)) as file:
            file.write(data)
        yield temporary


def _opened_anew(path: Path) -> BinaryIO:
    """Open a new file in a folder that may not be there, or is just being deleted because it is empty."""
    for _ in range(10):
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            return path.open("wb")
    return path.open("wb")


def _explain(verb: str, target: Path, error: OSError) -> str:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return (
            f"cannot {verb} {target}: the disk is full. What was committed before is kept: "
            "make room, or name another `store`, and run the same command again"
        )
    return f"cannot {verb} {target}: {error.strerror or error}. Check the folder's permissions, or name another `store`"


def _link(temporary: Path, target: Path) -> bool:
    """Give a file its final name; the first writer wins."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        return False
    except OSError as error:
        # No hard links here (some network and FAT file systems). A rename is as whole; the last writer wins, with
        # equal rows.
        if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}:
            raise
        temporary.replace(target)
    return True
