"""Leases: files that say that somebody is at work, renewed while he is and stale soon after he is gone.

Whether one is stale is told by the clock of the place that holds it, never by comparing clocks of machines: it is stale
when `EXPIRES_S` lie between its last renewal and a file that was written just now, by whoever asks. One that is dated
so far ahead is of somebody who is gone too: he renewed it before that clock was put right.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import platform
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple

from evaljobs.errors import EvaljobsError

log = logging.getLogger(__name__)

# Longer than the two minutes for which a server that does not answer is asked again.
EXPIRES_S = 300.0
RENEWED_EVERY_S = 30.0

# For a renewal under way, where an error or Ctrl-C ends the work; its thread ends with the process.
_JOINED_S = 3.0

_VERSION = 1


class Holder(NamedTuple):
    """Who is at work: what he does, where, since when (seconds since 1970, by his own clock), and what he uses."""

    what: str
    host: str
    pid: int
    started: float
    uses: str = ""

    @classmethod
    def this_process(cls, what: str, uses: str = "") -> Holder:
        """Return this process at some work."""
        return cls(what, platform.node(), os.getpid(), time.time(), uses)

    def to_bytes(self, token: str = "") -> bytes:
        """Return the lease's content."""
        return json.dumps({"version": _VERSION, "token": token, **self._asdict()}).encode()

    def __str__(self) -> str:
        started = dt.datetime.fromtimestamp(self.started, dt.UTC)
        return f"{self.what} (process {self.pid} on {self.host}, since {started:%Y-%m-%d %H:%M} UTC)"


def read_holder(data: bytes | None) -> Holder | None:
    """Return who holds a lease, or None where that cannot be told."""
    try:
        found = json.loads(data or b"")
        texts = [str(found[name]) for name in ("what", "host", "uses")]
        return Holder(texts[0], texts[1], int(found["pid"]), float(found["started"]), texts[2])
    except (ValueError, TypeError, KeyError):
        return None


class Heartbeat:
    """Renews something from a thread of its own, until it is left.

    A renewal that fails is tried again at the next beat: a server may be away for a while.

    Parameters
    ----------
    renew
        Does it once.
    every_s
        Seconds between two beats.
    """

    def __init__(self, renew: Callable[[], object], every_s: float | None = None) -> None:
        self._renew = renew
        self._every_s = RENEWED_EVERY_S if every_s is None else every_s
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="evaljobs-lease", daemon=True)
        self._renewed = time.monotonic()

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()
        self._thread.join(None if kind is None else _JOINED_S)

    def renew(self) -> None:
        """Renew it now."""
        began = time.monotonic()
        self._renew()
        self._renewed = began

    @property
    def age_s(self) -> float:
        """Seconds since the last renewal that succeeded."""
        return time.monotonic() - self._renewed

    def _beat(self) -> None:
        while not self._left.wait(self._every_s):
            try:
                self.renew()
            except EvaljobsError as error:
                log.warning("a lease could not be renewed, and is tried again: %s", error)
