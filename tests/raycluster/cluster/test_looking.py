"""`raycluster status` at an address where somebody else answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from raycluster.access.servers import Server, find_server
from raycluster.cluster import answers
from raycluster.cluster.looking import status, waiting_for
from raycluster.cluster.state import Demand
from raycluster.errors import ClusterError


class Stranger(ThreadingHTTPServer):
    """A server that answers everything with the same JSON."""

    answer: Any = None

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def server(self) -> Server:
        """Return it as a job server."""
        return find_server(self.address)


class _Handler(BaseHTTPRequestHandler):
    server: Stranger

    def do_GET(self) -> None:
        """Answer."""
        text = json.dumps(self.server.answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def stranger() -> Iterator[Stranger]:
    """A server of its own."""
    with Stranger(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {},
        "hello",
        5,
        {"data": None},
        {"data": []},
        {"data": {"summary": [{}], "result": {"result": []}}},
        {"data": {"summary": [], "result": {"result": [{"node_id": "a"}]}}},
        {"data": {"summary": [], "nodeLogicalResources": 5, "result": {"result": [5]}}},
    ],
)
def test_somebody_else_who_answers_is_said(stranger: Stranger, answer: object) -> None:
    """Another program on that port is named as such, without a traceback."""
    stranger.answer = answer
    with pytest.raises(ClusterError, match=r"http://127\.0\.0\.1:\d+ .*dashboard"):
        status(stranger.address)
    with pytest.raises(ClusterError, match="dashboard"):
        waiting_for(stranger.server(), "job")


def test_counts_of_what_is_listed_in_part_are_lower_bounds() -> None:
    """The state API lists so many at most."""
    task = {"type": "NORMAL_TASK", "name": "decode", "job_id": "01000000"}
    found = answers.demands([task] * 3, [], {}, more=True)
    assert found == [Demand("driver 01000000", "decode", 3, {}, at_least=True)]
    assert found[0].calls == "at least 3"
