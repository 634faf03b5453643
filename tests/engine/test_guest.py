"""A run on a machine that is shared with others: it pauses and goes on, and its results do not know of it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evaljobs.config import load
from evaljobs.engine.device import choose_device, runtime_of
from evaljobs.engine.prepare import prepare
from evaljobs.errors import ExitCode, RunFailedError, UsageError
from evaljobs.progress import Quiet
from evaljobs.run import Finished, Options, run

Settle = Callable[[dict[str, Any]], dict[str, Any]]

HOT, COOL = {"gpu_temperature": 87, "cpu_utilisation": 5}, {"gpu_temperature": 70, "cpu_utilisation": 5}
FILES = ("results.csv", "results.parquet", "results.md", "samples.arrow")


class Heard(Quiet):
    """Keeps the lines that are shown."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def run_and_hear(bench: Any, guest: dict[str, Any] | None, store: str) -> tuple[list[str], Finished]:
    bench.config |= {"store": store, "cluster": {"guest": guest} if guest else {}}
    path, heard = bench.write(), Heard()
    return heard.lines, run(load(path), path, heard, Options())


def test_results_do_not_know_of_pauses(bench: Any, without_execution: Settle) -> None:
    """Recorded heat pauses every actor, then falls: two lines, the seconds in `execution`, and the same bytes."""
    bench.images().model("a")
    bench.model("b", seed=2)
    _, undisturbed = run_and_hear(bench, None, "store")
    assert undisturbed.results["execution"]["paused_seconds"] == 0
    files = {name: (bench.out / name).read_bytes() for name in FILES}
    parts = {part.name for part in (bench.folder / "store" / "tables").rglob("*.arrow")}

    guest = {"gpu_temperature": 80, "cpu_utilisation": 50, "every_s": 0.4, "recorded": [HOT, HOT, COOL]}
    lines, finished = run_and_hear(bench, guest, "another store")
    assert finished.exit_code == ExitCode.OK
    paused = [line for line in lines if line.startswith(("paused", "going on"))]
    assert paused[0] == "paused: GPU 0 at 87 °C, limit 80"
    # An actor that comes up late has a pause of its own.
    assert [line for line in paused if re.fullmatch(r"going on after \d+ s: GPU 0 at 70 °C", line)]
    assert len([line for line in lines if "the readings are written down" in line]) == 1
    assert "cpu_utilisation: 50" in finished.results["execution"]["config"]
    assert finished.results["execution"]["paused_seconds"] >= 0.8
    assert bench.computed() == (30, 60, 2)
    assert without_execution(finished.results) == without_execution(undisturbed.results)
    assert {name: (bench.out / name).read_bytes() for name in FILES} == files
    assert {part.name for part in (bench.folder / "another store" / "tables").rglob("*.arrow")} == parts
    assert parts


def test_manners_are_in_no_key(bench: Any) -> None:
    """Neither the digest of the configuration nor a model's key changes: what was computed politely is found again."""
    bench.images(labels=2).model("a")
    found = []
    for guest in ({}, {"gpu_temperature": 80, "cpu_utilisation": 50, "patience_s": 60, "every_s": 1}):
        bench.config["cluster"] = {"guest": guest}
        path = bench.write()
        config = load(path)
        keys = prepare(config, path, Quiet(), runtime_of(config.cluster, choose_device("cpu", None))).keys
        found.append((config.digest(), keys))
    assert found[0] == found[1]


def test_patience_ends_the_run_and_the_next_one_goes_on(bench: Any) -> None:
    """A machine that never becomes free: the reason is said, and that nothing is lost.

    Limits of a GPU are of no matter where none is used: it is said, and nobody waits.
    """
    bench.images(labels=2).model("a")
    guest = {"gpu_temperature": 80, "every_s": 0.2, "recorded": [HOT], "patience_s": 1}
    with pytest.raises(RunFailedError, match=r"patience was 1 s: GPU 0 at 87 °C, limit 80.*What was computed is kept"):
        run_and_hear(bench, guest, "store")
    assert not (bench.out / "results.json").exists()
    lines, finished = run_and_hear(bench, {"gpu_temperature": 1}, "store")
    assert finished.exit_code == ExitCode.OK
    assert [line for line in lines if "guest" in line or "paused" in line] == [
        "`cluster.guest`: this run computes on the CPU, so the limits of a GPU are of no matter."
    ]
    assert bench.evaluation("a")["status"] == "ok"


@pytest.mark.parametrize(
    ("guest", "message"),
    [
        ({"gpu_temperature": -3}, "cluster.guest.gpu_temperature: Input should be greater than 0"),
        ({"gpu_utilisation": 101}, "cluster.guest.gpu_utilisation: Input should be less than or equal to 100"),
        ({"cpu_utilization": 5}, "cluster.guest.cpu_utilization: unknown key; did you mean 'cpu_utilisation'?"),
        ({"every_s": 0}, "cluster.guest.every_s: Input should be greater than or equal to 0.05"),
        ({"recorded": [{"heat": 1}]}, "cluster.guest.recorded.0.heat: unknown key"),
        ({"recorded": "readings.json"}, "cluster.guest.recorded"),
    ],
)
def test_wrong_manners_are_refused(bench: Any, guest: dict[str, Any], message: str) -> None:
    """With the key and what is expected."""
    bench.config["cluster"] = {"guest": guest}
    with pytest.raises(UsageError, match=re.escape(message)):
        load(bench.write())


@pytest.mark.slow
def test_interrupt_ends_a_run_that_waits(bench: Any) -> None:
    """Ctrl-C in the middle of a pause without end: the line is there, the exit code says it, all processes end."""
    bench.images(labels=2).model("a")
    bench.config["cluster"] = {"cpus": 2, "guest": {"gpu_temperature": 80, "every_s": 0.5, "recorded": [HOT]}}
    log = bench.folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "evaljobs", "run", str(bench.write())], stdout=output, stderr=subprocess.STDOUT
        )
        try:
            wait_for(lambda: "paused: GPU 0 at 87 °C, limit 80" in log.read_text(), process, log)
            process.send_signal(signal.SIGINT)
            assert process.wait(120) == ExitCode.INTERRUPTED
        finally:
            process.kill()
            process.wait()
    assert "Traceback" not in log.read_text()
    assert not (bench.out / "results.json").exists()


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
