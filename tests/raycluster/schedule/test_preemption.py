"""The real scheduler, a real head, real runs: a low one is stopped for a high one, and goes on where it was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raycluster.program import find_program
from raycluster.schedule.adding import Wanted, add
from raycluster.schedule.book import Book
from raycluster.schedule.daemon import Daemon
from raycluster.schedule.database import Database
from raycluster.schedule.hands import Hands
from raycluster.schedule.outside import real
from raycluster.schedule.records import NO_TEAM, Outcome, Run, State
from tests.faults.workload import parts, rows, write_workload
from tests.ray_head import RayHead

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

_PATIENCE_S = 240.0
_IMAGES, _MODELS = 240, 3


class Night:
    """A state file, its scheduler in this process, and a cluster."""

    def __init__(self, state: Path, address: str) -> None:
        self.said: list[str] = []
        self.book = Book(Database(state))
        outside = real(self.said.append)
        self._address = address
        self._daemon = Daemon(self.book, Hands(self.book, outside, state), outside)

    def begin(self, config: Path, name: str, priority: int) -> tuple[str, int]:
        """Add a schedule, and queue a run of it at once; return what finds the run."""
        wanted = Wanted(
            config, "0 3 * * *", "UTC", 1, NO_TEAM, priority, "evaljobs", name, shared=True, address=self._address
        )
        add(self.book, wanted, find_program, time.time())
        return self.book.add_run(name, time.time()).key

    def run(self, key: tuple[str, int]) -> Run:
        """Return a run as it is."""
        found = self.book.run(*key)
        assert found is not None
        return found

    def until(self, moment: Callable[[], bool]) -> None:
        """Let the scheduler work until then."""
        deadline = time.monotonic() + _PATIENCE_S
        while not moment():
            assert time.monotonic() < deadline, self.said
            self._daemon.step()
            time.sleep(0.1)


def computed(run: Run) -> dict[str, Any]:
    """Return what the last attempt of a run has computed."""
    document = json.loads((Path(run.results or "") / "results.json").read_text(encoding="utf-8"))
    return dict(document["execution"]["computed"])


@pytest.fixture
def night(folder: Path, tmp_path: Path, ray_head: RayHead, monkeypatch: pytest.MonkeyPatch) -> Night:
    """One slot for all."""
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(ray_head.token_file))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = Night(folder / "state.sqlite3", ray_head.address)
    found.book.set_quota("all", 1)
    return found


def test_low_run_makes_room_and_loses_no_shard(night: Night, tmp_path: Path) -> None:
    """Stopped in the middle, requeued, resumed: what was committed stays as it was, and only the rest is computed."""
    for name, images, models in (("low", _IMAGES, _MODELS), ("high", 12, 1)):
        (tmp_path / name).mkdir()
        write_workload(tmp_path / name, images=images, models=models)
    store = tmp_path / "low" / "store"
    low = night.begin(tmp_path / "low" / "benchmark.yaml", "low", priority=0)
    night.until(lambda: bool(parts(store)))

    high = night.begin(tmp_path / "high" / "benchmark.yaml", "high", priority=5)
    night.until(lambda: night.run(low).state is State.WAITING)
    kept, kept_rows = {part: part.stat().st_mtime_ns for part in parts(store)}, rows(store)
    assert 0 < len(kept_rows) < _IMAGES * _MODELS
    assert night.run(high).outcome is None

    night.until(lambda: all(night.run(key).state is State.ENDED for key in (low, high)))
    first, second = night.run(low), night.run(high)
    assert (first.outcome, second.outcome) == (Outcome.PASSED, Outcome.PASSED), night.said
    assert (first.preemptions, first.failures, first.attempt, second.attempt) == (1, 0, 2, 1)
    stopped, resumed = night.book.attempts(*low)
    assert (stopped.status, stopped.reason) == ("stopped", "stopped: preempted")
    assert stopped.ended is not None
    assert second.ended is not None
    assert stopped.ended <= second.ended <= resumed.begun + 1
    assert {part: part.stat().st_mtime_ns for part in kept} == kept
    assert kept_rows.items() <= rows(store).items()
    assert len(rows(store)) == _IMAGES * _MODELS
    assert computed(first)["rows_embedded"] == _IMAGES * _MODELS - len(kept_rows)
