"""Batches that do not fit the memory: the whole model runs with smaller ones, in this run and in every later one.

All rows of a table are made with one batch shape, which is part of its key. So what did not fit is remembered in the
store by that key, and does not depend on how much memory is free when somebody asks again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Set

import pyarrow as pa

from evaljobs.models.key import key
from evaljobs.models.model import Model
from evaljobs.models.options import Runtime
from evaljobs.schemas import TOO_LARGE_BATCHES
from evaljobs.store import Store
from evaljobs.store.keys import key_digest

_SOURCE = "batches that did not fit"


def too_large(store: Store) -> frozenset[str]:
    """Return the digests of the model keys whose batch did not fit."""
    return frozenset(store.listing(_SOURCE, TOO_LARGE_BATCHES)["key"].to_pylist())


def remember_too_large(store: Store, model: Model, runtime: Runtime) -> None:
    """Remember that a model's batch does not fit."""
    store.add_listing(_SOURCE, pa.table([[_digest(model, runtime)]], schema=TOO_LARGE_BATCHES))


def can_shrink(model: Model) -> bool:
    """Say whether a model runs with smaller batches too."""
    return model.batch_size > 1 and model.input.batch is None


def halvings(model: Model) -> Iterator[Model]:
    """Yield a model with each smaller batch that it may be run with before a run ends."""
    while can_shrink(model):
        model = dataclasses.replace(model, batch_size=model.batch_size // 2)
        yield model


def fitting(model: Model, runtime: Runtime, known: Set[str]) -> Model:
    """Return a model with its batch halved as often as it is known not to fit, and a note that says so.

    Parameters
    ----------
    model
        With the batch size of the configuration.
    known
        Digests of the model keys whose batch did not fit.
    """
    found = model
    while can_shrink(found) and _digest(found, runtime) in known:
        found = dataclasses.replace(found, batch_size=found.batch_size // 2)
    if found is model:
        return model
    note = f"batches of {found.batch_size} in place of {model.batch_size} images, which did not fit the memory"
    return dataclasses.replace(found, notes=(*model.notes, note))


def _digest(model: Model, runtime: Runtime) -> str:
    return key_digest(key(model, runtime))
