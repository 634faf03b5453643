"""Digests of files that travel as they are: each file is read once, and not again before it changes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa

from evaljobs.errors import UsageError
from evaljobs.files import sha256_of
from evaljobs.images.versions import SETTLED_NS, versions
from evaljobs.schemas import MODEL_FACTS
from evaljobs.store import Store

_KEPT = "container digests/1"


def digests_of(files: Iterable[Path], cache: Store) -> dict[Path, str]:
    """Return the sha256 of each file in hex.

    Parameters
    ----------
    cache
        Remembers those of files that have not changed. Of one that has changed within the last seconds nothing is kept:
        its time stamp does not yet tell the next change.

    Raises
    ------
    UsageError
        If one cannot be read.
    """
    files = list(dict.fromkeys(files))
    if not files:
        return {}
    started_ns = time.time_ns()
    table = cache.listing(_KEPT, MODEL_FACTS)
    known = dict(zip(table["key"].to_pylist(), table["facts"].to_pylist(), strict=True))
    found: dict[Path, str] = {}
    fresh: dict[str, str] = {}
    for file, version in zip(files, versions(list(map(str, files))), strict=True):
        key = hashlib.sha256(f"{file}\n{version}".encode(errors="surrogateescape")).hexdigest()
        found[file] = known.get(key) or _digest(file)
        if key not in known and (version.mtime_ns or started_ns) < started_ns - SETTLED_NS:
            fresh[key] = found[file]
    cache.add_listing(_KEPT, pa.table([list(fresh), list(fresh.values())], schema=MODEL_FACTS))
    return found


def _digest(file: Path) -> str:
    try:
        return sha256_of(file)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}; nothing was sent") from None
