"""The project's cluster.yaml on one machine: Ray's fake provider in place of AWS, all else as it is written."""

from __future__ import annotations

import contextlib
import copy
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import yaml
from ray.autoscaler._private.fake_multi_node.node_provider import FAKE_HEAD_NODE_ID

from raycluster.access.servers import Server, find_server
from raycluster.access.web import get_json
from raycluster.errors import ClusterError

ROOT = Path(__file__).parents[3]
IDLE_S = 4
_UP_S = 300
# What AWS says of these machines, which Ray asks it for; memory is left to Ray.
SIZES = {"m7i.xlarge": {"CPU": 4}, "g6.2xlarge": {"CPU": 8, "GPU": 1}, "c7i.4xlarge": {"CPU": 16}}
# The fake provider knows the head by this name alone.
_HEAD = "ray.head.default"


class FakeCloud(NamedTuple):
    """A head whose autoscaler starts processes in place of machines."""

    server: Server
    types: dict[str, Any]


def on_fake_machines(config: dict[str, Any], gcs: str) -> dict[str, Any]:
    """Return a cluster's file with fake machines, and workers that go after a few seconds."""
    changed = copy.deepcopy(config)
    changed["provider"] = {
        "type": "external",
        "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
        "gcs_address": gcs,
        "head_node_id": FAKE_HEAD_NODE_ID,
        "launch_multiple": True,
    }
    types = changed["available_node_types"]
    for name, one in types.items():
        sizes = SIZES[one["node_config"].pop("InstanceType")]
        one |= {"resources": {**sizes, **one["resources"]}, "node_config": {}}
        if name != changed["head_node_type"]:
            one["idle_timeout_s"] = IDLE_S
    types[_HEAD] = types.pop(changed["head_node_type"])
    changed["head_node_type"] = _HEAD
    # They would set up machines; nothing of it is true of this one.
    lists = ("initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands")
    lists += ("head_start_ray_commands", "worker_start_ray_commands", "rsync_exclude", "cluster_synced_files")
    return changed | {name: [] for name in lists} | {"file_mounts": {}, "auth": {}}


@contextlib.contextmanager
def fake_cloud() -> Iterator[FakeCloud]:
    """Start a head with the project's own types of machines; end it with all that it has started."""
    gcs, dashboard = _free_port(), _free_port()
    with tempfile.TemporaryDirectory(prefix="fake-", dir="/tmp") as folder:
        config = yaml.safe_load((ROOT / "cluster.yaml").read_text(encoding="utf-8"))
        changed = on_fake_machines(config, f"127.0.0.1:{gcs}")
        path = Path(folder, "cluster.yaml")
        path.write_text(yaml.safe_dump(changed), encoding="utf-8")
        words = (
            f"start --head --block --disable-usage-stats --num-cpus=0 --num-gpus=0 --object-store-memory={80 * 2**20}"
        )
        words += f" --port={gcs} --node-ip-address=127.0.0.1 --dashboard-host=127.0.0.1 --dashboard-port={dashboard}"
        words += f" --min-worker-port=0 --max-worker-port=0 --dashboard-agent-listen-port=0 --temp-dir={folder}/ray"
        words += f" --ray-client-server-port={_free_port()} --autoscaling-config={path}"
        settings = {
            "RAY_AUTH_MODE": "token",
            "RAY_FAKE_CLUSTER": "1",
            "RAY_enable_autoscaler_v2": "1",
            "RAY_CLOUD_INSTANCE_ID": FAKE_HEAD_NODE_ID,
            "RAY_OVERRIDE_NODE_ID_FOR_TESTING": FAKE_HEAD_NODE_ID,
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        with Path(folder, "log").open("wb") as log:
            head = subprocess.Popen(
                [sys.executable, "-m", "ray.scripts.scripts", *words.split()],
                env={**os.environ, **settings},
                stdout=log,
                stderr=log,
            )
        try:
            server = find_server(f"http://127.0.0.1:{dashboard}")
            _wait(server, head, Path(folder, "log"))
            yield FakeCloud(server, changed["available_node_types"])
        finally:
            _end(head, folder)


def _wait(server: Server, head: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _UP_S
    while time.monotonic() < deadline:
        assert head.poll() is None, log.read_text()
        with contextlib.suppress(ClusterError):
            if get_json(server, "/nodes", {"view": "summary"})["data"]["summary"]:
                return
        time.sleep(0.3)
    raise AssertionError(log.read_text())


def _end(head: subprocess.Popen[bytes], folder: str) -> None:
    """End the head, and the machines, which are processes that do not end with it."""
    head.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        head.wait(timeout=20)
    own = [p for p in psutil.process_iter(["cmdline"]) if any(folder in word for word in p.info["cmdline"] or ())]
    family = {child for process in own for child in [process, *process.children(recursive=True)]}
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(list(family), timeout=10)
    head.wait(timeout=10)  # where it did not end by itself: only now it is known to have ended


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
