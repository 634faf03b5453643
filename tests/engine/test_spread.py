"""One evaluation as many tasks on a real Ray: every byte of its result is that of one process, whoever is killed."""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from evaljobs.engine.evaluation import Assignment, Evaluated, Members, evaluate
from evaljobs.engine.sharing import Sharing
from evaljobs.engine.spreading import Spread
from evaljobs.jobs.job import Passes, Rows
from evaljobs.jobs.verification import VerificationJob, VerificationParameters
from evaljobs.run import setup
from evaljobs.schemas import DIGEST
from evaljobs.store import Store
from raycluster.connection.connect import Cluster
from raycluster.planning.plan import Limits, Plan
from raycluster.pool.events import TaskAdvanced, TaskDone
from raycluster.pool.pool import Pool
from raycluster.pool.work import Actors, Work

N = 4600  # 10.6 million pairs: beyond what is scored whole
MODEL_KEY = {"model": "m"}
KEY = {"evaluation": "e"}


class Watched(VerificationJob):
    """A verification that leaves a file for each pass and each process; `victim` is killed once, after the first pass.

    The victim is `task`, which compares, or `fan`, which submits tasks and decides.
    """

    def __init__(self, folder: Path, victim: str | None = None) -> None:
        super().__init__("watched", VerificationParameters(fpr=(1e-4, 0.5)))
        self.folder, self.victim = folder, victim

    def passes(self, rows: Mapping[str, Rows]) -> Passes:
        found = super().passes(rows)
        return Passes(found.samples, self._watched(found.rounds))

    def _watched(self, rounds: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        work, number = next(rounds), 0
        try:
            while True:
                (self.folder / f"pass-{number}").touch()
                evidence = yield WatchedWork(work, self.folder, self.victim if number else None)
                if self.victim == "fan":
                    die_once(self.folder)
                work, number = rounds.send(evidence), number + 1
        except StopIteration as stop:
            return stop.value


class WatchedWork:
    """The work of a pass, and a file for each process at it."""

    def __init__(self, work: Any, folder: Path, victim: str | None) -> None:
        self.work, self.folder, self.victim = work, folder, victim
        self.parts, self.pairs = work.parts, work.pairs

    def run(self, samples: Any, part: range, onto: Any = None) -> Any:
        (self.folder / f"pid-{os.getpid()}").touch()
        if self.victim == "task" and part.start > 0:
            die_once(self.folder)
        return self.work.run(samples, part, onto)


def die_once(folder: Path) -> None:
    if not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)


def clustered() -> tuple[np.ndarray, list[str]]:
    """Return embeddings of which millions of pairs score alike: one pass does not decide them."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 300, N)
    rows = rng.standard_normal((2, 8))[rng.integers(0, 2, N)] + 1e-6 * rng.standard_normal((N, 8))
    return rows.astype(np.float32), [str(label) for label in labels]


@pytest.fixture(scope="module")
def members() -> Members:
    digests = [hashlib.sha256(str(n).encode()).digest() for n in range(N)]
    return Members(pa.array([str(n) for n in range(N)]), pa.array(clustered()[1]), pa.array(digests, DIGEST))


def assign(folder: Path, members: Members, spread: Spread | None = None, victim: str | None = None) -> Assignment:
    """Return an assignment with a store of its own in the folder, and a folder `seen` where its job is watched."""
    store = Store(folder / "store").open()
    store.table(MODEL_KEY).commit(members.digests, {"embedding": clustered()[0]})
    (folder / "seen").mkdir()
    return Assignment(store.location, Watched(folder / "seen", victim), MODEL_KEY, KEY, threads=2, spread=spread)


@pytest.fixture(scope="module")
def expected(members: Members, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one process finds."""
    folder = tmp_path_factory.mktemp("alone")
    assert isinstance(evaluate(assign(folder, members), {"set": members}), Evaluated)
    found = result_of(folder)
    assert {"result.json", "roc.arrow"} <= set(found)
    return found


def result_of(folder: Path) -> dict[str, bytes]:
    """Return the bytes of a result and its tables."""
    files = (folder / "store" / "results").glob("*/*")
    return {path.name: path.read_bytes() for path in files if path.suffix in {".json", ".arrow"}}


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("victim", [None, "task", "fan"])
def test_spread_evaluation_is_that_of_one_process(
    victim: str | None, expected: dict[str, bytes], members: Members, tmp_path: Path
) -> None:
    """Several passes over ten million pairs, in two processes; undisturbed, or with one of them killed by SIGKILL."""
    nothing = Work(lambda _: (None, None, True), lambda _: (), {})
    with Pool(Plan([], {}, Limits(1)), nothing, Actors(lambda: lambda *_: None, 1), patience_s=60) as pool:
        assignment = assign(tmp_path, members, Spread(pool.fan(2), 2, least_pairs=2**20), victim)
        pool.submit(0, 1, evaluate, assignment, pool.put("m", {"set": members}), pool.teller(0))
        found = list(pool.events())
    (done,) = [event for event in found if isinstance(event, TaskDone)]
    assert isinstance(done.answer, Evaluated)
    assert all(event.done <= event.of for event in found if isinstance(event, TaskAdvanced))
    seen = [path.name for path in (tmp_path / "seen").iterdir()]
    assert ("died" in seen) == (victim is not None)
    assert sum(name.startswith("pid-") for name in seen) >= 2, "it was not spread"
    assert sum(name.startswith("pass-") for name in seen) >= 3
    assert result_of(tmp_path) == expected


def test_run_with_spread_evaluations_writes_the_same(
    bench: Any, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, without_execution: Any
) -> None:
    """Five models: the first are a task each, the last are spread; no byte of the results tells which."""
    bench.images(labels=30, each=10)
    for seed, name in enumerate("abcde"):
        bench.model(name, seed)
    bench.run()
    expected = bench.results()
    results = bench.folder / "store" / "results"
    results.rename(bench.folder / "before")
    shared: list[int] = []
    fan = Pool.fan

    def counted(self: Pool, tasks: int) -> Any:
        shared.append(tasks)
        return fan(self, tasks)

    monkeypatch.setattr(Pool, "fan", counted)
    few = Sharing(cluster.cpus, cluster.cpus, pairs_a_slot=10_000, least_pairs=10_000)
    monkeypatch.setattr(setup, "make_sharing", lambda _: few)
    bench.run()
    assert bench.computed() == (0, 0, 5)
    assert 0 < len(shared) < 5
    assert set(shared) == {2}
    assert without_execution(bench.results()) == without_execution(expected)
    assert bench.results()["execution"]["computed"]["pairs"] == expected["execution"]["computed"]["pairs"]
