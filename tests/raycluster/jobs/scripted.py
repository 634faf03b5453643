"""A job server that speaks as Ray's does, on which every job meets the fate that a test has written down for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from tests.raycluster.jobs.serving import Serving


@dataclasses.dataclass(frozen=True)
class Fate:
    """What becomes of a job: what it prints, and how it ends.

    Attributes
    ----------
    exit_code
        As Ray has it: -9 for a SIGKILL.
    forgotten
        Whether the head is started again behind it, and knows nothing any more.
    """

    log: str = "at work\n"
    status: str = "SUCCEEDED"
    exit_code: int | None = 0
    message: str = ""
    forgotten: bool = False


KILLED = Fate(status="FAILED", exit_code=-9)
LOST = Fate(status="FAILED", exit_code=None, message="Job supervisor actor died: The node has died.")
FORGOTTEN = Fate(forgotten=True)


class ScriptedCluster(Serving):
    """Serves on a port of this machine while `running`.

    Attributes
    ----------
    fates
        Of the jobs, in the order in which they come.
    submitted
        What was submitted, in order.
    """

    def __init__(self, fates: Sequence[Fate]) -> None:
        super().__init__()
        self.fates = list(fates)
        self.submitted: list[dict[str, Any]] = []
        self._jobs: dict[str, Fate] = {}
        self._ended: set[str] = set()

    def routes(self) -> list[web.RouteDef]:
        """Return what Ray's Jobs API answers."""
        return [
            web.post("/api/jobs/", self._submit),
            web.get("/api/jobs/", self._list),
            web.get("/api/jobs/{job}", self._get),
            web.post("/api/jobs/{job}/stop", self._stop),
            web.get("/api/jobs/{job}/logs", self._logs),
            web.get("/api/jobs/{job}/logs/tail", self._tail),
            web.get("/api/packages/gcs/{name}", self._package),
        ]

    async def _submit(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body["submission_id"] in self._jobs:
            return web.Response(status=500, text="Traceback ...\nValueError: Job already exists")
        self.submitted.append(body)
        self._jobs[body["submission_id"]] = self.fates.pop(0)
        return web.json_response({"submission_id": body["submission_id"]})

    async def _list(self, _request: web.Request) -> web.Response:
        return web.json_response([self._describe(job) for job in self._jobs])

    async def _get(self, request: web.Request) -> web.Response:
        job = request.match_info["job"]
        if job not in self._jobs:
            return web.Response(status=404, text=f"Job {job} does not exist")
        return web.json_response(self._describe(job))

    async def _stop(self, request: web.Request) -> web.Response:
        job = request.match_info["job"]
        self._jobs[job] = dataclasses.replace(self._jobs[job], status="STOPPED", exit_code=None)
        self._ended.add(job)
        return web.json_response({"stopped": True})

    async def _logs(self, request: web.Request) -> web.Response:
        return web.json_response({"logs": self._jobs[request.match_info["job"]].log})

    async def _tail(self, request: web.Request) -> web.WebSocketResponse:
        job = request.match_info["job"]
        stream = web.WebSocketResponse()
        await stream.prepare(request)
        await stream.send_str(self._jobs[job].log)
        if self._jobs[job].forgotten:
            self._jobs.clear()
        else:
            self._ended.add(job)
        return stream

    async def _package(self, _request: web.Request) -> web.Response:
        return web.Response()

    def _describe(self, job: str) -> dict[str, Any]:
        fate = self._jobs[job]
        found = {"submission_id": job, "type": "SUBMISSION", "status": "RUNNING", "message": "", "metadata": {}}
        metadata = next((b["metadata"] for b in self.submitted if b["submission_id"] == job), {})
        if job in self._ended:
            ending = {"status": fate.status, "driver_exit_code": fate.exit_code, "message": fate.message}
            return {**found, **ending, "metadata": metadata}
        return {**found, "metadata": metadata}
