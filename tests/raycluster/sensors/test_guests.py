"""A pool whose processes are guests: they pause between blocks, say so, and go on. On a real Ray of two CPUs."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import ray
from ray.experimental.internal_kv import _internal_kv_list, _internal_kv_put

from raycluster.errors import ClusterError
from raycluster.planning.plan import Limits as PlanLimits
from raycluster.planning.plan import Plan
from raycluster.pool.calls import Running
from raycluster.pool.events import CellDone, Event, TaskDone, Waited
from raycluster.pool.guests import Guests
from raycluster.pool.marks import NAMESPACE, Marks, process
from raycluster.pool.pool import Pool
from raycluster.pool.work import Actors, Work
from raycluster.sensors.nvml import NvmlSensor
from raycluster.sensors.own import Own
from raycluster.sensors.readings import Limits, Readings, Remark
from raycluster.sensors.rules import Row, Rules
from raycluster.sensors.telling import Told

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


def assert_paused_and_gone_on(found: list[str], paused: str, ended: str) -> None:
    """Lines on pauses alone, of which one is undisturbed.

    An actor that comes up late has a pause of its own, and one that waits still when all is done is ended.
    """
    assert found[0] == f"paused: {paused}"
    begun = [line for line in found if line == f"paused: {paused}"]
    gone_on = [line for line in found if re.fullmatch(rf"going on after \d+ s: {ended}", line)]
    left = [line for line in found if line.startswith("nothing waits any more")]
    assert len(begun) == len(gone_on) + len(left) == len(found) / 2
    assert gone_on


def test_hot_gpu_pauses_its_actors_alone_and_nothing_is_lost(tmp_path: Path) -> None:
    """Each waits before its first block, for two looks; tasks on the CPU go on; the seconds are added up."""
    rules = Rules(gpu=Limits(temperature=80), every_s=0.6, recording=(HOT, HOT, COLD))
    begun = time.time()
    found = carried_out(rules, tmp_path / "log")
    assert answers(found) == EXPECTED | {"sum": 6, "spread": 300}
    assert_paused_and_gone_on(lines(found), "GPU 0 at 87 °C, limit 80", "GPU 0 at 70 °C")
    first = {line.split()[0]: float(line.split()[1]) for line in reversed((tmp_path / "log").read_text().splitlines())}
    assert len(first) in {1, 2}
    assert min(first.values()) - begun >= 1.2
    waited = [event for event in found if isinstance(event, Waited)]
    assert sum(event.seconds for event in waited) >= 1.2 * len(first)
    assert waited[-1].waiting == 0


def test_busy_machine_pauses_every_process(tmp_path: Path) -> None:
    """Tasks that make blocks, plain ones, and those of one that fans out, wait as the actors do."""
    rules = Rules(cpu=Limits(utilisation=50), every_s=0.3, recording=(BUSY, FREE))
    found = carried_out(rules, tmp_path / "log")
    assert answers(found) == EXPECTED | {"sum": 6, "spread": 300}
    assert_paused_and_gone_on(lines(found), "CPU 95 % busy with others, limit 50", "CPU 5 % busy with others")
    # One actor at least, and one process of tasks.
    assert sum(event.seconds for event in found if isinstance(event, Waited)) >= 0.6


def test_missing_sensor_is_said_and_nobody_waits(tmp_path: Path) -> None:
    """The real sensors of this machine: one line where there is no GPU, no pause, no second, no crash."""
    rules = Rules(gpu=Limits(temperature=200), cpu=Limits(free_memory_mb=1), every_s=5)
    found = carried_out(rules, tmp_path / "log")
    assert answers(found) == EXPECTED | {"sum": 6, "spread": 300}
    has_gpu = NvmlSensor("0", Own()).read(worked=False).temperature is not None
    assert [line.partition(": ")[0] for line in lines(found)] == (
        [] if has_gpu else ["gpu_temperature cannot be watched"]
    )
    assert sum(event.seconds for event in found if isinstance(event, Waited)) == 0


def own_of(driver: int) -> tuple[int, set[int], int]:
    own = Own(driver)
    return os.getpid(), own.pids(), own._store_bytes()


def test_what_ray_started_here_is_the_clusters_own() -> None:
    """Seen from a worker: itself, its fellows, the driver, and the object store, whoever wrote into it."""
    before = ray.get(ray.remote(own_of).remote(os.getpid()))[2]
    held = ray.put(np.ones(60 * 2**20, np.uint8))
    worker, pids, store = ray.get(ray.remote(own_of).remote(os.getpid()))
    children = {child.pid for child in psutil.Process().children(recursive=True)}
    assert {worker, os.getpid()} <= pids
    assert len(pids & children) >= 3
    assert before < store
    assert store >= 60 * 2**20
    del held


def slow_add(numbers: list[int]) -> int:
    time.sleep(4)
    return sum(numbers)


def test_patience_ends_where_nothing_is_at_work(tmp_path: Path) -> None:
    """A task that computes for longer than the patience is waited for; then nothing but a pause is left: it is said."""
    rules = Rules(gpu=Limits(temperature=80), every_s=0.2, recording=(HOT,), patience_s=1.5)
    plan = Plan([1], {1: {0}}, PlanLimits(10))
    work = Work(make_block, lambda block: (block,), {1: 1})
    said = r"all that runs has waited for \d s, and the patience was 1.5 s: GPU 0 at 87 °C, limit 80"
    found: list[Event] = []
    with Pool(plan, work, Actors(lambda: Multiply(tmp_path / "log"), 1, guest=rules), patience_s=60) as pool:
        pool.submit("sum", 1, slow_add, [1, 2, 3])
        with pytest.raises(ClusterError, match=said):
            found.extend(event for event in iter(pool.events()))
    assert answers(found) == {"sum": 6}
    assert not (tmp_path / "log").exists()


def put(key: str, value: bytes) -> None:
    _internal_kv_put(key, value, namespace=NAMESPACE)


def test_patience_compares_processes_and_not_numbers() -> None:
    """Three tasks of one that spreads wait, another one works: nothing ends. Else it ends, if none advances."""
    guests = Guests(Rules(cpu=Limits(utilisation=50), patience_s=0.1))
    assert guests.gate is not None
    marks, waits = Marks(), Told((Remark("CPU", "CPU 95 % busy with others, limit 50"),), pauses=1, looks=1)
    spreads, works = (Running(tag, "add", marks.new(), 1, add, ()) for tag in ("spread", "sum"))
    put(spreads.mark, b"10.0.0.3 (0f)#1")
    put(works.mark, b"10.0.0.3 (0f)#2")
    for pid in (11, 12, 13):
        put(f"{guests.gate.prefix}10.0.0.3 (0f)#{pid}|10.0.0.3 (0f)#1|1", waits.to_bytes())
    time.sleep(1.1)
    (news,) = guests.news(lambda: True, 2)
    assert news.lines == ("paused on 10.0.0.3 (0f): CPU 95 % busy with others, limit 50",)
    assert news.waiting == 3
    time.sleep(0.2)
    guests.check_patience([spreads, works], marks)
    with pytest.raises(ClusterError, match="all that runs has waited"):
        guests.check_patience([spreads], marks)
    guests.advanced("spread", 5)
    guests.check_patience([spreads], marks)
    marks.clear()
    guests.clear()


def test_what_processes_said_is_forgotten_with_the_pool() -> None:
    """A process says one thing at a time, under one key; the news are told once, and nothing is left behind."""
    guests = Guests(Rules(cpu=Limits(utilisation=50), every_s=0.05, recording=(BUSY, BUSY, FREE)))
    assert guests.gate is not None
    assert guests.through(add)([1, 2, 3]) == 6
    (key,) = _internal_kv_list(guests.gate.prefix, namespace=NAMESPACE)
    assert key.decode().startswith(f"{guests.gate.prefix}{process()}||")
    (news,) = guests.news(lambda: True, 1, last=True)
    assert news.lines[0] == "paused: CPU 95 % busy with others, limit 50"
    assert news.lines[1].endswith(": CPU 5 % busy with others")
    assert len(news.lines) == 2
    assert 0.1 <= news.seconds < 10
    assert guests.part(add)([1, 2]) == 3
    keys = {key.decode() for key in _internal_kv_list(guests.gate.prefix, namespace=NAMESPACE)}
    assert len({key for key in keys if f"{process()}|{process()}|" in key}) == 1
    assert list(guests.news(lambda: True, 1, last=True)) != []
    assert list(guests.news(lambda: True, 1, last=True)) == []
    assert list(guests.news(lambda: False, 1, last=True)) == []
    guests.clear()
    assert _internal_kv_list(guests.gate.prefix, namespace=NAMESPACE) == []
