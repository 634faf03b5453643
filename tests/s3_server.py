"""A real S3 server on this machine: SeaweedFS, for one test session."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import json
import os
import random
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

from botocore.exceptions import ReadTimeoutError

from evaljobs.remote.connection import connection

ACCESS_KEY = "evaljobs-tests-access-key"
SECRET_KEY = "evaljobs-tests-secret-key-found-nowhere"  # noqa: S105 - of a server that only this machine reaches
_ACTIONS = ["Admin", "Read", "Write", "List", "Tagging"]

_START_S = 180.0
# gRPC listens 10,000 above each port. All stay below the ports that systems give to clients.
_PORTS = range(11000, 22000)
_GRPC = 10000


class S3Server:
    """A server with ports and a folder of its own; killed and started again, it has the same data.

    Attributes
    ----------
    endpoint
        Its URL.
    environment
        What a process needs in its environment to use it.
    """

    def __init__(self) -> None:
        self._s3, self._master, self._volume, self._filer = _free_ports(4)
        self._folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count()
        self.endpoint = f"http://127.0.0.1:{self._s3}"
        self.environment = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
            # Nothing of this machine's own settings and roles.
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def start(self) -> None:
        """Start it, where it does not run, and wait until it serves."""
        if self._process is not None:
            return
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="evaljobs-s3-"))
            identity = {
                "name": "tests",
                "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
                "actions": _ACTIONS,
            }
            (self._folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
            (self._folder / "data").mkdir()
        # With its old state, a master that is alone waits 15 seconds for the votes of others.
        shutil.rmtree(self._folder / "data" / f"m{self._master}", ignore_errors=True)
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(self._folder),
                stdout=log,
                stderr=log,
                env=_environment(),
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - one call to the kernel, and nothing of Python's
            )
        self._wait(self._process, self._folder)

    def stop(self) -> None:
        """Kill it, as a power cut would; its data stay."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """End it and delete its data."""
        self.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        ports = {"s3": self._s3, "master": self._master, "volume": self._volume, "filer": self._filer}
        for name, port in ports.items():
            for socket_name in (f"{name}-{port}", f"{name}-grpc-{port + _GRPC}"):
                Path(f"/tmp/seaweedfs-{socket_name}.sock").unlink(missing_ok=True)  # noqa: S108 - its own choice

    def bucket(self) -> str:
        """Return the uri of a new, empty bucket."""
        self.start()
        try:
            return self._made()
        except ReadTimeoutError:  # seen once in thousands of buckets, on a machine under load: it answers no more
            self.stop()
            self.start()
            return self._made()

    def _made(self) -> str:
        name = f"bucket-{next(self._numbers)}"
        connection().send("create_bucket", Bucket=name)
        return f"s3://{name}"

    def _command(self, folder: Path) -> list[str]:
        options = {
            "dir": folder / "data",
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "master.port": self._master,
            "master.telemetry": "false",
            "master.volumeSizeLimitMB": 64,
            "volume.port": self._volume,
            "volume.max": 1000,
            "filer.port": self._filer,
            "s3.port": self._s3,
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "s3.config": folder / "s3.json",
        }
        weed = Path(sysconfig.get_path("scripts")) / "weed"
        return [str(weed), "server", "-filer", "-s3", *(f"-{key}={value}" for key, value in options.items())]

    def _wait(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        deadline = time.monotonic() + _START_S
        while not self._serves():
            if process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"SeaweedFS did not start:\n{(folder / 'log').read_text()[-3000:]}")
            time.sleep(0.05)

    def _serves(self) -> bool:
        """Whether the S3 door is open and there is somewhere to write to."""
        try:
            with contextlib.suppress(urllib.error.HTTPError):  # it answers: that is enough
                urllib.request.urlopen(self.endpoint, timeout=5).close()  # noqa: S310 - our own http
            with urllib.request.urlopen(f"http://127.0.0.1:{self._master}/dir/assign", timeout=5) as answer:
                return "fid" in json.load(answer)
        except OSError:
            return False


def _environment() -> dict[str, str]:
    """Return the server's environment, without our credentials, which it would take for an administrator's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    # One file of data for a bucket, not seven.
    return {**kept, "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}


def _free_ports(count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        port = random.choice(_PORTS)
        if port not in found and _is_free(port) and _is_free(port + _GRPC):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _end_with_parent() -> None:
    """Let the kernel end the server when the test session is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
