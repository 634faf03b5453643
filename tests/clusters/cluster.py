"""A Ray cluster on machines of its own: a head without work, and workers of one CPU, with a token."""

from __future__ import annotations

import json
import os
import secrets
import sysconfig
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tests.clusters.network import Machine

_MEMORY = 80 * 2**20
_UP_S = 300.0
_GCS, _DASHBOARD = 6379, 8265
# Of the session of tests, or of a shell: they would say which cluster and which token.
_LEFT_OUT = ("RAY_AUTH_TOKEN", "RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_JOB_CONFIG_JSON_ENV_VAR")
_SETTINGS = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # A loaded machine is no reason to kill the driver.
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_raylet_start_wait_time_s": "120",
    # A dead node is known for one after five seconds, in place of half a minute.
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "5",
}


class NetworkCluster:
    """A cluster whose nodes are machines.

    Attributes
    ----------
    url
        Of its job server, as this machine reaches it.
    environment
        What a process needs in its environment to talk to it.
    """

    def __init__(self, head: Machine, workers: list[Machine], folder: Path) -> None:
        self._head = head
        self._folder = folder
        # Where each node keeps its own files; on one path for all, one deletes what another needs.
        self._own = folder / "r"
        token = folder / "token"
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        self.url = f"http://{head.address}:{_DASHBOARD}"
        kept = {name: value for name, value in os.environ.items() if name not in _LEFT_OUT}
        self.environment = {
            **kept,
            **_SETTINGS,
            "RAY_AUTH_TOKEN_PATH": str(token),
            "PATH": f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}",
        }
        self.start_head()
        for worker in workers:
            self.add(worker)

    def start_head(self) -> None:
        """Start the head, which knows nothing of an earlier one, and wait until its job server answers."""
        options = {
            "port": _GCS,
            "num-cpus": 0,
            "include-dashboard": "true",
            "dashboard-host": self._head.address,
            "dashboard-port": _DASHBOARD,
            "temp-dir": self._own,
        }
        self._start(self._head, "--head", *(f"--{name}={value}" for name, value in options.items()))
        self._until(self._serves, "the head")

    def add(self, worker: Machine) -> None:
        """Start a node on a machine, and wait until the head knows it."""
        self._start(worker, f"--address={self._head.address}:{_GCS}", "--num-cpus=1")
        self._until(lambda: worker.address in self.alive(), worker.name)

    def alive(self) -> set[str]:
        """Return the addresses of the nodes that are alive, the head's included."""
        nodes = json.loads(self._ask("/api/v0/nodes"))["data"]["result"]["result"]
        return {node["node_ip"] for node in nodes if node["state"] == "ALIVE"}

    def _start(self, machine: Machine, *options: str) -> None:
        command = ["ray", "start", "--block", "--disable-usage-stats", f"--node-ip-address={machine.address}"]
        size = [f"--object-store-memory={_MEMORY}", *options]
        machine.start([*command, *size], self._own, self._folder / f"{machine.name}.log", self.environment)

    def _ask(self, path: str) -> bytes:
        token = Path(self.environment["RAY_AUTH_TOKEN_PATH"]).read_text()
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {token}"})  # noqa: S310 - our own http
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own http
            return bytes(answer.read())

    def _serves(self) -> bool:
        try:
            return bool(self._ask("/api/jobs/"))
        except OSError:
            return False

    def _until(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _UP_S
        while not done():
            if time.monotonic() > deadline:
                logs = "\n".join(path.read_text()[-2000:] for path in sorted(self._folder.glob("*.log")))
                raise RuntimeError(f"{what} did not come up:\n{logs}")
            time.sleep(0.2)
