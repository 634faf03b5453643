"""The head that was left running: found while it runs, and only then."""

from __future__ import annotations

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
def folder(tmp_path: Path) -> Path:
    """A head's folder."""
    (tmp_path / "raycluster-x").mkdir()
    return tmp_path / "raycluster-x"


@pytest.fixture
def process(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that sleeps in the head's folder."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"], cwd=folder)
    yield process
    process.kill()
    process.wait()


def _head(pid: int, folder: Path) -> LocalHead:
    return LocalHead(pid, "127.0.0.1:6379", "http://127.0.0.1:8265", str(folder))


def test_head_is_found_while_it_runs(state: Path, folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Other commands of this user find it without being told; when it is gone they are told to start one."""
    remember(_head(process.pid, folder))
    assert stat.S_IMODE((state / "local-head.json").stat().st_mode) == 0o600
    assert local_head() == _head(process.pid, folder)
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


def test_another_process_of_that_number_is_not_the_head(tmp_path: Path, process: subprocess.Popen[bytes]) -> None:
    """Numbers come again: `down` must not end a stranger."""
    remember(_head(process.pid, tmp_path / "raycluster-other"))
    assert local_head() is None
    remember(_head(1, tmp_path / "raycluster-x"))
    assert local_head() is None


def test_head_is_the_same_when_the_clock_is_set(
    folder: Path, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start of a process is told by the clock: set by an hour, a head that runs must not be given up."""
    remember(_head(process.pid, folder))
    before = psutil.Process(process.pid).create_time()
    monkeypatch.setattr(psutil.Process, "create_time", lambda _: before - 3600)
    found = local_head()
    assert found is not None
    assert found.pid == process.pid


@pytest.mark.parametrize("folder", ["/", "/var", "/home/me", "", 5])
def test_folder_of_nobodys_is_no_heads(state: Path, folder: object) -> None:
    """A damaged file must not make `down` end all that this user runs."""
    state.mkdir(parents=True)
    found = {"version": 1, "pid": os.getpid(), "address": "x", "dashboard": "x", "folder": folder}
    (state / "local-head.json").write_text(json.dumps(found))
    with pytest.raises(ClusterError, match=r"local-head\.json.*delete it"):
        remembered_head()


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
    remember(_head(os.getpid(), state))
    found = json.loads((state / "local-head.json").read_text())
    assert set(found) == {"version", "pid", "address", "dashboard", "folder"}
    assert "s3cret" not in str(found)


def test_relative_state_folder_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the specification of these folders says."""
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert state_folder() == Path.home() / ".local" / "state" / "raycluster"
