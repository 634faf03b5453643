"""Files that appear whole or not at all, in a local folder."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from evaljobs.errors import StoreError


class Folder:
    """A folder whose files are created once and never changed.

    Raises
    ------
    StoreError
        From every method, where the file system refuses: full, read-only, not a folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def create(self, name: str, data: bytes) -> bool:
        """Create a file, whole; return False where it is there already (its bytes stay)."""
        target = self.root / name
        with self._explained("write", target):
            if target.exists():
                return False
            target.parent.mkdir(parents=True, exist_ok=True)
            # The dot keeps it out of `names`; the random part keeps two writers apart.
            temporary = target.parent / f".{uuid.uuid4().hex}.tmp"
            try:
                temporary.write_bytes(data)
                return _link(temporary, target)
            finally:
                temporary.unlink(missing_ok=True)

    def read(self, name: str) -> bytes | None:
        """Return a file's bytes, or None where there is no such file."""
        target = self.root / name
        with self._explained("read", target):
            try:
                return target.read_bytes()
            except FileNotFoundError:
                return None

    def names(self, folder: str, suffix: str) -> list[str]:
        """Return the files of a subfolder that end so, sorted, as names that `read` takes."""
        with self._explained("list", self.root / folder):
            try:
                entries = os.listdir(self.root / folder)  # noqa: PTH208 - names alone, ten times faster
            except FileNotFoundError:
                return []
        return [f"{folder}/{entry}" for entry in sorted(entries) if entry.endswith(suffix) and entry[0] != "."]

    def delete(self, name: str) -> None:
        """Delete a file, if it is there."""
        with self._explained("delete", self.root / name):
            (self.root / name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _explained(self, verb: str, target: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(_explain(verb, target, error)) from error


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
