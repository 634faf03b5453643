"""What a run of evaljobs and its rivals consist of, and the tables that say so."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator, Sequence

from embedding_watch import Watched


def median(values: Iterator[float] | Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    print("\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n", flush=True)


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of a run: seconds on the wall, and of CPU."""

    wall: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.wall:.1f} ({self.cpu:.1f})"


def parts(run: Watched) -> dict[str, Part]:
    """Return the parts of a run of evaljobs, one after the other; from its stages."""
    marks = run.answer["marks"]
    read, shards, rows = marks["reading"], marks["decoding"], marks["embedding"]
    moments = {
        "before images are read": (run.began, read[0]),
        "listing, digests, headers": (read[0], read[-1]),
        "start of Ray": (read[-1], shards[0]),
        "to the first block": (shards[0], shards[1]),
        "decoding and embedding": (shards[1], rows[-1]),
        "evaluating, writing, ending": (rows[-1], run.ended),
    }
    return {name: Part(stop - start, run.cpu_between(start, stop)) for name, (start, stop) in moments.items()}


def streaming(run: Watched) -> Part:
    """Return the part of a run from the first decode task to the last committed row."""
    marks = run.answer["marks"]
    start, stop = marks["decoding"][0], marks["embedding"][-1]
    return Part(stop - start, run.cpu_between(start, stop))


def working(run: Watched) -> Part:
    """Return the part of a rival's run after its start-up."""
    start, stop = run.answer["working"]
    return Part(stop - start, run.cpu_between(start, stop))


def evaluation_s(run: Watched) -> float:
    """Return the CPU seconds of a run's evaluations."""
    return float(run.answer["execution"]["computed"]["evaluation_seconds"])
