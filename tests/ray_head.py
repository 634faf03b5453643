"""A real Ray head with dashboard and token on this machine, in processes of its own, for one test session."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil

_START_S = 200.0
_STOP_S = 30.0
_MEMORY = 80 * 2**20
_SETTINGS = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # A loaded machine is no reason to kill the driver.
    "RAY_memory_monitor_refresh_ms": "0",
}
# Of the session of tests, or of a shell: they would say which cluster and which token.
_LEFT_OUT = ("RAY_AUTH_TOKEN", "RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_JOB_CONFIG_JSON_ENV_VAR")


class RayHead:
    """A head of two CPUs, with ports, a token and a folder of its own; killed and started again, it has forgotten all.

    Attributes
    ----------
    address
        Of its dashboard, with the job server.
    token, token_file
        The token, and the file that holds it.
    """

    def __init__(self) -> None:
        self._gcs, dashboard = _free_port(), _free_port()
        self._dashboard = dashboard
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.address = f"http://127.0.0.1:{dashboard}"
        self.token = secrets.token_hex(32)

    @property
    def token_file(self) -> Path:
        """Readable by this user alone, as Ray wants it."""
        path = self._place() / "token"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(self.token)
        return path

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to talk to it, in place of what this one has."""
        kept = {name: value for name, value in os.environ.items() if name not in _LEFT_OUT}
        return {**kept, **_SETTINGS, "RAY_AUTH_TOKEN_PATH": str(self.token_file)}

    def start(self) -> None:
        """Start it, where it does not run, and wait until its job server answers."""
        if self._process is not None:
            return
        scripts = sysconfig.get_path("scripts")
        environment = {**self.environment, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
        with (self._place() / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(Path(scripts) / "ray"), "start", "--head", "--block", *self._options()],
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - one call to the kernel, and nothing of Python's
            )
        self._wait(self._process)

    def kill(self) -> None:
        """Kill all of its processes at once, as a power cut would."""
        several = self._processes()
        for process in several:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(several, timeout=_STOP_S)
        if self._process is not None:
            self._process.wait()
        self._process = None

    def close(self) -> None:
        """End it, and delete what it has left.

        By SIGKILL: drivers of jobs do not end with their head, which would be waited for in vain.
        """
        self.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _processes(self) -> list[psutil.Process]:
        try:
            own = psutil.Process(-1 if self._process is None else self._process.pid)
            return [own, *own.children(recursive=True)]
        except (psutil.NoSuchProcess, ValueError):
            return []

    def _place(self) -> Path:
        if self._folder is None:
            # Short: sockets lie in it, whose paths the kernel limits.
            self._folder = Path(tempfile.mkdtemp(prefix="rh-", dir="/tmp"))
        return self._folder

    def _options(self) -> list[str]:
        options = {
            "node-ip-address": "127.0.0.1",
            "port": self._gcs,
            "num-cpus": 2,
            "num-gpus": 0,
            "object-store-memory": _MEMORY,
            "include-dashboard": "true",
            "dashboard-host": "127.0.0.1",
            "dashboard-port": self._dashboard,
            "dashboard-agent-listen-port": 0,
            "ray-client-server-port": _free_port(),
            "min-worker-port": 0,
            "max-worker-port": 0,
            "temp-dir": self._place() / "r",
        }
        return ["--disable-usage-stats", *(f"--{name}={value}" for name, value in options.items())]

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_S
        while not self._serves():
            if process.poll() is not None or time.monotonic() > deadline:
                log = (self._place() / "log").read_text()[-3000:]
                self.kill()
                raise RuntimeError(f"the head did not start:\n{log}")
            time.sleep(0.2)

    def _serves(self) -> bool:
        """Whether the job server has found the agent that starts jobs."""
        request = urllib.request.Request(  # noqa: S310 - our own http
            f"{self.address}/api/jobs/", headers={"Authorization": f"Bearer {self.token}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own http
                return bool(answer.status == 200)
        except (OSError, urllib.error.HTTPError):
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end_with_parent() -> None:
    """Let the kernel end the head when the test session is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
