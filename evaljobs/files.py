"""Files of this machine: what is in one, and how one is written so that it exists whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file in hex; it is streamed.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def beside(target: Path) -> Iterator[Path]:
    """Yield a hidden name beside a file, to be written and then given the file's name; gone afterwards otherwise."""
    # The dot keeps it out of listings; the random part keeps two writers apart.
    temporary = target.parent / f".{uuid.uuid4().hex}.tmp"
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def flushed(file: BinaryIO) -> Iterator[BinaryIO]:
    """Close a file that is written, when all of it is on the disk: only then may it take another one's place."""
    with file:
        yield file
        file.flush()
        os.fsync(file.fileno())
