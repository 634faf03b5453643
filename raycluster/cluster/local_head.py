"""A head on this machine that outlives the command: started, found again, ended.

It listens on loopback alone and wants a token. It is ended by the process that was remembered, never by `ray stop`,
which ends every Ray on the machine.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
from filelock import FileLock, Timeout

from raycluster.access.remembered import (
    FOLDER_PREFIX,
    LocalHead,
    forget,
    local_head,
    remember,
    remembered_head,
    state_folder,
)
from raycluster.access.servers import Server, find_server
from raycluster.access.tokens import MODE, ensure_token
from raycluster.access.web import get_json
from raycluster.errors import ClusterError, DeniedError

HOST = "127.0.0.1"
# Without the second, Ray takes the machine's address in place of loopback, and its processes listen everywhere. It is
# Ray's way on laptops: a cluster of one machine.
_SETTINGS = {
    MODE: "token",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    # What a later Ray does anyway, and this one warns about.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
# A busy machine takes longer than the usual ten seconds.
_UP_S = 120.0
_DOWN_S = 20.0
_KILL_S = 10.0
_POLL_S = 0.2
_LOG = "head.log"
_TOLD_LINES = 5
# Of the socket's path, which the kernel limits: a folder of its own, short, and closed to others.
_FOLDERS = "/tmp"  # noqa: S108 - private folders in it


class Size(NamedTuple):
    """What the head may use. None: all of the machine, or Ray's own choice."""

    cpus: int | None = None
    gpus: int | None = None
    object_store_mb: int | None = None


class Ports(NamedTuple):
    """Where the head listens, on loopback."""

    gcs: int = 6379
    dashboard: int = 8265


class Started(NamedTuple):
    """A head, and whether it was there already."""

    head: LocalHead
    already: bool


def start_head(size: Size = Size(), ports: Ports = Ports()) -> Started:  # noqa: B008 - both are constants
    """Start a head on this machine, or return the one that runs; it stays when this process ends.

    Raises
    ------
    ClusterError
        If a port is taken, or Ray does not start; nothing is left running then.
    """
    with _alone():
        if (running := local_head()) is not None:
            return Started(running, already=True)
        ensure_token()
        for port in ports:
            _must_be_free(port)
        folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=_FOLDERS))
        process = _launch(_command(size, ports, folder), folder)
        head = LocalHead(
            pid=process.pid,
            address=f"{HOST}:{ports.gcs}",
            dashboard=f"http://{HOST}:{ports.dashboard}",
            folder=str(folder),
        )
        try:
            # Before it is ready: whoever is killed in between can still end it by `down`.
            remember(head)
            _wait_until_up(head, process)
        except BaseException:
            _end(head)
            # It is this process's own: nobody else takes note of its end. Its threads may outlive its first one.
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_KILL_S)
            raise
    return Started(head, already=False)


def stop_head() -> LocalHead | None:
    """End the head that was started here, and nothing else; return it, or None where there is none.

    Raises
    ------
    ClusterError
        If its processes do not end.
    """
    with _alone():
        head = remembered_head()
        if head is None:
            return None
        alive = head.alive()
        _end(head)
        return head if alive else None


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Let one command at a time start or end the head."""
    folder = state_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with FileLock(folder / "local-head.lock", timeout=_UP_S):
            yield
    except Timeout:
        raise ClusterError("another raycluster command is starting or ending the head on this machine") from None
    except OSError as error:
        raise ClusterError(
            f"no head can be started or ended on this machine: {error}; state lies in {folder}"
        ) from error


def _must_be_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise ClusterError(
                f"port {port} of this machine cannot be used: {error}. Another Ray may run here; choose others with "
                "--port and --dashboard-port"
            ) from None


def _command(size: Size, ports: Ports, folder: Path) -> list[str]:
    asked = {
        "num-cpus": size.cpus,
        "num-gpus": size.gpus,
        "object-store-memory": size.object_store_mb * 2**20 if size.object_store_mb else None,
        "node-ip-address": HOST,
        "port": ports.gcs,
        "include-dashboard": "true",
        "dashboard-host": HOST,
        "dashboard-port": ports.dashboard,
        # Any free one: the usual ones may be another Ray's.
        "dashboard-agent-listen-port": 0,
        "ray-client-server-port": _free_port(),
        "min-worker-port": 0,
        "max-worker-port": 0,
        # Ray opens its own folder, with the sockets of the object store in it, to every user of the machine.
        "temp-dir": folder / "ray",
    }
    options = [f"--{name}={value}" for name, value in asked.items() if value is not None]
    return [
        sys.executable,
        "-m",
        "ray.scripts.scripts",
        "start",
        "--head",
        "--block",
        "--disable-usage-stats",
        *options,
    ]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _launch(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Start a process that neither this one's end nor its terminal's ends."""
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    # Jobs find `python` there: the one that has the program, whether its virtual environment is activated or not.
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.defpath)])
    with (folder / _LOG).open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - Ray's own command, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment | _SETTINGS,
            cwd=folder,
        )


def _wait_until_up(head: LocalHead, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _UP_S
    server = find_server(head.dashboard)
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ClusterError(f"Ray ended while it started, with exit code {process.returncode}:\n{_told(head)}")
        # Not before the node itself is known: a job that is sent earlier finds no place.
        if _knows_nodes(server):
            return
        time.sleep(_POLL_S)
    raise ClusterError(f"Ray has not started within {_UP_S:.0f} s:\n{_told(head)}")


def _knows_nodes(server: Server) -> bool:
    try:
        found = get_json(server, "/nodes", {"view": "summary"}, timeout_s=_KILL_S)
    except DeniedError:
        raise  # somebody else's server: waiting would not help
    except ClusterError:
        return False
    return bool(found.get("data", {}).get("summary"))


def _told(head: LocalHead) -> str:
    """Return the last lines that Ray printed, without stacks."""
    text = Path(head.folder, _LOG).read_text(encoding="utf-8", errors="replace")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith((" ", "Traceback"))]
    return "\n".join(f"  {line}" for line in lines[-_TOLD_LINES:])


def _end(head: LocalHead) -> None:
    """End the head's process and all that belongs to it, and remove what it leaves."""
    family = _family(head)
    if head.alive():
        with contextlib.suppress(ProcessLookupError):
            os.kill(head.pid, signal.SIGTERM)
        _left(family, _DOWN_S)
    # What its own process has not ended, or left behind when it was killed.
    left = _left({*family, *_holders(head)}, 0)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    if left := _left(left, _KILL_S):
        names = ", ".join(str(process.pid) for process in left)
        raise ClusterError(f"process(es) {names} of the head on this machine do not end, not even by SIGKILL")
    shutil.rmtree(head.folder, ignore_errors=True)
    forget()


def _left(processes: Iterable[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    """Wait for processes, and return those that have not ended by then."""
    deadline = time.monotonic() + timeout_s
    while (left := [process for process in processes if _runs(process)]) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return left


def _runs(process: psutil.Process) -> bool:
    """Whether a process runs: one that nobody has waited for, as in a container without an init process, does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _family(head: LocalHead) -> list[psutil.Process]:
    if not head.alive():
        return []
    root = psutil.Process(head.pid)
    return [root, *root.children(recursive=True)]


def _holders(head: LocalHead) -> list[psutil.Process]:
    """Return the processes of a head by its folder, in which all of them were started; nothing else knows its name.

    None has a terminal: a shell that looks at the log there is not the head's, nor is whoever called this.
    """
    own = {os.getpid(), *(process.pid for process in psutil.Process().parents())}
    found = [process for process in psutil.process_iter() if process.pid not in own and head.holds(process)]
    return [process for process in found if not _has_terminal(process)]


def _has_terminal(process: psutil.Process) -> bool:
    try:
        return process.terminal() is not None
    except psutil.Error:  # gone
        return True
