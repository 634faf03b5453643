"""Keys: JSON objects that name what is stored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from evaljobs.config import canonical_json


def key_digest(key: Mapping[str, Any]) -> str:
    """Return the sha256 of a key's canonical JSON, in hex."""
    return hashlib.sha256(canonical_json(key).encode()).hexdigest()


def spelled_out(key: Mapping[str, Any]) -> bytes:
    """Return a key as a text for people."""
    return (json.dumps(key, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
