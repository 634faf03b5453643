"""Files that exist whole or not at all."""

from __future__ import annotations

from pathlib import Path

from evaljobs.errors import RunFailedError
from evaljobs.files import beside, flushed


def write_atomic(path: Path, data: bytes) -> Path:
    """Write a file under a temporary name beside it, then rename it; what stood there stays until then.

    Raises
    ------
    RunFailedError
        If it cannot be written (full disk, no permission); no part of it is left.
    """
    try:
        with beside(path) as temporary:
            with flushed(temporary.open("wb")) as stream:
                stream.write(data)
            temporary.replace(path)
    except OSError as error:
        raise RunFailedError(
            f"cannot write {path}: {error.strerror or error}; expected a folder with room for {len(data):,} bytes. "
            "What was computed is in the store: make room or name another folder with --out, then run again"
        ) from None
    return path
