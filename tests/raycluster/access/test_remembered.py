"""The head that was left running: found while it runs, and only then."""

from __future__ import annotations

import dataclasses
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from raycluster.access.remembered import LocalHead, forget, local_head, remember, remembered_head, state_folder
from raycluster.access.servers import find_server
from raycluster.errors import ClusterError


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of its own."""
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "raycluster"


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that sleeps."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
    yield process
    process.kill()
    process.wait()


def _head(pid: int) -> LocalHead:
    started = psutil.Process(pid).create_time()
    return LocalHead(pid, started, "127.0.0.1:6379", "http://127.0.0.1:8265", "folder")


def test_head_is_found_while_it_runs(state: Path, process: subprocess.Popen[bytes]) -> None:
    """Other commands of this user find it without being told; when it is gone they are told to start one."""
    remember(_head(process.pid))
    assert stat.S_IMODE((state / "local-head.json").stat().st_mode) == 0o600
    assert local_head() == _head(process.pid)
    assert find_server().url == "http://127.0.0.1:8265"
    process.kill()
    process.wait()
    assert local_head() is None
    assert remembered_head() is not None
    with pytest.raises(ClusterError, match="up --local"):
        find_server()
    forget()
    forget()
    assert remembered_head() is None


def test_another_process_of_that_number_is_not_the_head(process: subprocess.Popen[bytes]) -> None:
    """Numbers come again: `down` must not end a stranger."""
    remember(dataclasses.replace(_head(process.pid), started=_head(process.pid).started - 1000))
    assert local_head() is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"version": 99}', '{"version": 1}', '{"version": 1, "pid": 1, "x": 2}']
)
def test_damaged_state_is_said(state: Path, text: str) -> None:
    """Never a traceback, and never a guess: the file is named, with what to do."""
    state.mkdir(parents=True)
    (state / "local-head.json").write_text(text)
    with pytest.raises(ClusterError, match=r"local-head\.json.*delete it"):
        local_head()


def test_state_holds_no_secret(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the head is, and nothing that opens it."""
    monkeypatch.setenv("RAY_AUTH_TOKEN", "s3cret-value")
    remember(_head(os.getpid()))
    found = json.loads((state / "local-head.json").read_text())
    assert set(found) == {"version", "pid", "started", "address", "dashboard", "folder"}
    assert "s3cret" not in str(found)


def test_relative_state_folder_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the specification of these folders says."""
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert state_folder() == Path.home() / ".local" / "state" / "raycluster"
