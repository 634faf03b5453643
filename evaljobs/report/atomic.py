"""Files that exist whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from evaljobs.errors import RunFailedError


def write_atomic(path: Path, data: bytes) -> Path:
    """Write a file under a temporary name beside it, then rename it; what stood there stays until then.

    Raises
    ------
    RunFailedError
        If it cannot be written (full disk, no permission); no part of it is left.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            with temporary.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise RunFailedError(
            f"cannot write {path}: {error.strerror or error}; expected a folder with room for {len(data):,} bytes. "
            "What was computed is in the store: make room or name another folder with --out, then run again"
        ) from None
    return path
