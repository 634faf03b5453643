"""Digests of models that were digested before: a file is hashed once, not once for each run."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from evaljobs.config import canonical_json
from evaljobs.images.looking import SETTLED_NS
from evaljobs.models.digest import model_digest


class CachedDigests:
    """Gives `model_digest` from a cache where the files stand there as they were.

    The cache's key is made of the resolved path, size and times of change of the file and of each external file. The
    time of the last change of status is among them, since copying may set the other one back. Files changed within
    the last two seconds are digested and not kept: a time stamp does not yet tell their next change.

    Parameters
    ----------
    get
        Returns what was put under a key of 64 hexadecimal digits, or None.
    put
        Keeps a digest under such a key. Neither is called by two threads at a time.
    """

    def __init__(self, get: Callable[[str], str | None], put: Callable[[str, str], None]) -> None:
        self._get = get
        self._put = put
        self._lock = threading.Lock()

    def __call__(self, path: Path, external_files: tuple[Path, ...]) -> str:
        """Return the digest of a model, see `model_digest`.

        Raises
        ------
        ModelError
            CORRUPT, if a file cannot be read or lies outside the model's folder.
        """
        started_ns = time.time_ns()
        identity, changed_ns = _identity(path, external_files)
        with self._lock:
            known = self._get(identity) if identity else None
        if known:
            return known
        digest = model_digest(path, external_files)
        settled = changed_ns < started_ns - SETTLED_NS
        if identity and settled and _identity(path, external_files)[0] == identity:
            with self._lock:
                self._put(identity, digest)
        return digest


def _identity(path: Path, external_files: tuple[Path, ...]) -> tuple[str | None, int]:
    """Return the cache's key (None where a file cannot be asked), and the latest time of change in ns."""
    files = []
    changed_ns = 0
    try:
        for file in (path, *external_files):
            status = file.stat()
            changed_ns = max(changed_ns, status.st_mtime_ns, status.st_ctime_ns)
            location = os.path.relpath(file, path.parent)
            files.append([location, str(file.resolve()), status.st_size, status.st_mtime_ns, status.st_ctime_ns])
    except (OSError, ValueError):  # digesting says what is wrong
        return None, 0
    return hashlib.sha256(canonical_json(files).encode()).hexdigest(), changed_ns
