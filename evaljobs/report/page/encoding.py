"""JSON, images and hashes as text inside an HTML page, so that nothing in them acts."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from evaljobs.report.tables.escape import visible

# A script element ends at `</script`, and `<!--` changes how it is read: neither can be written without `<`.
_MARKUP = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}
_KINDS = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}


def json_for_script(value: Any) -> str:
    """Return JSON that may stand inside a ``<script type="application/json">``: ASCII, without ``<``, ``>`` and ``&``.

    Raises
    ------
    ValueError
        If it holds NaN or an infinity.
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character, escape in _MARKUP.items():
        text = text.replace(character, escape)
    return text


def all_visible(value: Any) -> Any:
    """Return a value with every text in it, keys included, made visible: no control or bidirectional characters."""
    if isinstance(value, str):
        return value if value.isascii() and value.isprintable() else visible(value)
    if isinstance(value, dict):
        return {all_visible(key): all_visible(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [all_visible(inner) for inner in value]
    return value


def script_hash(script: str) -> str:
    """Return the source expression that allows this script and no other (CSP level 3)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def data_uri(image: bytes) -> str | None:
    """Return a PNG or JPEG file as a ``data:`` URI; None for what is neither."""
    kind = next((kind for start, kind in _KINDS.items() if image.startswith(start)), None)
    return kind and f"data:{kind};base64,{base64.b64encode(image).decode()}"
