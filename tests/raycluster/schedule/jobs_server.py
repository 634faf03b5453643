"""A server that speaks as much of Ray's Jobs API as the scheduler uses, in this process: it outlives the scheduler."""

from __future__ import annotations

import http.server
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Jobs:
    """Jobs that take so many seconds; what was submitted, by id."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.url = ""
        self.submitted: list[dict[str, Any]] = []
        self.begun: dict[str, float] = {}
        self.metadata: dict[str, dict[str, str]] = {}
        self.stopped: dict[str, float] = {}
        self.lock = threading.Lock()

    def submit(self, body: dict[str, Any]) -> int:
        with self.lock:
            if body["submission_id"] in self.begun:
                return 500  # as Ray answers
            self.submitted.append(body)
            self.metadata[body["submission_id"]] = body["metadata"]
            self.begun[body["submission_id"]] = time.time()
            return 200

    def find(self, job_id: str) -> dict[str, Any] | None:
        begun = self.begun.get(job_id)
        if begun is None:
            return None
        ended = min(begun + self.seconds, self.stopped.get(job_id, begun + self.seconds))
        over = time.time() >= ended
        status = "STOPPED" if job_id in self.stopped and ended < begun + self.seconds else "SUCCEEDED"
        return {
            "type": "SUBMISSION",
            "submission_id": job_id,
            "status": status if over else "RUNNING",
            "message": "",
            "driver_exit_code": 0 if over and status == "SUCCEEDED" else None,
            "start_time": int(begun * 1000),
            "end_time": int(ended * 1000) if over else None,
            "metadata": self.metadata[job_id],
        }


@contextmanager
def serving(jobs: Jobs) -> Iterator[Jobs]:
    """Serve on a free port of this machine."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/api/packages/"):
                return self._answer(200, {})
            job_id = self.path.rpartition("/")[2]
            found = jobs.find(job_id)
            return self._answer(404, f"Job {job_id} does not exist") if found is None else self._answer(200, found)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            if found := re.fullmatch(r"/api/jobs/(.+)/stop", self.path):
                jobs.stopped.setdefault(found[1], time.time())
                return self._answer(200, {"stopped": True})
            return self._answer(jobs.submit(body), {"submission_id": body["submission_id"]})

        def _answer(self, status: int, body: Any) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        jobs.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield jobs
        finally:
            server.shutdown()
            thread.join()
