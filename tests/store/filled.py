"""A store with models of two sizes and their results, as runs leave it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa

from evaljobs.store import Store
from evaljobs.store.store import key_digest
from tests.store.rows import digests

ROWS = 40


def model_key(model: str, **changed: Any) -> dict[str, Any]:
    """Return a model key with what people read of one."""
    return {
        "model": model,
        "outputs": [{"role": "embedding", "tensor": "y", "pooling": None, "channels_last": False}],
        "geometry": {"height": 112, "width": 96, "color": "rgb", "resize": "stretch", "interpolation": "bilinear"},
        "normalisation": {"divisor": 255.0, "mean": [0.5], "std": [0.25]},
        "provider": "CPUExecutionProvider",
        "batch_size": 32,
        **changed,
    }


def model_digest(number: int) -> str:
    """Return the digest of a model file that nobody has."""
    return f"{number:02x}" * 32


def fill_table(store: Store, key: dict[str, Any], dimensions: int = 8) -> str:
    """Commit rows of a model in parts of unequal length; return the digest of its key."""
    ids = digests(ROWS)
    rows = np.random.default_rng(0).standard_normal((ROWS, dimensions), dtype=np.float32)
    for start, stop in ((0, 17), (17, 18), (18, ROWS)):
        store.table(key).commit(ids.slice(start, stop - start), {"embedding": rows[start:stop]})
    return key_digest(key)


def fill_result(store: Store, key: dict[str, Any]) -> dict[str, Any]:
    """Commit a result of a model; return the key of the evaluation."""
    evaluation = {"job": {"kind": "verification"}, "sets": {"set": "s"}, "model": key_digest(key)}
    table = pa.table({"threshold": [0.5, 0.25], "fpr": [0.0, 1.0], "tpr": [0.5, 1.0]})
    store.add_result(evaluation, {"result": {"auroc": 0.75}}, {"roc": table})
    return evaluation


def fill(store: Store, models: int = 3) -> list[dict[str, Any]]:
    """Fill a store with models and a result of each; return the model keys, smallest table first."""
    keys = [model_key(model_digest(number)) for number in range(1, models + 1)]
    for number, key in enumerate(keys, start=1):
        fill_table(store, key, dimensions=8 * number)
        fill_result(store, key)
    return keys


def days_ago(days: float) -> float:
    """Return a time in seconds since 1970."""
    return (dt.datetime.now(dt.UTC) - dt.timedelta(days=days)).timestamp()
