"""Whole processes that are killed: the command as people start it, on the demo's images and models."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evaljobs.demo.writing import write_demo

TIMEOUT_S = 120


class Process:
    """A running `evaljobs run`."""

    def __init__(self, config: Path, *arguments: str) -> None:
        self.config = config
        command = [sys.executable, "-m", "evaljobs", "run", str(config), *arguments]
        # A group of its own, as a shell gives it: Ctrl-C reaches the whole group.
        self.popen = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)

    def wait(self) -> tuple[int, str]:
        """Return exit code and output."""
        output, _ = self.popen.communicate(timeout=TIMEOUT_S)
        return self.popen.returncode, output.decode()

    def signal_group(self, number: int) -> None:
        os.killpg(self.popen.pid, number)

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a moment in the run; it must come before the end."""
        deadline = time.monotonic() + TIMEOUT_S
        while not condition():
            assert self.popen.poll() is None, f"ended too early: {self.wait()}"
            assert time.monotonic() < deadline, "the moment never came"
            time.sleep(0.002)

    def parts(self) -> int:
        """Return how many parts of embedding tables are committed."""
        return sum(1 for _ in (self.config.parent / "store" / "tables").glob("*/part-*.arrow"))

    def workers(self, title: str) -> list[int]:
        """Return the Ray processes below this one whose title holds a word."""
        raylets = [pid for pid, parent, _ in _processes() if parent == self.popen.pid]
        return [pid for pid, parent, name in _processes() if parent in raylets and title in name]


def _processes() -> Iterator[tuple[int, int, str]]:
    """Yield (pid, parent, command line) of every process."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            yield int(entry.name), int(stat.rsplit(")", 1)[1].split()[1]), command


@pytest.fixture(scope="session")
def fresh_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's images and models, never run."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    write_demo(folder)
    return folder


@pytest.fixture(scope="session")
def undisturbed(fresh_demo: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a run gives that nobody disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed") / "demo"
    shutil.copytree(fresh_demo, folder)
    code, output = Process(folder / "benchmark.yaml").wait()
    assert code == 0, output
    return read(folder)


@pytest.fixture
def demo(fresh_demo: Path, tmp_path: Path) -> Path:
    """A copy of the demo to run; returns its configuration."""
    shutil.copytree(fresh_demo, tmp_path / "demo")
    return tmp_path / "demo" / "benchmark.yaml"


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    """Start runs, and leave none behind."""
    started: list[Process] = []

    def begin(config: Path, *arguments: str) -> Process:
        started.append(Process(config, *arguments))
        return started[-1]

    yield begin
    for process in started:
        if process.popen.poll() is None:
            process.signal_group(signal.SIGKILL)
            process.popen.wait()


def read(folder: Path) -> dict[str, Any]:
    """Return results.json without what may differ between equal runs."""
    results: dict[str, Any] = json.loads((folder / "results" / "results.json").read_text(encoding="utf-8"))
    results["computed"] = results.pop("execution")["computed"]
    return results
