"""The run's files, and how it is started, as a ConfigMap, which is what pods can mount."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from raycluster.errors import ClusterError
from raycluster.program import Parcel

FOLDER = "/etc/raycluster/run"
# In that folder: the parcel's files, and the script that starts the run.
FILES, START = "files", "start.sh"
# Of Kubernetes, for a whole ConfigMap; Base64 and names are counted too.
_LARGEST = 1_000_000
# Of the digest in its name.
_DIGITS = 12


def config_map(parcel: Parcel, script: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return a ConfigMap with a parcel's files and a script. It never changes: other bytes have another name.

    Parameters
    ----------
    metadata
        Its own, but for the name: there, that which is put before the digest of all bytes. The parcel's digest would
        not do, which leaves out what does not change results.

    Raises
    ------
    ClusterError
        If they are too large for one.
    """
    data: dict[str, str] = {START: script}
    binary: dict[str, str] = {}
    for number, content in enumerate(_sorted(parcel).values()):
        try:
            data[_key(number)] = content.decode("utf-8")
        except UnicodeDecodeError:
            binary[_key(number)] = base64.b64encode(content).decode("ascii")
    size = sum(len(text.encode()) for text in (*data.values(), *binary.values()))
    if size > _LARGEST:
        raise ClusterError(
            f"the run's {len(parcel.files)} files take {size:,} bytes, and a ConfigMap holds {_LARGEST:,}: keep what "
            "is large on S3, and name it there"
        )
    contents = {"data": data} | ({"binaryData": binary} if binary else {})
    digest = hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()[:_DIGITS]
    named = {**metadata, "name": f"{metadata['name']}-{digest}"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "immutable": True, **contents}


def volume(parcel: Parcel, name: str) -> dict[str, Any]:
    """Return the volume that shows the files of such a ConfigMap under their own paths."""
    items = [{"key": _key(number), "path": f"{FILES}/{path}"} for number, path in enumerate(_sorted(parcel))]
    items.append({"key": START, "path": START})
    return {"name": "run", "configMap": {"name": name, "items": items}}


def _sorted(parcel: Parcel) -> dict[str, bytes]:
    return dict(sorted(parcel.files.items()))


def _key(number: int) -> str:
    """Return a name that a ConfigMap allows, whatever the path is."""
    return f"file-{number:04}"
