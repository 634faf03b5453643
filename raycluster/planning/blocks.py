"""The life of blocks within the memory: which is made next, who still needs each, when it is dropped."""

from __future__ import annotations

import enum
from collections.abc import Collection, Sequence


class BlockState(enum.Enum):
    """The life of a block."""

    WAITING = enum.auto()
    MAKING = enum.auto()  # its task is in flight, whether or not anybody still needs it
    READY = enum.auto()
    DROPPED = enum.auto()


class Blocks:
    """All blocks, made in order of their numbers, each as soon as the memory has room for it.

    Every method takes O(1), amortised over all blocks and the loads that need them.

    Parameters
    ----------
    sizes
        Bytes of each block.
    needers
        For each block, the loads that must process it; taken over, not copied.
    memory_bytes
        Most that the live blocks may take together. A block larger than that lives alone.
    make_all
        Make also the blocks whose loads were all released before, and drop them at once.
    """

    def __init__(self, sizes: Sequence[int], needers: Sequence[set[int]], memory_bytes: int, *, make_all: bool) -> None:
        self._sizes = sizes
        self._needers = needers
        self._memory_bytes = memory_bytes
        self._make_all = make_all
        self._state = [BlockState.WAITING if loads else BlockState.DROPPED for loads in needers]
        self._waiting = self._state.count(BlockState.WAITING)
        self._making = 0
        self._next = 0
        self._live: dict[int, None] = {}
        self._live_bytes = 0

    @property
    def all_made(self) -> bool:
        """Whether no block is being made or will be."""
        return not self._waiting and not self._making

    @property
    def making(self) -> bool:
        """Whether a block is being made."""
        return self._making > 0

    @property
    def live(self) -> list[int]:
        """Blocks that are being made or held, in order of their numbers."""
        return list(self._live)

    def begin(self) -> int | None:
        """Return the next block to make, if there is room for it."""
        while self._next < len(self._state) and self._state[self._next] is not BlockState.WAITING:
            self._next += 1
        if self._next == len(self._state):
            return None
        block = self._next
        if self._live and self._live_bytes + self._sizes[block] > self._memory_bytes:
            return None
        self._state[block] = BlockState.MAKING
        self._waiting -= 1
        self._making += 1
        self._live[block] = None
        self._live_bytes += self._sizes[block]
        return block

    def made(self, block: int) -> bool:
        """Take in that a block is there; return False where that is no news."""
        if self._state[block] is not BlockState.MAKING:
            return False
        self._state[block] = BlockState.READY
        self._making -= 1
        self._drop_unneeded(block)
        return True

    def needers(self, block: int) -> Collection[int]:
        """Return the loads that have not processed a block yet."""
        return self._needers[block]

    def release(self, block: int, load: int) -> bool:
        """Take a load from those that need a block; return False where it did not."""
        if load not in self._needers[block]:
            return False
        self._needers[block].remove(load)
        self._drop_unneeded(block)
        return True

    def _drop_unneeded(self, block: int) -> None:
        """One that is being made takes memory until it is there; one that must be made all the same waits for that."""
        if self._needers[block]:
            return
        if self._state[block] is BlockState.READY:
            self._state[block] = BlockState.DROPPED
            del self._live[block]
            self._live_bytes -= self._sizes[block]
        elif self._state[block] is BlockState.WAITING and not self._make_all:
            self._state[block] = BlockState.DROPPED
            self._waiting -= 1
