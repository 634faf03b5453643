"""The scheduler as a process of its own, to be killed: the real one, over HTTP, with a program that needs no images."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import sys
from pathlib import Path

from raycluster.schedule.book import Book
from raycluster.schedule.daemon import Daemon
from raycluster.schedule.database import Database
from raycluster.schedule.hands import Hands
from raycluster.schedule.outside import real
from raycluster.schedule.places import hold
from tests.raycluster.schedule.simulation import Moments, Program


def main(state: Path, webhook: str) -> None:
    """Work on a state file until killed."""
    program = Program(Moments(), webhook)
    outside = dataclasses.replace(real(lambda line: print(line, flush=True)), find_program=lambda _: program)
    with hold(state), concurrent.futures.ThreadPoolExecutor(4) as executor:
        book = Book(Database(state))
        print("working", flush=True)
        Daemon(book, Hands(book, outside, state), outside, executor).run(0.02)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
