"""Names of files that are made of names of strangers."""

from __future__ import annotations

import hashlib
import re


def file_name(name: str) -> str:
    """Return a part of a file name; a name that had to be changed is kept apart from others by its hash.

    It holds no hyphen, so that parts joined by hyphens stay apart.
    """
    safe = re.sub(r"[^A-Za-z0-9_.]+", "_", name).strip("._")[:60]
    return safe if safe == name else f"{safe}.{hashlib.sha256(name.encode(errors='backslashreplace')).hexdigest()[:8]}"
