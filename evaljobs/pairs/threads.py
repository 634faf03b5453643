"""Carry out rounds in the threads of this process."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from threadpoolctl import ThreadpoolController

from evaljobs.pairs.samples import Samples
from evaljobs.pairs.work import E, Rounds, Work

R = TypeVar("R")
# Called with the pairs done and the pairs known to be done in all; the latter grows where a pass must be repeated.
Progress = Callable[[int, int], None]

# Parts of a pass: small enough to share evenly and to stop soon, large enough that adding up costs little.
_MOST_PARTS = 128
_LEAST_PARTS_A_THREAD = 4
_PAIRS_A_PART = 2**20


@functools.cache
def _blas() -> ThreadpoolController:
    """Return what sets the threads of NumPy's BLAS; to find the library takes milliseconds."""
    return ThreadpoolController().select(user_api="blas")


def _parts(work: Work[E], samples: Samples, threads: int) -> list[range]:
    return work.parts(min(_MOST_PARTS, max(_LEAST_PARTS_A_THREAD * threads, samples.n_pairs // _PAIRS_A_PART)))


class _Pass(Generic[E]):
    """One pass over the parts of a work, by several threads."""

    def __init__(self, work: Work[E], parts: list[range], samples: Samples, done: Callable[[int], None]) -> None:
        self._work, self._samples, self._done = work, samples, done
        self._parts = iter(parts)
        self._lock = threading.Lock()
        self._stopped = False

    def total(self, pool: ThreadPoolExecutor, threads: int) -> E:
        """Return the sum of the evidence of all parts."""
        futures = [pool.submit(self._some) for _ in range(threads)]
        try:
            found = [part for future in futures if (part := future.result()) is not None]
        except BaseException:
            self._stopped = True
            raise
        total = found[0]
        for more in found[1:]:
            total = total + more
        return total

    def _some(self) -> E | None:
        """Do part after part, adding up, until none is left: one evidence a thread is held."""
        total: E | None = None
        while (part := self._next()) is not None:
            total = self._work.run(self._samples, part, total)
            with self._lock:
                self._done(self._work.pairs(part))
        return total

    def _next(self) -> range | None:
        with self._lock:
            return None if self._stopped else next(self._parts, None)


def run_rounds(rounds: Rounds[R], samples: Samples, threads: int, progress: Progress | None = None) -> R:
    """Carry out rounds and return their result.

    Parameters
    ----------
    threads
        How many compare tiles at a time. While they do, BLAS is held to one thread each, in the whole process.
    progress
        Told after each part; from any thread, but one at a time.
    """
    done = known = 0

    def count(pairs: int) -> None:
        nonlocal done
        done += pairs
        if progress is not None and pairs:
            progress(done, known)

    with _blas().limit(limits=1), ThreadPoolExecutor(threads) as pool:
        try:
            work = next(rounds)
            while True:
                parts = _parts(work, samples, threads)
                known += sum(work.pairs(part) for part in parts)
                work = rounds.send(_Pass(work, parts, samples, count).total(pool, threads))
        except StopIteration as stop:
            result: R = stop.value
            return result
