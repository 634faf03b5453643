"""Which call comes next: pure scheduling, without Ray, clocks or threads.

*Blocks* are made by tasks and held in memory; *loads* are what a worker must load before it can process a block (a
model, say); a *cell* is one load over one block. Every cell is done once in effect; it may be started more than once.

Blocks slide through the memory: each is made once, in order, as soon as there is room, and dropped when all loads have
passed over it. A worker goes on with the load it has over every block that is there; then it takes the load that is
furthest behind, another's too. So loads take turns, each over about as many blocks as the memory holds, nobody waits
at the end of a window for the others, and a slow worker gets help with what keeps blocks in the memory.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence, Set

from raycluster.planning.blocks import Blocks
from raycluster.planning.hands import Cell, Hand, Hands
from raycluster.planning.loads import Loads

__all__ = ["Cell", "Limits", "Plan"]


@dataclasses.dataclass(frozen=True)
class Limits:
    """What bounds the work in flight."""

    memory_bytes: int
    calls_per_worker: int = 2
    attempts: int = 3


class Plan:
    """The state of all blocks and cells.

    Every call takes O(log n), amortised over all cells, n being the loads or the blocks; `live_blocks` lists them.

    Parameters
    ----------
    block_bytes
        Size of each block in memory.
    blocks_of_load
        For each load, the blocks that it must process. Not copied: they must not change.
    limits
        Bounds on what is in flight at a time. The live blocks take at most `memory_bytes`, or are one alone.
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
        self._wanted = {load: blocks for load, blocks in blocks_of_load.items() if blocks}
        needers: list[set[int]] = [set() for _ in block_bytes]
        for load, blocks in self._wanted.items():
            for block in blocks:
                needers[block].add(load)
        self._blocks = Blocks(block_bytes, needers, limits.memory_bytes, make_all=make_all)
        self._loads = Loads({load: len(blocks) for load, blocks in self._wanted.items()})
        self._hands = Hands()
        self._attempts: dict[Cell, int] = {}
        # Cells that were in hand together when their worker died: tried again alone, to learn which of them it was.
        self._suspects: set[Cell] = set()

    # What is

    @property
    def finished(self) -> bool:
        """Whether every load is done or given up and, with `make_all`, every block was made."""
        return not self.needs_workers and (self.all_made or not self._make_all)

    @property
    def needs_workers(self) -> bool:
        """Whether a cell is left to do."""
        return bool(self._loads)

    @property
    def cells_left(self) -> int:
        """How many cells are left to do, those that workers have in hand included."""
        return self._loads.undone

    @property
    def all_made(self) -> bool:
        """Whether no block is being made or will be."""
        return self._blocks.all_made

    @property
    def live_blocks(self) -> list[int]:
        """Blocks that are being made or held, in order of their numbers."""
        return self._blocks.live

    def awaits(self, cell: Cell) -> bool:
        """Whether an answer to a cell would be news: the load is not given up, and nobody has answered."""
        return cell.load in self._blocks.needers(cell.block)

    # What to do

    def next_block(self) -> int | None:
        """Return a block to make, if the memory has room for it."""
        return self._blocks.begin()

    def next_cell(self, worker: int) -> Cell | None:
        """Return the next cell for a worker: of the load it has, else of the load that is furthest behind.

        Where nothing is on its way, a worker with empty hands takes a copy of a cell that another has had for longest:
        that one may be slow, or never answer and keep its blocks in the memory. The first answer counts. What is on its
        way is known once `next_block` was asked.
        """
        hand = self._hands[worker]
        if len(hand.cells) >= self._limits.calls_per_worker or not self._suspects.isdisjoint(hand.cells):
            return None
        cell = self._open_cell(hand) or self._copied_cell(hand)
        if cell is None or (hand.cells and cell in self._suspects):
            return None
        self._loads.take(cell.load, cell.block)
        if hand.load != cell.load:
            self._loads.change(hand.load, cell.load)
        self._hands.give(hand, cell)
        return cell

    def _open_cell(self, hand: Hand) -> Cell | None:
        load = self._loads.choose(hand.load)
        return None if load is None else Cell(load, self._loads.first_open(load))

    def _copied_cell(self, hand: Hand) -> Cell | None:
        """Return a cell to be done by two, while no block is being made: where one is, idling is short.

        A suspect too, which whoever has empty hands tries alone: the one that has it may never answer.
        """
        if hand.cells or self._blocks.making:
            return None
        return self._hands.longest_held(self.awaits)

    # What happened

    def worker_joined(self, worker: int) -> None:
        """Take in a worker: it can have cells."""
        self._hands.join(worker)

    def worker_lost(self, worker: int) -> list[int]:
        """Take a worker out: what it had in hand is open again. Return the loads that are given up for it.

        One that had a single call in hand died of it, as far as anybody can tell: that is counted as an attempt. Of
        several, the first may have been answered already, with the answer lost in the death: none is counted.
        """
        hand = self._hands.leave(worker)
        self._loads.change(hand.load, None)
        undone = [cell for cell in hand.cells if self.awaits(cell)]
        for cell in undone:
            if not self._hands.hold(cell):
                self._loads.open(cell.load, cell.block)
        if len(hand.cells) > 1:
            self._suspects.update(undone)
            return []
        return [cell.load for cell in undone if self._failed_too_often(cell)]

    def block_made(self, block: int, *, empty: bool = False) -> list[int]:
        """Take in a block; an empty one asks nothing of anybody. Return the loads that are finished by that."""
        loads = sorted(self._blocks.needers(block))
        if not self._blocks.made(block):
            return []  # a second answer
        if empty:
            return [load for load in loads if self._settle(Cell(load, block))]
        for load in loads:
            self._loads.open(load, block)
        return []

    def cell_done(self, worker: int, cell: Cell) -> bool:
        """Take in an answer; return whether its load is finished by that. A second answer changes nothing."""
        self._hands.put_down(worker, cell)
        return self._settle(cell)

    def give_up(self, load: int) -> None:
        """Ask nothing of a load any more."""
        if load in self._loads:
            self._loads.remove(load)
            for block in sorted(self._wanted[load]):
                self._blocks.release(block, load)

    def _failed_too_often(self, cell: Cell) -> bool:
        self._attempts[cell] = self._attempts.get(cell, 0) + 1
        if self._attempts[cell] < self._limits.attempts:
            return False
        self.give_up(cell.load)
        return True

    def _settle(self, cell: Cell) -> bool:
        if not self._blocks.release(cell.block, cell.load):
            return False
        self._suspects.discard(cell)
        return self._loads.done(cell.load, cell.block)
