"""Files that nobody else may read, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def written_beside(target: Path, text: str) -> Iterator[Path]:
    """Yield a new file that holds a text, to be given the target's name; gone afterwards where it was not.

    Its folder is made where there is none, for this user alone.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")  # readable by this user alone
    new = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        yield new
    finally:
        new.unlink(missing_ok=True)
