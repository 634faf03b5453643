"""A Ray whose metrics can be read, and a run on it."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.faults.workload import write_workload

# Between two reports of a process; a gauge that is not set again is forgotten after two of them.
REPORT_S = 4
ENVIRONMENT = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_metrics_report_interval_ms": str(1000 * REPORT_S),
}
HOSTILE = 'quo"te\nnew\\line'


class Series(NamedTuple):
    """One sample of Prometheus."""

    labels: Mapping[str, str]
    value: float


class Head:
    """A Ray of its own process, and what Prometheus would read there."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.watching.head_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **ENVIRONMENT},
            text=True,
        )
        assert self._process.stdout is not None
        found = json.loads(self._process.stdout.readline())
        self.address: str = found["address"]
        self._metrics: str = found["metrics"]

    def scrape(self) -> dict[str, list[Series]]:
        """Return the metrics of evaljobs, by the names of their samples."""
        connection = http.client.HTTPConnection(self._metrics, timeout=20)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        found: dict[str, list[Series]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name.startswith("ray_evaljobs_"):
                    found.setdefault(sample.name, []).append(Series(sample.labels, sample.value))
        return found

    def shutdown(self) -> None:
        """End it."""
        self._process.communicate("", timeout=240)


class Ran(NamedTuple):
    """What a run in a process of its own left."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    """A real Ray that reports its metrics every second."""
    started = Head()
    yield started
    started.shutdown()


def evaljobs(*arguments: str | Path, **environment: str) -> Ran:
    """Carry a command out in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "evaljobs", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **ENVIRONMENT, **environment},
        timeout=240,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def python(*arguments: str) -> subprocess.Popen[str]:
    """Start a program in a process of its own."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **ENVIRONMENT},
        text=True,
    )


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three good models, one with a name that breaks lines and one that is no model, and an image that is none."""
    path = write_workload(tmp_path_factory.mktemp("watched"), images=96, models=3)
    models = path.parent / "models"
    (models / "model2.onnx").rename(models / f"{HOSTILE}.onnx")
    (models / "no-model.onnx").write_bytes(b"nothing")
    (path.parent / "images" / "label0" / "bad.png").write_bytes(b"nothing")
    with path.open("a", encoding="utf-8") as file:
        file.write("name: watched\nmax_failed_images: 0.5\n")
    return path


def results(config: Path) -> dict[str, Any]:
    """Return results.json."""
    found = json.loads((config.parent / "results" / "results.json").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found
