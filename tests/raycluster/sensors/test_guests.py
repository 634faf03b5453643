"""A pool whose processes are guests: they pause between blocks, say so, and go on. On a real Ray of two CPUs."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.experimental.internal_kv import _internal_kv_list

from raycluster.errors import ClusterError
from raycluster.planning.plan import Limits as PlanLimits
from raycluster.planning.plan import Plan
from raycluster.pool.events import CellDone, Event, TaskDone, Waited
from raycluster.pool.marks import NAMESPACE
from raycluster.pool.pool import Pool
from raycluster.pool.work import Actors, Work
from raycluster.sensors.readings import Limits, Readings
from raycluster.sensors.rules import Row, Rules

pytestmark = pytest.mark.usefixtures("cluster")

HOT, COLD = Row(gpu=Readings(temperature=87)), Row(gpu=Readings(temperature=70))
BUSY, FREE = Row(cpu=Readings(utilisation=95)), Row(cpu=Readings(utilisation=5))
EXPECTED = {(load, block): load * block for load in (1, 2) for block in range(4)}


class Multiply:
    """A handler that writes down when it works, and who it is."""

    def __init__(self, log: Path) -> None:
        self.log = log

    def __call__(self, load: int, block: int) -> int:
        with self.log.open("a") as log:
            log.write(f"{os.getpid()} {time.time()}\n")
        return load * block


def make_block(number: int) -> tuple[int, None, bool]:
    return number, None, False


def add(numbers: list[int]) -> int:
    return sum(numbers)


def spread(share: Any) -> int:
    return sum(share(10)(lambda shared, common, item: shared * common * item, 2, range(6)))


def carried_out(rules: Rules | None, log: Path) -> list[Event]:
    plan = Plan([1] * 4, {1: set(range(4)), 2: set(range(4))}, PlanLimits(10))
    work = Work(make_block, lambda block: (block,), {1: 1, 2: 2})
    with Pool(plan, work, Actors(lambda: Multiply(log), count=2, guest=rules), patience_s=60) as pool:
        pool.submit("sum", 1, add, [1, 2, 3])
        pool.submit("spread", 1, spread, pool.fan(2))
        return list(pool.events())


def answers(found: list[Event]) -> dict[Any, Any]:
    tasks = {event.tag: event.answer for event in found if isinstance(event, TaskDone)}
    return tasks | {(e.cell.load, e.cell.block): e.answer for e in found if isinstance(e, CellDone)}


def lines(found: list[Event]) -> list[str]:
    return [line for event in found if isinstance(event, Waited) for line in event.lines]


def test_hot_gpu_pauses_its_actors_alone_and_nothing_is_lost(tmp_path: Path) -> None:
    """Each waits before its first block, for two looks; tasks on the CPU go on; the seconds are added up."""
    rules = Rules(gpu=Limits(temperature=80), every_s=0.6, recording=(HOT, HOT, COLD))
    begun = time.time()
    found = carried_out(rules, tmp_path / "log")
    assert answers(found) == EXPECTED | {"sum": 6, "spread": 300}
    assert lines(found)[0] == "paused: GPU 0 at 87 °C, limit 80"
    assert lines(found)[-1].startswith("going on after ")
    assert lines(found)[-1].endswith(": GPU 0 at 70 °C")
    assert len(lines(found)) == 2
    first = {line.split()[0]: float(line.split()[1]) for line in reversed((tmp_path / "log").read_text().splitlines())}
    assert len(first) in {1, 2}
    assert min(first.values()) - begun >= 1.2
    waited = [event for event in found if isinstance(event, Waited)]
    assert sum(event.seconds for event in waited) >= 1.2 * len(first)
    assert waited[-1].waiting == 0
    assert max(event.waiting for event in waited) in {1, 2}


def test_busy_machine_pauses_every_process(tmp_path: Path) -> None:
    """Tasks that make blocks, plain ones, and those of one that fans out, wait as the actors do."""
    rules = Rules(cpu=Limits(utilisation=50), every_s=0.3, recording=(BUSY, FREE))
    found = carried_out(rules, tmp_path / "log")
    assert answers(found) == EXPECTED | {"sum": 6, "spread": 300}
    assert lines(found)[0] == "paused: CPU 95 % busy with others, limit 50"
    assert lines(found)[-1].endswith(": CPU 5 % busy with others")
    # Two actors at least, and one process of tasks.
    assert sum(event.seconds for event in found if isinstance(event, Waited)) >= 0.9


def test_missing_sensor_is_said_and_nobody_waits(tmp_path: Path) -> None:
    """A recording without the temperature; on this machine without a GPU, the driver itself."""
    for rules in (
        Rules(gpu=Limits(temperature=80), every_s=0.1, recording=(FREE,)),
        Rules(gpu=Limits(temperature=200), cpu=Limits(free_memory_mb=1), every_s=0.1),
    ):
        found = carried_out(rules, tmp_path / "log")
        assert answers(found) == EXPECTED | {"sum": 6, "spread": 300}
        assert [line for line in lines(found) if "paused" in line] == []
        if rules.recording:
            assert lines(found) == ["gpu_temperature cannot be watched: the recording does not tell it"]
        assert sum(event.seconds for event in found if isinstance(event, Waited)) == 0


def test_patience_ends_where_nothing_runs(tmp_path: Path) -> None:
    """With what was waited for; what was said is forgotten with the pool."""
    rules = Rules(gpu=Limits(temperature=80), every_s=0.2, recording=(HOT,), patience_s=2)
    with pytest.raises(
        ClusterError,
        match=r"all that runs has waited for \d s, and the patience was 2 s: GPU 0 at 87 °C, limit 80",
    ):
        carried_out(rules, tmp_path / "log")
    assert not (tmp_path / "log").exists()
    assert list(_internal_kv_list("waits:", namespace=NAMESPACE)) == []
    assert ray.is_initialized()


def slow_add(numbers: list[int]) -> int:
    time.sleep(5)
    return sum(numbers)


def test_patience_is_not_for_what_is_at_work() -> None:
    """While a task computes for longer than the patience, the pool goes on; then nothing but a pause is left."""
    rules = Rules(gpu=Limits(temperature=80), every_s=0.2, recording=(HOT,), patience_s=1.5)
    plan = Plan([1], {1: {0}}, PlanLimits(10))
    work = Work(make_block, lambda block: (block,), {1: 1})
    found: list[Event] = []
    with Pool(plan, work, Actors(lambda: Multiply(Path("unused")), count=1, guest=rules), patience_s=60) as pool:
        pool.submit("sum", 1, slow_add, [1, 2, 3])
        with pytest.raises(ClusterError, match="all that runs has waited"):
            found.extend(event for event in iter(pool.events()))
    assert answers(found) == {"sum": 6}


def test_machine_that_is_free_costs_nothing(tmp_path: Path) -> None:
    """No rules, and rules that hold: no line, no second, and nothing in the cluster's store."""
    for rules in (None, Rules(cpu=Limits(utilisation=50), every_s=0.1, recording=(FREE,))):
        found = carried_out(rules, tmp_path / "log")
        assert answers(found) == EXPECTED | {"sum": 6, "spread": 300}
        assert [event for event in found if isinstance(event, Waited)] == []
