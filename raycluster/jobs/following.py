"""Follow what a job prints: every line once, in order, whatever happens to the connection meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
import urllib.parse
from collections.abc import Iterator
from typing import Protocol

from raycluster.access.addresses import Reach
from raycluster.access.servers import Server
from raycluster.errors import ForgottenError, UnreachableError
from raycluster.jobs.job import ENDED, Job

# A peer that is gone without a word is noticed after so long.
_HEARTBEAT_S = 20.0
_AGAIN_S = 1.0
# A head that is started again takes less.
PATIENCE_S = 600.0


class Followed(Protocol):
    """What following needs of a job server."""

    server: Server

    def find(self, job_id: str) -> Job | None:
        """Return a job, or None where the cluster knows none of this id."""

    def log(self, job_id: str, tail: int | None = None) -> str:
        """Return what a job has printed."""


def follow(jobs: Followed, job_id: str) -> Iterator[str]:
    """Yield each line that a job prints, until it ends; a cluster that does not answer is waited for ten minutes."""
    follower = Follower(jobs, job_id)
    silent_since: float | None = None
    while True:
        try:
            for line in follower.lines():
                silent_since = None
                if line is not None:
                    yield line
        except UnreachableError:
            now = time.monotonic()
            silent_since = silent_since or now
            if now - silent_since > PATIENCE_S:
                raise
            time.sleep(_AGAIN_S)
        else:
            return


class Follower:
    """One job's log, and how much of it was told: `lines` may be left and entered again."""

    def __init__(self, jobs: Followed, job_id: str) -> None:
        self._jobs = jobs
        self._job_id = job_id
        self._told = 0  # characters, from the start of the log
        self._rest = ""  # of a line whose end has not come

    def lines(self) -> Iterator[str | None]:
        """Yield the lines that were not told yet, without their ends, until the job ends; None while nothing comes.

        Raises
        ------
        UnreachableError
            If the cluster does not answer; called again later, it goes on where it was.
        ForgottenError
            If the cluster knows no such job, or no more.
        """
        while not self._ended():
            yield from self._streamed()
            if not self._ended():
                time.sleep(_AGAIN_S)
                yield None
        # A stream may break without a word just before the end: what is missing then stands in the whole log.
        yield from self._cut(self._jobs.log(self._job_id)[self._told :])
        if self._rest:
            rest, self._rest = self._rest, ""
            yield rest

    def _ended(self) -> bool:
        job = self._jobs.find(self._job_id)
        if job is None:
            raise ForgottenError(self._job_id)
        return job.status in ENDED

    def _streamed(self) -> Iterator[str | None]:
        """Yield lines as they come; a stream begins with the first character of the log."""
        skip = self._told
        for chunk in _chunks(self._jobs.server, self._job_id):
            if not chunk:
                yield None
                continue
            fresh = chunk[skip:]
            skip = max(0, skip - len(chunk))
            yield from self._cut(fresh)

    def _cut(self, text: str) -> Iterator[str]:
        self._told += len(text)
        *lines, self._rest = (self._rest + text).split("\n")
        yield from lines


def _chunks(server: Server, job_id: str) -> Iterator[str]:
    """Yield pieces of a log from its start, until the server ends the stream or the connection breaks.

    An empty one every second in which nothing comes. In a thread: the caller may have an event loop that is at work.
    """
    pieces: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    loop = asyncio.new_event_loop()
    task = loop.create_task(_pump(server, job_id, pieces))
    thread = threading.Thread(target=_run, args=(loop, task, pieces), name=f"log of {job_id}", daemon=True)
    thread.start()
    try:
        while (piece := _next(pieces)) is not None:
            yield piece
    finally:
        with contextlib.suppress(RuntimeError):  # the stream has ended, and its loop is closed
            loop.call_soon_threadsafe(task.cancel)


def _next(pieces: queue.SimpleQueue[str | None]) -> str | None:
    try:
        return pieces.get(timeout=_AGAIN_S)
    except queue.Empty:
        return ""


def _run(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None], pieces: queue.SimpleQueue[str | None]) -> None:
    import aiohttp

    try:
        loop.run_until_complete(task)
    except (asyncio.CancelledError, aiohttp.ClientError, OSError):
        pass  # whoever follows looks how the job stands, and comes again
    finally:
        pieces.put(None)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _pump(server: Server, job_id: str, pieces: queue.SimpleQueue[str | None]) -> None:
    import aiohttp

    url = f"{server.url}/api/jobs/{urllib.parse.quote(job_id, safe='')}/logs/tail"
    async with (
        aiohttp.ClientSession(trust_env=_by_proxy(server), headers=server.headers()) as session,
        session.ws_connect(url, heartbeat=_HEARTBEAT_S, max_msg_size=0) as stream,
    ):
        async for message in stream:
            if message.type is aiohttp.WSMsgType.TEXT:
                pieces.put(message.data)


def _by_proxy(server: Server) -> bool:
    """Whether proxies of the environment may lead there: they do not lead to this machine."""
    return server.address.reach is not Reach.OWN
