"""How long a request is tried again, and with which pauses."""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Callable
from typing import TypeVar

from evaljobs.errors import UsageError
from evaljobs.remote.connection import Connection, connection
from evaljobs.remote.faults import Cause, Tried, cause_of, explained
from evaljobs.remote.hurry import HURRIED_S, in_hurry

log = logging.getLogger(__name__)

# A server that is restarted, or a network that comes back, is worth waiting for; longer than this it is worth a look.
PATIENCE_S = 120.0

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 10.0

# A condition that does not hold although nothing is there: somebody else has just begun, or has just deleted it.
_AGAIN = {Cause.TRANSIENT, Cause.CONFLICT, Cause.CONDITION}

T = TypeVar("T")


class Patience:
    """Decides after each failed attempt of one request whether there is another one, and waits for it.

    Parameters
    ----------
    verb, uri
        What is tried with which object, for messages.
    """

    def __init__(self, verb: str, uri: str) -> None:
        self._verb, self._uri = verb, uri
        # In a hurry the first attempt counts too: one that is answered by nobody takes seconds by itself.
        self._since: float | None = time.monotonic() if in_hurry() else None
        self._pause = _FIRST_PAUSE_S

    def wait(self, error: Exception) -> None:
        """Wait after a failure that is worth another try.

        Raises
        ------
        RemoteError
            If it is not, or was tried for long enough.
        Exception
            The error itself, where it is not about the request.
        """
        cause = cause_of(error)
        if cause is None:  # nothing of S3's
            raise error
        now = time.monotonic()
        waited = 0.0 if self._since is None else now - self._since
        if cause not in _AGAIN or waited >= patience_s():
            raise explained(error, cause, Tried(self._verb, self._uri, _endpoint(), waited)) from None
        if self._since is None:
            self._since = now
            self._say(connection(), error)
        # Uneven, so that many workers do not knock all at once.
        time.sleep(min(self._pause, max(0.0, patience_s() - waited)) * random.uniform(0.5, 1.0))  # noqa: S311
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_S)

    def _say(self, over: Connection, error: Exception) -> None:
        if over.say_once():
            log.warning(
                "no good answer from %s (%s); trying for up to %.0f s",
                over.endpoint,
                type(error).__name__,
                patience_s(),
            )


def patiently(verb: str, uri: str, attempt: Callable[[], T]) -> T:
    """Return what an attempt returns, as soon as one succeeds; each may be carried out more than once."""
    patience = Patience(verb, uri)
    while True:
        try:
            return attempt()
        except Exception as error:  # of three libraries; what is not theirs is raised again
            patience.wait(error)


def patience_s() -> float:
    """Return the seconds for which a request is tried again: a few where this thread is in a hurry.

    Raises
    ------
    UsageError
        If EVALJOBS_S3_PATIENCE_S is no number of seconds.
    """
    text = os.environ.get("EVALJOBS_S3_PATIENCE_S", str(PATIENCE_S))
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise UsageError(f"found EVALJOBS_S3_PATIENCE_S={text!r}, expected a number of seconds, such as 120")
    return min(seconds, HURRIED_S) if in_hurry() else seconds


def _endpoint() -> str:
    try:
        return connection().endpoint
    except Exception:  # it is about to be said that there is no connection
        return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "S3"
