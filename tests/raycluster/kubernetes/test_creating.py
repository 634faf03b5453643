"""What the CronJob carries out: however often it is begun again, one RayJob for each time that is due."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from raycluster.errors import ClusterError
from raycluster.kubernetes.creating import Api, create

PATH = "/apis/ray.io/v1/namespaces/teams/rayjobs"
TEMPLATE: dict[str, Any] = {
    "apiVersion": "ray.io/v1",
    "kind": "RayJob",
    "metadata": {"labels": {"raycluster/schedule": "nightly"}},
    "spec": {},
}


class Kubernetes(ThreadingHTTPServer):
    """As much of Kubernetes' API for RayJobs as is asked here: create, get, list by label, over real HTTP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.rayjobs: dict[str, dict[str, Any]] = {}
        self.lose_answers = 0
        self.tokens: set[str | None] = set()
        self.installed = True

    @property
    def api(self) -> Api:
        """Return how it is reached."""
        return Api(f"http://127.0.0.1:{self.server_port}", "pods-token", None)

    def ended(self, name: str, state: str) -> None:
        """Let a RayJob reach a state."""
        self.rayjobs[name]["status"] = {"jobDeploymentStatus": state}


class _Handler(BaseHTTPRequestHandler):
    server: Kubernetes

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.server.tokens.add(self.headers["Authorization"])
        if not self.server.installed or not parts.path.startswith(PATH):
            self._answer(404, {})
        elif parts.path == PATH:
            label, _, value = parse_qs(parts.query)["labelSelector"][0].partition("=")
            several = [one for one in self.server.rayjobs.values() if one["metadata"]["labels"].get(label) == value]
            self._answer(200, {"items": several})
        else:
            found = self.server.rayjobs.get(parts.path.removeprefix(f"{PATH}/"))
            self._answer(200 if found else 404, found or {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = body["metadata"]["name"]
        if name in self.server.rayjobs:
            self._answer(409, {})
            return
        if not body["kind"]:
            self._answer(422, {"message": "no kind"})
            return
        self.server.rayjobs[name] = body
        if self.server.lose_answers:
            self.server.lose_answers -= 1
            self.close_connection = True
            self.connection.close()
            return
        self._answer(201, body)

    def _answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def kubernetes() -> Iterator[Kubernetes]:
    """A server of its own."""
    with Kubernetes() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_one_is_created_however_often_it_is_tried(kubernetes: Kubernetes) -> None:
    """A pod that died after it had created the run is begun again, and finds it."""
    assert create(kubernetes.api, "teams", TEMPLATE, "nightly-1", overlap=True) == "created nightly-1"
    assert create(kubernetes.api, "teams", TEMPLATE, "nightly-1", overlap=True) == "nightly-1 is there already"
    assert create(kubernetes.api, "teams", TEMPLATE, "nightly-1", overlap=False) == "nightly-1 is there already"
    assert list(kubernetes.rayjobs) == ["nightly-1"]
    assert kubernetes.rayjobs["nightly-1"]["metadata"] == {
        "labels": {"raycluster/schedule": "nightly"},
        "name": "nightly-1",
    }
    assert kubernetes.tokens == {"Bearer pods-token"}


def test_lost_answer_creates_no_second_run(kubernetes: Kubernetes) -> None:
    """Created, and the answer lost on its way: the pod fails, and its successor finds it."""
    kubernetes.lose_answers = 1
    with pytest.raises(ClusterError, match="does not answer"):
        create(kubernetes.api, "teams", TEMPLATE, "nightly-1", overlap=True)
    assert create(kubernetes.api, "teams", TEMPLATE, "nightly-1", overlap=True) == "nightly-1 is there already"


@pytest.mark.parametrize(
    ("state", "ended"), [("Running", False), ("Retrying", False), ("Complete", True), ("Failed", True)]
)
def test_runs_of_one_schedule_do_not_overlap(kubernetes: Kubernetes, state: str, ended: bool) -> None:
    """Where that is asked, a run is left out while the one before it has not ended; others do not matter."""
    create(kubernetes.api, "teams", TEMPLATE, "nightly-1", overlap=False)
    other = {**TEMPLATE, "metadata": {"labels": {"raycluster/schedule": "weekly"}}}
    create(kubernetes.api, "teams", other, "weekly-1", overlap=False)
    kubernetes.ended("nightly-1", state)
    done = create(kubernetes.api, "teams", TEMPLATE, "nightly-2", overlap=False)
    assert done == ("created nightly-2" if ended else "nightly-2 is left out: nightly-1 has not ended")
    assert ("nightly-2" in kubernetes.rayjobs) is ended


def test_run_that_has_no_state_yet_has_not_ended(kubernetes: Kubernetes) -> None:
    """Kueue may hold it for hours before KubeRay says anything of it."""
    create(kubernetes.api, "teams", TEMPLATE, "nightly-1", overlap=False)
    assert "left out" in create(kubernetes.api, "teams", TEMPLATE, "nightly-2", overlap=False)
    assert create(kubernetes.api, "teams", TEMPLATE, "nightly-2", overlap=True) == "created nightly-2"


def test_missing_kuberay_is_said(kubernetes: Kubernetes) -> None:
    """Kubernetes says 404 where it knows no such kind, and that is not taken for 'nothing runs'."""
    kubernetes.installed = False
    with pytest.raises(ClusterError, match="is KubeRay installed"):
        create(kubernetes.api, "teams", TEMPLATE, "nightly-1", overlap=False)


def test_refusals_are_errors(kubernetes: Kubernetes) -> None:
    """What Kubernetes says of it stands in the pod's log."""
    with pytest.raises(ClusterError, match=r"HTTP 422.*no kind"):
        create(kubernetes.api, "teams", {**TEMPLATE, "kind": ""}, "nightly-1", overlap=True)
