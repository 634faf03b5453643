"""What a pool tells its owner."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable
from typing import Any

from raycluster.planning.plan import Cell

# Each `reason` is one of these and may stand in results; `detail` has Ray's words, with process ids and addresses.
LOAD_DIED = "the process that ran it died every time it was tried"
BLOCK_DIED = "the process that made it died every time it was tried"
TASK_DIED = "the process that computed it died every time it was tried"


@dataclasses.dataclass(frozen=True)
class BlockMade:
    """A block is there; `info` is what its maker says of it.

    `again` when it was told before: the block was lost with its machine, and what its second maker says may differ.
    """

    block: int
    info: Any
    again: bool = False


@dataclasses.dataclass(frozen=True)
class BlockLost:
    """A block was given up: the processes that made it died. The plan goes on as if it were empty."""

    block: int
    reason: str
    detail: str


@dataclasses.dataclass(frozen=True)
class CellDone:
    """A block was processed by a load; `node` is the id of the node where, empty where it has gone since."""

    cell: Cell
    answer: Any
    load_finished: bool
    node: str = ""


@dataclasses.dataclass(frozen=True)
class LoadFinished:
    """A load has nothing left to do, without a call."""

    load: int


@dataclasses.dataclass(frozen=True)
class LoadLost:
    """A load was given up: the processes that ran it died.

    `out_of_memory` when Ray ended the last one for its memory, or the kernel of its machine ended processes meanwhile.
    """

    load: int
    reason: str
    detail: str
    out_of_memory: bool = False


@dataclasses.dataclass(frozen=True)
class NodesChanged:
    """Nodes came or went; `note` says in words what that means for the actors."""

    note: str


@dataclasses.dataclass(frozen=True)
class TaskDone:
    """A plain task came back."""

    tag: Hashable
    answer: Any


@dataclasses.dataclass(frozen=True)
class TaskAdvanced:
    """A plain task says how far it is: `done` steps of `of`. One that runs again may fall back."""

    tag: Hashable
    done: int
    of: int


@dataclasses.dataclass(frozen=True)
class TaskLost:
    """A plain task was given up: the processes that ran it died."""

    tag: Hashable
    reason: str
    detail: str


@dataclasses.dataclass(frozen=True)
class Waited:
    """Processes wait for machines that are shared with others, or go on.

    Attributes
    ----------
    lines
        For people: what was read, and what is allowed.
    seconds
        That processes have waited since the last such event, added up.
    waiting
        How many wait now.
    """

    lines: tuple[str, ...]
    seconds: float
    waiting: int


Event = (
    BlockMade
    | BlockLost
    | CellDone
    | LoadFinished
    | LoadLost
    | NodesChanged
    | TaskAdvanced
    | TaskDone
    | TaskLost
    | Waited
)
