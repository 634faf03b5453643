"""Which tables and results are to go: pure decisions, made of what stands in a store and what is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from evaljobs.errors import UsageError
from evaljobs.store.inventory import Unit
from evaljobs.store.layout import Kind

_SHORTEST_PREFIX = 6


@dataclass(frozen=True)
class Wish:
    """What is to go; exactly one of the fields but `submitted` is given.

    Attributes
    ----------
    keep_bytes
        Least recently used tables and results go until all files of the store take at most so many bytes.
    unused_s
        What was not used for so many seconds goes.
    models
        What belongs to these models goes; digests of model files or the beginnings of them.
    wanted
        What belongs to other models than these goes; digests of model files.
    submitted
        With `unused_s`: whether what was sent for submissions, and their results, goes too.
    """

    keep_bytes: int | None = None
    unused_s: float | None = None
    models: tuple[str, ...] = ()
    wanted: frozenset[str] | None = None
    submitted: bool = False

    @property
    def by_model(self) -> bool:
        """Whether it must be known which models tables and results belong to."""
        return bool(self.models) or self.wanted is not None


class Known(NamedTuple):
    """What stands in a store, as far as a wish asks for it.

    Attributes
    ----------
    units
        Tables and results.
    size
        Bytes of all files of the store.
    now
        Seconds since 1970, by the clock of the store.
    models
        By digest of a table's key: the digest of its model file. Empty where the wish does not ask for it.
    tables
        By digest of a result's key: the digest of its table's key; likewise.
    """

    units: Sequence[Unit]
    size: int
    now: float
    models: Mapping[str, str]
    tables: Mapping[str, str]

    def model(self, unit: Unit) -> str | None:
        """Return the digest of a unit's model file; None where nothing in the store says it any more."""
        return self.models.get(self.tables.get(unit.key, "") if unit.kind is Kind.RESULTS else unit.key)


def doomed(wish: Wish, known: Known, spared: Iterable[Unit]) -> list[Unit]:
    """Return what is to go, least recently used first.

    Parameters
    ----------
    spared
        What stays in any case.

    Raises
    ------
    UsageError
        If no table is of a model that is named, or a beginning of a digest says too little.
    """
    stays = {(unit.kind, unit.key) for unit in spared}
    free = sorted((u for u in known.units if (u.kind, u.key) not in stays), key=lambda u: (u.used, u.kind, u.key))
    if wish.keep_bytes is not None:
        return _until(free, known.size - wish.keep_bytes)
    if wish.unused_s is not None:
        return [unit for unit in free if known.now - unit.used > wish.unused_s]
    if wish.models:
        named = {_named(start, known.models.values()) for start in wish.models}
        return [unit for unit in free if known.model(unit) in named]
    wanted = wish.wanted or frozenset()
    # A result whose table is gone names no model: it may be one that is wanted.
    return [unit for unit in free if (model := known.model(unit)) is not None and model not in wanted]


def _until(units: Iterable[Unit], excess: int) -> list[Unit]:
    """Return the first units that take so many bytes together, or more."""
    found: list[Unit] = []
    for unit in units:
        if excess <= 0:
            break
        found.append(unit)
        excess -= unit.size
    return found


def _named(start: str, models: Iterable[str]) -> str:
    """Return the digest that begins so."""
    text = start.strip().lower()
    found = sorted({model for model in models if model.startswith(text)})
    if len(text) < _SHORTEST_PREFIX:
        raise UsageError(f"--model {start}: expected at least {_SHORTEST_PREFIX} digits of the digest of a model file")
    if not found:
        raise UsageError(f"--model {start}: no table of this store is of such a model; `evaljobs store ls` lists them")
    if len(found) > 1:
        raise UsageError(f"--model {start}: {len(found)} models begin so: {', '.join(m[:16] for m in found[:5])}")
    return found[0]
