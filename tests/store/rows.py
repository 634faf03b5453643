"""Rows to commit, and ways to look at and to damage what stands in a store, wherever it is."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa

from evaljobs.schemas import DIGEST
from evaljobs.store import Store

KEY = {"model": "m", "batch_size": 32}


def digests(n: int, start: int = 0) -> pa.Array:
    return pa.array([hashlib.sha256(str(i).encode()).digest() for i in range(start, start + n)], DIGEST)


def matrix(n: int, d: int = 5) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, d), dtype=np.float32)


def names(store: Store, folder: str, suffix: str) -> list[str]:
    """Return the files below a folder of a store that end so."""
    return [entry.name for entry in store.folder.walk(folder) if entry.name.endswith(suffix)]


def parts(store: Store) -> list[str]:
    """Return the names of all parts of embedding tables."""
    return names(store, "tables", ".arrow")


def content(store: Store, name: str) -> bytes:
    data = store.folder.read(name)
    assert data is not None
    return data


def opened(store: Store, name: str) -> pa.RecordBatchFileReader:
    return pa.ipc.open_file(pa.py_buffer(content(store, name)))


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def damage(store: Store, name: str, how: str) -> None:
    """Damage a part in place."""
    data = content(store, name)
    digest = data.index(opened(store, name).read_all()["image_digest"][0].as_py())
    changed = {
        "truncated": data[: len(data) // 2],
        "tail": data[:-1],
        "empty": b"",
        "zeros": bytes(len(data)),
        "flipped digest": flipped(data, digest),
        "flipped value": flipped(data, len(data) // 2),
    }
    store.folder.replace(name, changed[how])
