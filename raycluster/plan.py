"""Which call comes next: pure scheduling, without Ray, clocks or threads.

*Blocks* are made by tasks and held in memory; *loads* are what a worker must load before it can process a block (a
model, say); a *cell* is one load over one block. Every cell is done once in effect; it may be started more than once.

Blocks are taken in *windows*, each of at most half the memory: one is processed while the next is made. Every load
passes over a window before its blocks are dropped, so a block is made once, and a worker loads once per window at most.
"""

from __future__ import annotations

import dataclasses
import enum
from collections import deque
from collections.abc import Iterator, Mapping, Sequence, Set


class BlockState(enum.Enum):
    """The life of a block."""

    WAITING = enum.auto()
    MAKING = enum.auto()  # its task is in flight, whether or not anybody still needs it
    READY = enum.auto()
    DROPPED = enum.auto()


@dataclasses.dataclass(frozen=True)
class Cell:
    """One load over one block."""

    load: int
    block: int


@dataclasses.dataclass(frozen=True)
class Limits:
    """What bounds the work in flight."""

    memory_bytes: int
    calls_per_worker: int = 2
    attempts: int = 3


class Plan:
    """The state of all blocks and cells.

    Parameters
    ----------
    block_bytes
        Size of each block in memory.
    blocks_of_load
        For each load, the blocks that it must process.
    limits
        Bounds on what is in flight at a time.
    make_all
        Make also the blocks whose loads were given up, and drop them at once: what their making tells then does not
        depend on the moment at which a load was lost. A block that no load ever asked for is not made.
    """

    def __init__(
        self,
        block_bytes: Sequence[int],
        blocks_of_load: Mapping[int, Set[int]],
        limits: Limits,
        *,
        make_all: bool = False,
    ) -> None:
        self._limits = limits
        self._make_all = make_all
        self._windows = list(_windows(block_bytes, limits.memory_bytes // 2))
        self._current = 0
        # Of each load: its blocks that no worker has in hand, and those that are not done yet. Dicts keep an order.
        self._open: dict[int, dict[int, None]] = {k: dict.fromkeys(sorted(v)) for k, v in blocks_of_load.items() if v}
        self._undone: dict[int, set[int]] = {load: set(blocks) for load, blocks in blocks_of_load.items() if blocks}
        self._loads_of_block: list[set[int]] = [set() for _ in block_bytes]
        for load, blocks in self._undone.items():
            for block in blocks:
                self._loads_of_block[block].add(load)
        self._state = [BlockState.WAITING if loads else BlockState.DROPPED for loads in self._loads_of_block]
        self._attempts: dict[Cell, int] = {}
        # Cells that were in hand together when their worker died: tried again alone, to learn which of them it was.
        self._suspects: set[Cell] = set()
        self._in_hand: dict[int, deque[Cell]] = {}
        self._loaded: dict[int, int | None] = {}
        self._skip_windows()

    # What is

    @property
    def finished(self) -> bool:
        """Whether every load is done or given up and, with `make_all`, every block was made."""
        return not self._undone and (self.all_made or not self._make_all)

    @property
    def needs_workers(self) -> bool:
        """Whether a cell is left to do."""
        return bool(self._undone)

    @property
    def all_made(self) -> bool:
        """Whether no block is being made or will be."""
        return not any(s in {BlockState.WAITING, BlockState.MAKING} for s in self._state)

    @property
    def live_blocks(self) -> list[int]:
        """Blocks that are being made or held."""
        return [b for b, s in enumerate(self._state) if s in {BlockState.MAKING, BlockState.READY}]

    # What to do

    def next_block(self) -> int | None:
        """Return a block to make, of this window or of the next."""
        for window in self._windows[self._current : self._current + 2]:
            for block in window:
                if self._state[block] is BlockState.WAITING:
                    self._state[block] = BlockState.MAKING
                    return block
        return None

    def next_cell(self, worker: int) -> Cell | None:
        """Return the next cell for a worker: of the load it holds, else of a load nobody holds, else of the longest."""
        in_hand = self._in_hand[worker]
        if len(in_hand) >= self._limits.calls_per_worker or not self._suspects.isdisjoint(in_hand):
            return None
        load = self._choose_load(worker)
        if load is None:
            return None
        block = next((b for b in self._open_here(load) if self._state[b] is BlockState.READY), None)
        if block is None:
            return None  # its next block is being made: waiting costs less than loading twice
        cell = Cell(load, block)
        if in_hand and cell in self._suspects:
            return None
        del self._open[load][block]
        in_hand.append(cell)
        self._loaded[worker] = load
        return cell

    def _choose_load(self, worker: int) -> int | None:
        held = self._loaded[worker]
        if held is not None and any(True for _ in self._open_here(held)):
            return held
        holders: dict[int, int] = {}
        for other in self._loaded.values():
            if other is not None:
                holders[other] = holders.get(other, 0) + 1
        waiting = {load: n for load in self._open if (n := sum(1 for _ in self._open_here(load)))}
        free = [load for load in waiting if load not in holders]
        if free:
            return free[0]
        return max(waiting, key=lambda load: waiting[load] / holders[load], default=None)

    def _open_here(self, load: int) -> Iterator[int]:
        """Blocks of the current window that a load still wants, in order."""
        if self._current < len(self._windows):
            window = self._windows[self._current]
            yield from (b for b in self._open.get(load, ()) if b in window)

    # What happened

    def worker_joined(self, worker: int) -> None:
        """Take in a worker: it can have cells."""
        self._in_hand[worker] = deque()
        self._loaded[worker] = None

    def worker_lost(self, worker: int) -> list[int]:
        """Take a worker out: what it had in hand is open again. Return the loads that are given up for it.

        One that had a single call in hand died of it, as far as anybody can tell: that is counted as an attempt. Of
        several, the first may have been answered already, with the answer lost in the death: none is counted.
        """
        cells = self._in_hand.pop(worker)
        del self._loaded[worker]
        for cell in reversed(cells):
            self._reopen(cell)
        if len(cells) > 1:
            self._suspects.update(cells)
            return []
        return [cell.load for cell in cells if self._failed_too_often(cell)]

    def block_made(self, block: int, *, empty: bool = False) -> list[int]:
        """Take in a block; an empty one asks nothing of anybody. Return the loads that are finished by that."""
        if self._state[block] is not BlockState.MAKING:
            return []  # a second answer
        self._state[block] = BlockState.READY
        loads = sorted(self._loads_of_block[block]) if empty else []
        finished = [load for load in loads if self._settle(Cell(load, block))]
        self._drop_unneeded(block)
        return finished

    def cell_done(self, worker: int, cell: Cell) -> bool:
        """Take in an answer; return whether its load is finished by that. A second answer changes nothing."""
        if worker in self._in_hand and cell in self._in_hand[worker]:
            self._in_hand[worker].remove(cell)
        return self._settle(cell)

    def give_up(self, load: int) -> None:
        """Ask nothing of a load any more."""
        self._open.pop(load, None)
        for block in sorted(self._undone.pop(load, ())):
            self._release(block, load)

    def _failed_too_often(self, cell: Cell) -> bool:
        self._attempts[cell] = self._attempts.get(cell, 0) + 1
        if cell.load not in self._undone or self._attempts[cell] < self._limits.attempts:
            return False
        self.give_up(cell.load)
        return True

    def _reopen(self, cell: Cell) -> None:
        if cell.block in self._undone.get(cell.load, ()):
            self._open[cell.load] = {cell.block: None, **self._open.get(cell.load, {})}

    def _settle(self, cell: Cell) -> bool:
        undone = self._undone.get(cell.load)
        if undone is None or cell.block not in undone:
            return False
        self._suspects.discard(cell)
        undone.remove(cell.block)
        self._open[cell.load].pop(cell.block, None)
        self._release(cell.block, cell.load)
        if undone:
            return False
        del self._undone[cell.load], self._open[cell.load]
        return True

    def _release(self, block: int, load: int) -> None:
        """Take a load from those that need a block."""
        self._loads_of_block[block].discard(load)
        self._drop_unneeded(block)

    def _drop_unneeded(self, block: int) -> None:
        """Drop a block that nobody needs any more, and go on to the next window after the last of this one.

        One that is being made takes memory until it is there; one that must be made all the same waits for that.
        """
        droppable = {BlockState.READY} if self._make_all else {BlockState.READY, BlockState.WAITING}
        if not self._loads_of_block[block] and self._state[block] in droppable:
            self._state[block] = BlockState.DROPPED
            self._skip_windows()

    def _skip_windows(self) -> None:
        while self._current < len(self._windows) and all(
            self._state[b] is BlockState.DROPPED for b in self._windows[self._current]
        ):
            self._current += 1


def _windows(block_bytes: Sequence[int], limit: int) -> Iterator[dict[int, None]]:
    """Cut blocks into runs of at most `limit` bytes; a block larger than that stands alone."""
    window: dict[int, None] = {}
    used = 0
    for block, size in enumerate(block_bytes):
        if window and used + size > limit:
            yield window
            window, used = {}, 0
        window[block] = None
        used += size
    if window:
        yield window
