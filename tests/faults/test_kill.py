"""Whatever can be killed will be: nothing that was committed is lost, and the results do not change by a byte."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.multinode import processes

Start = Callable[..., Any]

pytestmark = pytest.mark.slow


def results_of(config: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return results.json without `execution`, and what was computed."""
    results = json.loads((config.parent / "results" / "results.json").read_text(encoding="utf-8"))
    return results, results.pop("execution")["computed"]


def finish(config: Path, start: Start, undisturbed: dict[str, Any]) -> dict[str, Any]:
    """Run to the end; compare with the undisturbed run; return what was left to compute."""
    code, output = start(config).wait()
    assert code == 0, output
    results, computed = results_of(config)
    expected = {key: value for key, value in undisturbed.items() if key != "computed"}
    assert json.dumps(results) == json.dumps(expected)
    return computed


def test_killed_driver_loses_nothing_that_was_committed(demo: Path, start: Start, undisturbed: dict[str, Any]) -> None:
    """SIGKILL in the middle of embedding: the next run embeds the rest, and the results are the same."""
    process = start(demo)
    process.until(lambda: process.parts() >= 3)
    raylets = [p.pid for p in processes() if p.parent == process.popen.pid]
    children = [p.pid for p in processes() if p.parent in raylets and "ray" in p.command]
    assert children
    process.kill()
    assert not (demo.parent / "results" / "results.json").exists()
    wait_until_gone(children)
    computed = finish(demo, start, undisturbed)
    assert 0 < computed["rows_embedded"] < undisturbed["computed"]["rows_embedded"]


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


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "Interrupted"), (signal.SIGTERM, 143, "Terminated")]
)
def test_interrupted_run_says_that_it_goes_on(
    demo: Path, start: Start, undisturbed: dict[str, Any], number: int, code: int, word: str
) -> None:
    """Ctrl-C and SIGTERM: the conventional exit code, no traceback, and the same results afterwards."""
    process = start(demo)
    process.until(lambda: process.parts() >= 1)
    if number == signal.SIGINT:
        process.signal_group(number)
    else:
        process.popen.send_signal(number)
    found, output = process.wait()
    assert found == code, output
    assert word in output
    assert "goes on from there" in output
    assert "Traceback" not in output
    finish(demo, start, undisturbed)


def test_two_runs_do_not_share_an_output_folder(demo: Path, start: Start) -> None:
    """The second says so at once and starts nothing; the first is not disturbed."""
    first = start(demo)
    first.until((demo.parent / "results" / ".evaljobs.lock").exists)
    code, output = start(demo).wait()
    assert code == 2
    assert "another run is writing" in output
    code, output = first.wait()
    assert code == 0, output


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 600 KB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=600k", "none", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"needs the right to mount: {mounted.stderr.decode()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.root
def test_full_disk_ends_the_run_and_loses_nothing(
    demo: Path, start: Start, small_disk: Path, undisturbed: dict[str, Any]
) -> None:
    """A store on a full disk: exit code 4, the reason, no traceback; with room again, it goes on."""
    code, output = start(demo, "--set", f"store={small_disk}").wait()
    assert code == 4, output
    assert "the disk is full" in output
    assert "Traceback" not in output
    assert not (demo.parent / "results" / "results.json").exists()
    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    code, output = start(demo, "--set", f"store={small_disk}").wait()
    assert code == 0, output
    results, computed = results_of(demo)
    assert json.dumps(results) == json.dumps({k: v for k, v in undisturbed.items() if k != "computed"})
    assert computed["rows_embedded"] < undisturbed["computed"]["rows_embedded"]


@pytest.mark.root
def test_results_on_a_full_disk(demo: Path, start: Start, small_disk: Path) -> None:
    """An output folder on a full disk: exit code 4 and the reason, never half a file under its final name."""
    (small_disk / "filler").write_bytes(bytes(580 * 1024))
    code, output = start(demo, "--out", str(small_disk / "out")).wait()
    assert code == 4, output
    assert "Traceback" not in output
    assert not (small_disk / "out" / "results.json").exists()
