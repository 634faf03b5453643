"""Tasks that run tasks of their own: all of them, each in effect once, whoever dies. On a real Ray of two CPUs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raycluster.planning.plan import Limits, Plan
from raycluster.pool.events import TASK_DIED, Event, TaskAdvanced, TaskDone, TaskLost
from raycluster.pool.fan import Fan
from raycluster.pool.pool import Pool
from raycluster.pool.work import Actors, Work

pytestmark = pytest.mark.usefixtures("cluster")

Share = Callable[[Any], Fan]
VALUES = np.arange(100_000)
ITEMS = range(12)
TOTAL = int(VALUES.sum()) * 3 * sum(ITEMS)


def multiply(shared: np.ndarray, common: int, item: int) -> int:
    assert not shared.flags.writeable, "shared, not copied"
    return int(shared.sum()) * common * item


def add_up(share: Share, function: Callable[..., Any], common: Any) -> int:
    return sum(share(VALUES)(function, common, ITEMS))


def die_once(marker: Path) -> None:
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def multiply_or_die(shared: np.ndarray, common: Path, item: int) -> int:
    if item == 5:
        die_once(common)
    return multiply(shared, 3, item)


def always_die_at_the_first(shared: np.ndarray, common: int, item: int) -> int:
    if item == 0:  # one is enough: each death costs a new process
        os.kill(os.getpid(), signal.SIGKILL)
    return multiply(shared, common, item)


def fail(_shared: np.ndarray, _common: object, item: int) -> int:
    raise MemoryError(f"at {item}")


def leave_pid(_shared: np.ndarray, folder: Path, item: int) -> int:
    (folder / f"{item}-{os.getpid()}").touch()
    time.sleep(60)
    return item


def fan_and_die(share: Share, folder: Path) -> int:
    """Die after the first answer, once: others of its tasks are running then."""
    total = 0
    for answer in share(VALUES)(multiply, 3, ITEMS):
        die_once(folder / "died")
        total += answer
    return total


def count_taken(share: Share, at_once: int) -> int:
    """Return how many items were taken when the first answer came."""
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in ITEMS:
            taken.append(item)
            yield item

    answers = share(VALUES)(multiply, 3, items())
    next(answers)
    return len(taken) - at_once


def tell_slowly(teller: Callable[[int, int], None]) -> str:
    for done in range(1, 4):
        teller(done, 3)
        time.sleep(1.2)
    return "told"


def pool() -> Pool:
    nothing = Work(lambda _: (None, None, True), lambda _: (), {})
    return Pool(Plan([], {}, Limits(1)), nothing, Actors(lambda: lambda *_: None, count=1), patience_s=60)


def events(function: Callable[..., Any], *arguments: Any) -> list[Event]:
    """Run a task that fans out, and a plain one beside it."""
    with pool() as running:
        running.submit("fans", 1, function, running.fan(2), *arguments)
        running.submit("plain", 1, abs, -1)
        found = list(running.events())
    assert TaskDone("plain", 1) in found
    return [event for event in found if event != TaskDone("plain", 1)]


def test_every_item_is_done_and_the_value_is_shared() -> None:
    """Answers of all items come together in the task; the value is mapped, not copied."""
    assert events(add_up, multiply, 3) == [TaskDone("fans", TOTAL)]


def test_items_wait_in_the_task_and_not_in_the_cluster() -> None:
    """One more than run at a time is submitted: large items, and answers, do not pile up."""
    assert events(count_taken, 2) == [TaskDone("fans", 1)]


def test_killed_task_runs_again(tmp_path: Path) -> None:
    """SIGKILL of one process in the middle: nothing is missing from the total."""
    marker = tmp_path / "died"
    assert events(add_up, multiply_or_die, marker) == [TaskDone("fans", TOTAL)]
    assert marker.exists()


def test_killed_fan_runs_again(tmp_path: Path) -> None:
    """SIGKILL of the task that fans out: it starts anew, and the total is the same."""
    assert events(fan_and_die, tmp_path) == [TaskDone("fans", TOTAL)]
    assert (tmp_path / "died").exists()


def test_tasks_that_always_die_lose_their_fan_alone() -> None:
    """After some attempts the whole is given up, and said; other tasks come back."""
    (lost,) = events(add_up, always_die_at_the_first, 3)
    assert isinstance(lost, TaskLost)
    assert (lost.tag, lost.reason) == ("fans", TASK_DIED)


def test_error_arrives_in_the_task_as_it_was_raised() -> None:
    """And, unless it is handled there, at the driver."""
    with pytest.raises(MemoryError, match=r"at \d"):
        events(add_up, fail, None)


def test_leaving_the_pool_ends_the_tasks_of_tasks(tmp_path: Path) -> None:
    """An interrupted run leaves nobody at work."""
    with pool() as running:
        running.submit("fans", 1, add_up, running.fan(2), leave_pid, tmp_path)
        wait_until(lambda: len(list(tmp_path.iterdir())) >= 2)
    pids = [int(path.name.split("-")[1]) for path in tmp_path.iterdir()]
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
    assert len(list(tmp_path.iterdir())) == len(pids), "nobody took their place"


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "the moment never came"
        time.sleep(0.05)


def test_task_tells_how_far_it_is() -> None:
    """A long task is seen to move; one that has ended says nothing more."""
    with pool() as running:
        running.submit("slow", 1, tell_slowly, running.teller("slow"))
        found = list(running.events())
    assert found[-1] == TaskDone("slow", "told")
    told = [event.done for event in found if isinstance(event, TaskAdvanced) and event.of == 3]
    assert len(told) == len(found) - 1
    assert told
    assert told == sorted(told)


ONE_CPU = """
import test_fan
from raycluster.connection.connect import connect
with connect(cpus=1, object_store_mb=80), test_fan.pool() as running:
    for number in range(3):
        running.submit(number, 1, test_fan.add_up, running.fan(2), test_fan.multiply, 3)
    assert sorted((e.tag, e.answer) for e in running.events()) == [(n, test_fan.TOTAL) for n in range(3)]
print("done")
"""


def test_one_cpu_is_enough() -> None:
    """Three tasks that fan out on a single CPU: a task that waits holds none, so nobody waits for ever."""
    path = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    command = [sys.executable, "-c", ONE_CPU]
    done = subprocess.run(command, env=path, capture_output=True, text=True, check=False, timeout=240)
    assert done.stdout == "done\n", done.stderr
