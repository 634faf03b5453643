"""One evaluation carried out by many tasks: its passes are cut into batches of parts, whose evidence is added up."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from evaljobs.jobs.job import Outcome, Passes, Work

# Runs a function over (shared, common, item) for each item somewhere, and yields the answers as they come.
Fan = Callable[[Callable[[Any, Any, Any], Any], Any, Iterable[Any]], Iterator[Any]]
# Told how many pairs are compared, and how many are known to be compared in all.
Tell = Callable[[int, int], None]

# A batch is worth sending: some hundredths of a second.
LEAST_PAIRS = 2**22
# Evidence from so many tasks can be added up in one place while each compares the least; with more, the least grows.
_ADDED_MEANWHILE = 2
# Parts of a pass, for each task that runs at a time: the last batch is one of them.
_PARTS = 64
# The share of what is left that a batch takes, for each task that runs at a time.
_TAKEN = 2


@dataclasses.dataclass(frozen=True)
class Spread:
    """How an evaluation is spread; picklable.

    Attributes
    ----------
    fan
        Shares the samples with tasks, and returns what runs functions over them.
    tasks
        How many run at a time.
    least_pairs
        A batch has as many, more where many tasks run; a pass of fewer is not sent anywhere.
    """

    fan: Callable[[Any], Fan]
    tasks: int
    least_pairs: int = LEAST_PAIRS


@dataclasses.dataclass
class Spreading:
    """Carries out one evaluation, and counts what it takes.

    Attributes
    ----------
    seconds
        Of all tasks together, while they compared.
    """

    spread: Spread
    tell: Tell
    seconds: float = 0.0
    _done: int = 0
    _known: int = 0

    def carry_out(self, passes: Passes) -> Outcome:
        """Carry the passes out and return what they find."""
        fan = self.spread.fan(passes.samples)
        try:
            work = next(passes.rounds)
            while True:
                work = passes.rounds.send(self._total(fan, passes.samples, work))
        except StopIteration as stop:
            found: Outcome = stop.value
            return found

    def _total(self, fan: Fan, samples: Any, work: Work) -> Any:
        """Return the evidence of a whole pass."""
        batches = cut(work, self.spread.tasks, self.spread.least_pairs)
        self._known += sum(batch.pairs for batch in batches)
        answers = fan(run_batch, work, batches) if len(batches) > 1 else (run_batch(samples, work, b) for b in batches)
        total = None
        for evidence, pairs, seconds in answers:
            total = evidence if total is None else total + evidence
            self.seconds += seconds
            self._done += pairs
            self.tell(self._done, self._known)
        return total


@dataclasses.dataclass(frozen=True)
class Batch:
    """Parts of a pass that one task carries out, and the pairs in them."""

    parts: tuple[range, ...]
    pairs: int


def cut(work: Work, tasks: int, least_pairs: int) -> list[Batch]:
    """Cut a pass into batches, large ones first: few to send, and small ones at the end, so that all end together.

    Parameters
    ----------
    tasks
        How many run at a time.
    least_pairs
        A batch has as many, the last aside; more where many tasks send their evidence to one place.
    """
    parts = [(part, work.pairs(part)) for part in work.parts(_PARTS * tasks)]
    least = least_pairs * max(1, tasks // _ADDED_MEANWHILE)
    left = sum(pairs for _, pairs in parts)
    batches: list[Batch] = []
    taken: list[range] = []
    pairs = 0
    for part, more in parts:
        taken.append(part)
        pairs += more
        if pairs >= max(least, left / (_TAKEN * tasks)):
            batches.append(Batch(tuple(taken), pairs))
            left -= pairs
            taken, pairs = [], 0
    return [*batches, Batch(tuple(taken), pairs)] if taken else batches


def run_batch(samples: Any, work: Work, batch: Batch) -> tuple[Any, int, float]:
    """Carry out a batch, in one thread. Return its evidence, its pairs and its seconds."""
    from threadpoolctl import threadpool_limits

    start = time.perf_counter()
    with threadpool_limits(limits=1, user_api="blas"):
        total = None
        for part in batch.parts:
            total = work.run(samples, part, total)
    return total, batch.pairs, time.perf_counter() - start
