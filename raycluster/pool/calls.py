"""What a pool has in flight, and how often it is tried again."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Hashable
from typing import Any

from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayError,
    WorkerCrashedError,
)

from raycluster.planning.plan import Cell

# What is left of a task whose process, machine or answer is gone, and of a call whose block is.
DEATHS = (WorkerCrashedError, OutOfMemoryError, NodeDiedError, ObjectLostError)
# A machine that goes away, or memory that others take, is not the fault of what ran there; yet there is an end.
_BAD_LUCK = 10
# Of a message that is shown, at each end.
_SAID = 200


@dataclasses.dataclass(frozen=True)
class Starting:
    """An actor that comes up."""

    worker: int


@dataclasses.dataclass(frozen=True)
class Making:
    """A block that is made; `again` when the plan had it already and it was lost with its machine."""

    block: int
    mark: str
    again: bool = False


@dataclasses.dataclass(frozen=True)
class Processing:
    """A cell that an actor has in hand, and the block that it was given."""

    worker: int
    cell: Cell
    block: Any


@dataclasses.dataclass(frozen=True)
class Running:
    """A plain task; its name is for people."""

    tag: Hashable
    name: str
    mark: str
    threads: int
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


Call = Starting | Making | Processing | Running


class Deaths:
    """How often what a pool runs has died."""

    def __init__(self) -> None:
        self._counts: collections.Counter[tuple[Hashable, bool]] = collections.Counter()

    def too_many(self, what: Hashable, error: RayError, most: int) -> bool:
        """Count one more; return whether it has died `most` times by itself, or far too often with its machine."""
        own = isinstance(error, WorkerCrashedError)
        self._counts[what, own] += 1
        return self._counts[what, own] >= (most if own else _BAD_LUCK)


def line(error: RayError) -> str:
    """Return what Ray says on one line: its beginning and its end, where the first cause stands."""
    said = " ".join(str(error).split())
    return said if len(said) <= 2 * _SAID else f"{said[:_SAID]} ... {said[-_SAID:]}"
