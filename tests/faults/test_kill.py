"""Whatever can be killed will be: nothing that was committed is lost, and the results do not change by a byte."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from raycluster.connection.connect import Cluster
from tests.cli.conftest import Command, command
from tests.faults.multinode import processes
from tests.faults.workload import Run, carry_out, parts, results, write_workload

__all__ = ["command"]

Start = Callable[..., Run]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PAGE = 4096


class Undisturbed(NamedTuple):
    """What a run leaves that nobody disturbs."""

    results: str
    rows_embedded: int
    store: Path


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, models and a configuration, never run; each model is embedded in some ten steps."""
    return write_workload(tmp_path_factory.mktemp("fresh"), images=240, models=2).parent


@pytest.fixture(scope="module")
def undisturbed(cluster: Cluster, fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    assert cluster.cpus == 2
    folder = tmp_path_factory.mktemp("undisturbed") / "workload"
    shutil.copytree(fresh, folder)
    config = folder / "benchmark.yaml"
    carry_out(config)
    assert len(parts(folder / "store")) >= 12, "too few steps: nothing can be stopped between two of them"
    return Undisturbed(results(config), rows_embedded(config), folder / "store")


@pytest.fixture
def config(fresh: Path, tmp_path: Path) -> Path:
    """The configuration of a copy."""
    shutil.copytree(fresh, tmp_path / "workload")
    return tmp_path / "workload" / "benchmark.yaml"


def rows_embedded(config: Path) -> int:
    """Return how many rows the last run has computed."""
    document: dict[str, Any] = json.loads((config.parent / "results" / "results.json").read_text(encoding="utf-8"))
    return int(document["execution"]["computed"]["rows_embedded"])


def assert_interrupted(run: Run, code: int, word: str) -> None:
    """The conventional exit code, and how to go on; no traceback."""
    found, output = run.wait()
    assert found == code, output
    assert word in output
    assert "goes on from there" in output
    assert "Traceback" not in output


def test_stopped_run_goes_on_where_it_was(config: Path, start: Start, undisturbed: Undisturbed) -> None:
    """Ctrl-C, SIGTERM and SIGKILL in the middle of embedding, of one run after the other; the last ends as if alone.

    A second run that wants the same output folder meanwhile says so at once and starts nothing; the first goes on.
    """
    run = start(config)
    run.until((config.parent / "results" / ".evaljobs.lock").exists)
    code, output = start(config).wait()
    assert code == 2
    assert "another run is writing" in output

    run.until_parts(1)
    run.signal_group(signal.SIGINT)
    assert_interrupted(run, 130, "Interrupted")

    run = start(config)
    run.until_parts(run.parts() + 1)
    run.popen.send_signal(signal.SIGTERM)
    assert_interrupted(run, 143, "Terminated")

    run = start(config)
    run.until_parts(run.parts() + 1)
    raylets = [p.pid for p in processes() if p.parent == run.popen.pid]
    children = [p.pid for p in processes() if p.parent in raylets and "ray" in p.command]
    assert children
    run.kill()
    wait_until_gone(children)
    assert not (config.parent / "results" / "results.json").exists()

    code, output = start(config).wait()
    assert code == 0, output
    assert results(config) == undisturbed.results
    assert 0 < rows_embedded(config) < undisturbed.rows_embedded


def wait_until_gone(pids: list[int]) -> None:
    """Ray's working processes end with their driver, without anybody's help; its agents take a minute longer."""
    deadline = time.monotonic() + 60
    while (left := [pid for pid in pids if working(pid)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left


def working(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"ray::" in command and b"Agent" not in command


@pytest.fixture
def small_disk(tmp_path: Path, undisturbed: Undisturbed) -> Iterator[Path]:
    """A file system that has room for as much as the tables take, some of which the listing of the images takes."""
    folder = tmp_path / "small"
    folder.mkdir()
    tables = [path for path in (undisturbed.store / "tables").rglob("*") if path.is_file()]
    size = sum(-(-path.stat().st_size // PAGE) for path in tables) * PAGE
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"needs the right to mount: {mounted.stderr.decode()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.root
def test_full_disk_ends_the_run_and_loses_nothing(
    config: Path, command: Command, small_disk: Path, undisturbed: Undisturbed
) -> None:
    """A store on a full disk: exit code 4, the reason, no traceback; with room again, it goes on."""
    done = command("run", config, "--set", f"store={small_disk}")
    assert done.code == 4, done.err
    assert "the disk is full" in done.err
    assert "Traceback" not in done.out + done.err
    assert not (config.parent / "results" / "results.json").exists()
    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    done = command("run", config, "--set", f"store={small_disk}")
    assert done.code == 0, done.err
    assert results(config) == undisturbed.results
    assert 0 < rows_embedded(config) < undisturbed.rows_embedded


@pytest.mark.root
def test_results_on_a_full_disk(config: Path, command: Command, small_disk: Path, undisturbed: Undisturbed) -> None:
    """An output folder on a full disk: exit code 4 and the reason, never half a file under its final name."""
    shutil.copytree(undisturbed.store, config.parent / "store")  # nothing is left but to write
    (small_disk / "filler").write_bytes(bytes(shutil.disk_usage(small_disk).free - 2 * PAGE))
    done = command("run", config, "--out", small_disk / "out")
    assert done.code == 4, done.err
    assert "make room" in done.err
    assert "Traceback" not in done.out + done.err
    assert not (small_disk / "out" / "results.json").exists()
