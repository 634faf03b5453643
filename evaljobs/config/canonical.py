"""One text for one value: what keys and digests are made of."""

from __future__ import annotations

import json


def canonical_json(value: object) -> str:
    """Return one text for one value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
