"""A head on this machine: it outlives its command, is reached by this user alone, and ends without a trace."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from raycluster.access.remembered import LocalHead, remember, remembered_head
from raycluster.access.servers import find_server
from raycluster.access.web import ask
from raycluster.cluster.local_head import Ports, Size, start_head
from raycluster.errors import ClusterError, DeniedError
from tests.raycluster import command_line

SMALL = ["--cpus", "1", "--gpus", "0", "--object-store-mb", "80"]
_TIMEOUT_S = 240


class Here(NamedTuple):
    """Where commands of these tests keep what they remember."""

    environment: dict[str, str]
    gcs: int
    dashboard: int

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command in a process of its own."""
        return subprocess.run(
            [sys.executable, "-c", "from raycluster.cli import main; main()", *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )

    def status(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Ask how the head is."""
        return command_line.run("status", *words, environment=self.environment)

    def up(self) -> subprocess.CompletedProcess[str]:
        """Start the head, or find it."""
        return self.run("up", "--local", "--port", str(self.gcs), "--dashboard-port", str(self.dashboard), *SMALL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    """A user who has no token yet, and whose terminal knows nothing of any cluster."""
    folder = tmp_path_factory.mktemp("user")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    found = Here(
        kept | {"XDG_STATE_HOME": str(folder), "RAY_AUTH_TOKEN_PATH": str(folder / "token")}, _free_port(), _free_port()
    )
    yield found
    assert found.run("down", "--local").returncode == 0


@pytest.fixture(scope="module")
def head(here: Here) -> psutil.Process:
    """A head that was started by a command which has ended."""
    done = here.up()
    assert done.returncode == 0, done.stderr
    assert f"http://127.0.0.1:{here.dashboard}" in done.stdout
    return psutil.Process(_remembered(here)["pid"])


def _remembered(here: Here) -> dict[str, Any]:
    path = Path(here.environment["XDG_STATE_HOME"], "raycluster", "local-head.json")
    found = json.loads(path.read_text())
    assert isinstance(found, dict)
    return found


def _family(head: psutil.Process) -> list[psutil.Process]:
    return [head, *head.children(recursive=True)]


@pytest.mark.slow
def test_head_listens_on_loopback_alone(head: psutil.Process) -> None:
    """Whoever reaches the machine by its network finds no door at all: neither the dashboard nor Ray's own ports."""
    deadline = time.monotonic() + 180
    listening: list[str] = []
    # Its agents open their ports some seconds after the head is known.
    while time.monotonic() < deadline and len(listening) < 6:
        found = [c for process in _family(head) for c in _connections(process) if c.status == psutil.CONN_LISTEN]
        listening = [connection.laddr.ip for connection in found]
        time.sleep(0.2)
    assert len(listening) >= 6
    assert set(listening) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def _connections(process: psutil.Process) -> list[Any]:
    try:
        return list(process.net_connections("tcp"))
    except psutil.NoSuchProcess:
        return []


@pytest.mark.slow
def test_head_wants_the_token_that_was_made(here: Here, head: psutil.Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, or with another, nobody learns anything; it stands in no command line of the head."""
    path = Path(here.environment["RAY_AUTH_TOKEN_PATH"])
    token = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    # Ray's sockets, by which every local user could read its memory, lie behind a door of our own.
    assert Path(_remembered(here)["folder"]).stat().st_mode & 0o777 == 0o700
    lines = [word for process in _family(head) for word in process.cmdline()]
    assert lines
    assert not any(token in word for word in lines)
    address = f"http://127.0.0.1:{here.dashboard}"
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(path))
    assert ask(find_server(address), "GET", "/api/jobs/").status == 200
    monkeypatch.setenv("RAY_AUTH_TOKEN", "another")
    with pytest.raises(DeniedError):
        ask(find_server(address), "GET", "/api/jobs/")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(DeniedError):
        ask(find_server(address), "GET", "/api/jobs/")


@pytest.mark.slow
def test_head_that_runs_is_found_again(here: Here, head: psutil.Process) -> None:
    """A second `up` starts nothing; `status` needs no address."""
    again = here.up()
    assert "already" in again.stdout
    assert _remembered(here)["pid"] == head.pid
    found = here.status("--json")
    assert found.returncode == 0, found.stderr
    state = json.loads(found.stdout)
    assert state["version"] == 1
    (node,) = state["nodes"]
    assert (node["head"], node["alive"], node["total"]["CPU"]) == (True, True, 1.0)
    assert (state["jobs"], state["waiting"]) == ([], [])
    assert "1" in here.status().stdout


_BESIDE = """
import sys
from raycluster.connection.connect import connect
with connect(sys.argv[1]) as cluster:
    print(cluster.nodes, cluster.cpus, cluster.embedded)
"""


@pytest.mark.slow
def test_program_beside_the_head_joins_it(here: Here, head: psutil.Process) -> None:
    """By its own address, as `evaljobs run --address` does: over loopback, with the user's token."""
    assert head.is_running()
    command = [sys.executable, "-c", _BESIDE, f"127.0.0.1:{here.gcs}"]
    done = subprocess.run(
        command, env=here.environment, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )
    assert (done.returncode, done.stdout) == (0, "1 1 False\n"), done.stderr


@pytest.mark.slow
def test_port_that_is_taken_is_said(here: Here, head: psutil.Process, tmp_path: Path) -> None:
    """Another user's head, or another program, is not disturbed; nothing is left behind."""
    assert head.is_running()
    environment = here.environment | {"XDG_STATE_HOME": str(tmp_path)}
    done = here._replace(environment=environment).up()
    assert done.returncode == 2
    assert f"port {here.gcs} of this machine cannot be used" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "raycluster" / "local-head.json").exists()


@pytest.mark.slow
def test_killed_head_leaves_nothing_behind(here: Here, head: psutil.Process) -> None:
    """Killed without a word, its processes and files are found by their folder. The last with this head: it ends it."""
    family = _family(head)
    folder = Path(_remembered(here)["folder"])
    assert folder.is_dir()
    head.send_signal(signal.SIGKILL)
    down = here.run("down", "--local")
    assert down.returncode == 0, down.stderr
    _, left = psutil.wait_procs(family, timeout=120)
    assert left == []
    assert not folder.exists()
    assert here.run("down", "--local").stdout == "no head of yours runs on this machine\n"
    lost = here.status()
    assert lost.returncode == 2
    assert "raycluster up --local" in lost.stderr


def test_head_that_does_not_start_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Ray says is shown, and no process, folder or memory of it stays."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("RAY_AUTH_TOKEN", "x" * 16)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    folders = tmp_path / "folders"
    folders.mkdir()
    monkeypatch.setattr("raycluster.cluster.local_head._FOLDERS", str(folders))
    with pytest.raises(ClusterError, match=r"(?s)Ray ended while it started.*AF_UNIX") as caught:
        # A folder whose name is longer than the path of a socket may be.
        start_head(Size(1, 0, 80), Ports(_free_port(), _free_port()))
    assert "Traceback" not in str(caught.value)
    assert remembered_head() is None
    assert list(folders.iterdir()) == []


def test_only_what_is_the_heads_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed head has left goes; a shell that looks at its log stays, and so does whoever calls `down`."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = tmp_path / "raycluster-x"
    folder.mkdir()
    gone = subprocess.Popen(["true"])
    gone.wait()
    remember(LocalHead(gone.pid, "127.0.0.1:1", "http://127.0.0.1:1", str(folder)))
    left = subprocess.Popen(["sleep", "100"], cwd=folder, start_new_session=True)
    master, slave = os.openpty()
    # The leader of a session that opens a terminal has it.
    reader = subprocess.Popen(["sh", "-c", f"exec sleep 100 < {os.ttyname(slave)}"], cwd=folder, start_new_session=True)
    try:
        _wait_for(lambda: psutil.Process(reader.pid).terminal() is not None)
        script = f"{sys.executable} -m raycluster down --local; echo still here"
        down = subprocess.run(["sh", "-c", script], cwd=folder, capture_output=True, text=True, check=False, timeout=60)
        assert down.stdout == "no head of yours runs on this machine\nstill here\n", down.stderr
        assert left.wait(60) == -signal.SIGKILL
        assert reader.poll() is None
        assert not folder.exists()
    finally:
        for process in (left, reader):
            process.kill()
            process.wait()
        os.close(master)
        os.close(slave)


def _wait_for(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_head_that_cannot_be_remembered_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full just then: nobody could find the head, so none is left running."""

    def full(_: LocalHead) -> None:
        raise ClusterError("no space left")

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("RAY_AUTH_TOKEN", "x" * 16)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    folders = tmp_path / "folders"
    folders.mkdir()
    monkeypatch.setattr("raycluster.cluster.local_head._FOLDERS", str(folders))
    monkeypatch.setattr("raycluster.cluster.local_head.remember", full)
    with pytest.raises(ClusterError, match="no space left"):
        start_head(Size(1, 0, 80), Ports(_free_port(), _free_port()))
    assert list(folders.iterdir()) == []
    inside = LocalHead(0, "", "", str(folders))
    assert [process for process in psutil.process_iter() if inside.holds(process)] == []
