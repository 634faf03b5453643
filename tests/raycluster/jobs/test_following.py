"""Following a log over a connection that breaks: a server that speaks as Ray's does, and hangs up when it likes."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

import pytest
from aiohttp import web

from raycluster.errors import ForgottenError, UnreachableError
from raycluster.jobs import following
from raycluster.jobs.following import follow
from raycluster.jobs.server import RayJobServer, connect_jobs
from tests.raycluster.jobs.conftest import use_token
from tests.raycluster.jobs.serving import Serving

JOB = "x-1"
TEXT = "".join(f"line {n} ü\n" for n in range(40)) + "the end, without a newline"


class Flaky(Serving):
    """A job server with one job, whose log appears piece by piece; each connection is cut after so many characters.

    Attributes
    ----------
    cuts
        After how many characters of its own each connection breaks; the ones after them last.
    holds
        Whether a connection stays, when all is sent, until the other side leaves.
    """

    def __init__(self, text: str, cuts: list[int]) -> None:
        super().__init__()
        self.text, self.cuts = text, iter([*cuts, *[10**9] * 1000])
        self.connections = 0
        self.ended = False
        self.known = True
        self.holds = False

    def routes(self) -> list[web.RouteDef]:
        """Return what Ray's Jobs API answers of one job."""
        return [
            web.get("/api/jobs/{job}", self._job),
            web.get("/api/jobs/{job}/logs", self._logs),
            web.get("/api/jobs/{job}/logs/tail", self._tail),
        ]

    async def _job(self, request: web.Request) -> web.Response:
        if not self.known:
            return web.Response(status=404, text=f"Job {request.match_info['job']} does not exist")
        status = "SUCCEEDED" if self.ended else "RUNNING"
        return web.json_response({"submission_id": JOB, "status": status, "type": "SUBMISSION"})

    async def _logs(self, _request: web.Request) -> web.Response:
        return web.json_response({"logs": self.text})

    async def _tail(self, request: web.Request) -> web.WebSocketResponse:
        stream = web.WebSocketResponse()
        await stream.prepare(request)
        self.connections += 1
        cut = next(self.cuts)
        sent = self.text[:cut]
        for start in range(0, len(sent), 7):  # pieces that end in the middle of a line
            await stream.send_str(sent[start : start + 7])
        if cut >= len(self.text):
            if self.holds:
                await stream.receive()
            self.ended = True
            return stream
        assert request.transport is not None
        request.transport.abort()  # without a word, as a cable that is pulled
        return stream


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_AGAIN_S", 0.01)
    use_token(monkeypatch, "t" * 32)


def server_of(flaky: Flaky) -> RayJobServer:
    return connect_jobs(flaky.address)


@pytest.mark.parametrize("cuts", [[], [0], [1, 2, 3], [100, 50, 200, 100], [len(TEXT) - 1] * 3])
def test_every_line_comes_once(cuts: list[int]) -> None:
    """However often the connection breaks, and wherever: nothing twice, nothing lost."""
    with Flaky(TEXT, cuts).running() as flaky:
        assert list(follow(server_of(flaky), JOB)) == TEXT.split("\n")
        assert flaky.connections == len(cuts) + 1


def test_lines_that_come_after_the_stream_are_not_lost() -> None:
    """A stream that ends before the job does, as one whose agent is restarted: the rest stands in the whole log."""
    with Flaky(TEXT, []).running() as flaky:
        lines = follow(server_of(flaky), JOB)
        first = list(itertools.islice(lines, 3))
        flaky.text += "\nsaid too late for the stream"
        assert [*first, *lines][-1] == "said too late for the stream"


def test_forgotten_job_ends_it() -> None:
    """A head that was started again knows no such job: it is said, and not waited for."""
    with Flaky(TEXT, [50]).running() as flaky:
        lines = follow(server_of(flaky), JOB)
        assert next(lines) == "line 0 ü"
        flaky.known = False
        with pytest.raises(ForgottenError, match=JOB):
            list(lines)


def test_silence_is_waited_for_and_then_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that has gone for good does not keep anybody for ever."""
    monkeypatch.setattr(following, "PATIENCE_S", 0.3)
    with pytest.raises(UnreachableError):
        list(follow(connect_jobs("http://127.0.0.1:9"), JOB))


def test_leaving_early_leaves_no_thread() -> None:
    """Ctrl-C in the middle of a log: the connection's thread ends."""
    with Flaky(TEXT, []).running() as flaky:
        flaky.holds = True
        lines = follow(server_of(flaky), JOB)
        next(lines)
        threads = [t for t in threading.enumerate() if t.name == f"log of {JOB}"]
        assert len(threads) == 1
        lines.close()  # type: ignore[attr-defined] - a generator
        threads[0].join(10)
        assert not threads[0].is_alive()


def test_stream_may_end_while_it_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread has closed its loop and is not gone yet: there is nothing left to cancel."""
    run, take = following._run, following._next

    def lingering(*arguments: Any) -> None:
        run(*arguments)
        time.sleep(0.5)

    def late(pieces: Any) -> str | None:
        piece = take(pieces)
        if piece is None:
            time.sleep(0.2)
        return piece

    monkeypatch.setattr(following, "_run", lingering)
    monkeypatch.setattr(following, "_next", late)
    with Flaky(TEXT, []).running() as flaky:
        assert list(follow(server_of(flaky), JOB)) == TEXT.split("\n")
