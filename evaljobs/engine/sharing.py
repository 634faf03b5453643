"""How a cluster is shared among evaluations: whether one is a task or many, and how many are begun at a time.

Hundreds of models fill a cluster by themselves, each in a task of one thread: nothing is sent, and nothing is added up.
Few large ones are cut into tasks of their own; so are the last ones of hundreds, or the cluster would wait for them.
"""

from __future__ import annotations

import dataclasses

from evaljobs.engine.spreading import LEAST_PAIRS

# What makes a slot worth its start, the samples sent to it, and its evidence sent back: some seconds.
PAIRS_A_SLOT = 2 * 10**8
# A thread is worth its start: a tenth of a second.
PAIRS_A_THREAD = 2**24
# Spread as soon as so many times the slots are not wanted by other evaluations: what is left would not divide evenly.
_ROUNDS = 2


@dataclasses.dataclass(frozen=True)
class Share:
    """What an evaluation takes of the cluster: one task of some threads, or some tasks at a time of one thread each."""

    threads: int = 1
    tasks: int = 1

    @property
    def spread(self) -> bool:
        """Whether it is cut into tasks of its own."""
        return self.tasks > 1


@dataclasses.dataclass(frozen=True)
class Sharing:
    """The rules for a cluster.

    Attributes
    ----------
    slots, slots_a_node
        CPUs of the cluster and of one node.
    pairs_a_slot
        What a slot must have to compare to be worth it.
    pairs_a_thread
        What a thread must have, where an evaluation is not spread.
    least_pairs
        What a batch must have.
    """

    slots: int
    slots_a_node: int
    pairs_a_slot: int = PAIRS_A_SLOT
    pairs_a_thread: int = PAIRS_A_THREAD
    least_pairs: int = LEAST_PAIRS

    def large(self, pairs: int) -> bool:
        """Whether an evaluation may be spread: such ones are begun in turns, since each holds its samples."""
        return self._width(pairs) > 1

    def share(self, pairs: int, unfinished: int) -> Share:
        """Return what an evaluation takes that is about to begin.

        Parameters
        ----------
        pairs
            That it compares.
        unfinished
            Evaluations that wait, run, or lack rows still; this one included.
        """
        if self.large(pairs):
            return Share(tasks=self._width(pairs)) if unfinished < _ROUNDS * self.slots else Share()
        threads = min(self.slots_a_node // unfinished, pairs // self.pairs_a_thread)
        return Share(threads=max(1, threads))

    def admits(self, taken: int) -> bool:
        """Whether another large evaluation is begun where others take so many slots.

        As long as they do not take more than all: one more hides what the others do alone (reading, deciding).
        """
        return taken <= self.slots

    def _width(self, pairs: int) -> int:
        """Return how many slots an evaluation is worth."""
        return max(1, min(self.slots, pairs // self.pairs_a_slot))
