"""What a process of a race does. Alone in a file, so that the processes load nothing else."""

from __future__ import annotations

import multiprocessing
from multiprocessing.synchronize import Barrier

from evaljobs.store import Store
from tests.store.rows import KEY, digests, matrix


def race(location: str, number: int, start: Barrier, answers: multiprocessing.Queue[bool]) -> None:
    """Commit rows of one's own under the digests that all others commit."""
    table = Store(location).table(KEY)
    rows = matrix(50) + number
    table.digests()  # connects
    start.wait(120)
    answers.put(table.commit(digests(50), {"embedding": rows}))
