"""Measure how evaluations fill a cluster: one large model, and hundreds of small ones.

    python benchmarks/cluster_pairs.py [--workers 2] [--n 60000 100000] [--d 256] [--models 200] [--small 2000]
        [--repeats 3]

Each evaluation reads its embedding table from a store and commits its result there, as in a run; nothing is embedded.
The cluster is an embedded Ray of so many CPUs, on otherwise idle cores. Times are medians of runs in processes that
are warm, since a run has had them embed before; the first run, which starts and compiles, is told beside them. The
data are synthetic: labels of 20 samples each, and embeddings of a label's centre plus noise.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from evaljobs.engine import execution, todo
from evaljobs.engine.evaluation import Assignment, Evaluated, Members, evaluate, evaluation_key
from evaljobs.images.geometry import Geometry
from evaljobs.jobs.verification import VerificationJob, VerificationParameters
from evaljobs.models.model import Cost, Dropout, Input, Model, Pixels
from evaljobs.progress import Quiet
from evaljobs.run import setup
from evaljobs.run.comparing import Comparing, Setting
from evaljobs.run.watch import Watch
from evaljobs.schemas import DIGEST
from evaljobs.store import Store
from raycluster.connection.connect import connect
from raycluster.planning.plan import Limits, Plan
from raycluster.pool.pool import Pool
from raycluster.pool.work import Actors, Work

JOB = VerificationJob("verification", VerificationParameters())


class Unwatched(Watch):
    """Tells nobody."""

    def __init__(self) -> None:
        """Take no run in: there is none."""

    def evaluating(self, names: Iterable[str]) -> None:
        """Ignore it."""

    def compared(self, kind: str, pairs: int) -> None:
        """Ignore it."""

    def evaluated(self, evaluation: todo.Evaluation, seconds: float) -> None:
        """Ignore it."""


class Bench:
    """A store with the embedding tables of so many models, and their evaluations on one set."""

    def __init__(self, folder: Path, models: int, n: int, d: int) -> None:
        self.store = Store(folder).open()
        labels = np.arange(n) % max(2, n // 20)
        digests = [hashlib.sha256(str(row).encode()).digest() for row in range(n)]
        text = pa.array([str(label) for label in labels])
        self.members = {"set": Members(pa.array([str(row) for row in range(n)]), text, pa.array(digests, DIGEST))}
        self.keys = {f"model-{number}": {"model": f"{number}"} for number in range(models)}
        for number, key in enumerate(self.keys.values()):
            rng = np.random.default_rng(number)
            rows = rng.standard_normal((labels.max() + 1, d))[labels] + 1.5 * rng.standard_normal((n, d))
            self.store.table(key).commit(self.members["set"].digests, {"embedding": rows.astype(np.float32)})
        self.evaluations = [self._evaluation(name, key) for name, key in self.keys.items()]

    def _evaluation(self, name: str, key: dict[str, Any]) -> todo.Evaluation:
        n = len(self.members["set"].sample_ids)
        known = evaluation_key(JOB, {"set": self.members["set"].digest()}, key)
        return todo.Evaluation(JOB, model(name), self.members, known, n * (n - 1) // 2)

    def forget(self) -> None:
        """Take the results away, so that they are computed again."""
        shutil.rmtree(Path(self.store.location) / "results", ignore_errors=True)

    def on(self) -> float:
        """Return the seconds of all evaluations on the connected cluster, through what a run uses."""
        self.forget()
        nothing = Work(lambda _: (None, None, True), lambda _: (), {})
        record = execution.Record("none")
        start = time.perf_counter()
        with Pool(Plan([], {}, Limits(1)), nothing, Actors(lambda: lambda *_: None, count=1)) as pool:
            sharing = functools.partial(setup.make_sharing, pool.nodes)
            setting = Setting(self.store, self.keys, record, Quiet(), sharing, Unwatched())
            comparing = Comparing(setting, pool, self.evaluations, range(len(self.evaluations)))
            comparing.begin(())
            for event in pool.events():
                comparing.take(event.tag, event)  # type: ignore[union-attr, arg-type]  # there are no blocks and loads
        seconds = time.perf_counter() - start
        if record.evaluations != len(self.evaluations):
            succeeded = f"{record.evaluations} of {len(self.evaluations)} evaluations succeeded"
            raise SystemExit(f"{succeeded}: {record.unevaluated}")
        return seconds

    def alone(self) -> float:
        """Return the sum of the seconds that each evaluation takes in this process, in one thread."""
        self.forget()
        start = time.perf_counter()
        for evaluation, key in zip(self.evaluations, self.keys.values(), strict=True):
            found = evaluate(Assignment(self.store.location, JOB, key, evaluation.key), self.members)
            if not isinstance(found, Evaluated):
                raise SystemExit(found.message)
        return time.perf_counter() - start


def model(name: str) -> Model:
    """Return a model that stands for rows which are there already: it has a name, and is never run."""
    pixels = Pixels(Geometry(1, 1), None, {})
    cost = Cost(None, "it is never run", {})
    graph_input = Input("x", "uint8", "nhwc", None, 3, 1, 1)
    return Model(name, Path(name), name, (), {}, {}, 0, 0, 17, graph_input, (), (), pixels, 1, cost, Dropout(0, 0))


def timed(bench: Bench, repeats: int) -> tuple[float, float]:
    """Return the seconds of the first run, and the median of those after it."""
    first = bench.on()
    return first, statistics.median(bench.on() for _ in range(repeats))


def large(folder: Path, n: int, d: int, workers: int, repeats: int) -> Iterable[str]:
    """Yield the table of one model on one worker and on all."""
    bench = Bench(folder, 1, n, d)
    yield "| n | d | workers | first run, s | s | times as fast as one |\n| --- | --- | --- | --- | --- | --- |"
    one = 0.0
    for cpus in (1, workers):
        with connect(cpus=cpus):
            first, seconds = timed(bench, repeats)
        one = one or seconds
        yield f"| {n:,} | {d} | {cpus} | {first:.2f} | {seconds:.2f} | {one / seconds:.2f} |"


def many(folder: Path, models: int, n: int, d: int, workers: int, repeats: int) -> Iterable[str]:  # noqa: PLR0913, PLR0917 - a row of the table
    """Yield the table of many models on all workers, against the sum of their single times divided by the workers."""
    bench = Bench(folder, models, n, d)
    bench.alone()
    single = statistics.median(bench.alone() for _ in range(repeats))
    with connect(cpus=workers):
        first, seconds = timed(bench, repeats)
    yield "| models | n | d | workers | first run, s | s | sum of single times, s | of which each has its part |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    ratio = seconds / (single / workers)
    yield f"| {models} | {n:,} | {d} | {workers} | {first:.2f} | {seconds:.2f} | {single:.2f} | {ratio:.2f}x |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("workers", 2), ("d", 256), ("models", 200), ("small", 2000), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--n", type=int, nargs="+", default=[60_000, 100_000])
    asked = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start\n")
    with tempfile.TemporaryDirectory() as folder:
        tables = (
            *(large(Path(folder) / f"large-{n}", n, asked.d, asked.workers, asked.repeats) for n in asked.n),
            many(Path(folder) / "many", asked.models, asked.small, asked.d, asked.workers, asked.repeats),
        )
        for table in tables:
            for line in table:
                print(line, flush=True)
            print()


if __name__ == "__main__":
    main()
