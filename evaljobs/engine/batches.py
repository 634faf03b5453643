"""Batches that do not fit the memory: the whole model runs with smaller ones, in this run and in every later one.

All rows of a table are made with one batch shape, which is part of its key. So what did not fit is remembered in the
store by that key, and does not depend on how much memory is free when somebody asks again: only on how much there is.
Where a run has more on each of its machines, the batch is tried again.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping

import pyarrow as pa

from evaljobs.models.key import key
from evaljobs.models.model import Model
from evaljobs.models.options import Runtime
from evaljobs.schemas import TOO_LARGE_BATCHES
from evaljobs.store import Store
from evaljobs.store.keys import key_digest

_SOURCE = "batches that did not fit a memory"

# Tells for a device (`Runtime.device`) the bytes of the machine, or of an actor's share of a GPU, that has least in a
# run; None where nobody knows. Asked only where it matters: on a cluster every node is asked.
Memory = Callable[[str], int | None]


def unknown(device: str) -> None:
    """Say of no device how much memory there is: what did not fit anywhere is not tried again."""
    del device


def too_large(store: Store) -> dict[str, float]:
    """Return the model keys whose batch did not fit, by digest, and the largest memory in bytes that it did not fit."""
    known: dict[str, float] = {}
    for row in store.listing(_SOURCE, TOO_LARGE_BATCHES).to_pylist():
        found = math.inf if row["memory_bytes"] is None else row["memory_bytes"]
        known[row["key"]] = max(found, known.get(row["key"], 0))
    return known


def remember_too_large(store: Store, model: Model, runtime: Runtime, memory: Memory) -> None:
    """Remember that a model's batch does not fit the memory of this run."""
    row = [[_digest(model, runtime)], [memory(runtime.device)]]
    store.add_listing(_SOURCE, pa.table(row, schema=TOO_LARGE_BATCHES))


def can_shrink(model: Model) -> bool:
    """Say whether a model runs with smaller batches too."""
    return model.batch_size > 1 and model.input.batch is None


def halvings(model: Model) -> Iterator[Model]:
    """Yield a model with each smaller batch that it may be run with before a run ends."""
    while can_shrink(model):
        model = dataclasses.replace(model, batch_size=model.batch_size // 2)
        yield model


def fitting(model: Model, runtime: Runtime, known: Mapping[str, float], memory: Memory) -> Model:
    """Return a model with its batch halved as often as it is known not to fit, and a note that says so.

    Parameters
    ----------
    model
        With the batch size of the configuration.
    known
        By the digest of a model key, the memory that its batch did not fit.
    memory
        Of this run.
    """
    found = model
    while can_shrink(found) and _too_large(_digest(found, runtime), runtime, known, memory):
        found = dataclasses.replace(found, batch_size=found.batch_size // 2)
    if found is model:
        return model
    note = f"batches of {found.batch_size} in place of {model.batch_size} images, which did not fit the memory"
    return dataclasses.replace(found, notes=(*model.notes, note))


def _too_large(digest: str, runtime: Runtime, known: Mapping[str, float], memory: Memory) -> bool:
    if digest not in known:
        return False
    here = memory(runtime.device)
    return here is None or here <= known[digest]


def _digest(model: Model, runtime: Runtime) -> str:
    return key_digest(key(model, runtime))
