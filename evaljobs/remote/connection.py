"""One S3 file system for the process, made when it is first needed: the only place that imports s3fs.

Each call is one request; nothing below retries, so that whoever asks knows what may have happened.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import fsspec.asyn
import s3fs

CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 60

# As many as the threads that look at images.
_CONNECTIONS = 32

# One outage is said once, not by each of the threads that wait for its end.
_SAY_AGAIN_S = 30.0

Answer = dict[str, Any]


class Connection:
    """A file system of s3fs with its clients, and what was learnt through it.

    Attributes
    ----------
    buckets
        Those that are known to be there.
    """

    def __init__(self) -> None:
        # No instance cache: an instance is bound to a process and to the credentials of its first moment.
        self._system = s3fs.S3FileSystem(
            skip_instance_cache=True,
            use_listings_cache=False,
            config_kwargs={
                "connect_timeout": CONNECT_TIMEOUT_S,
                "read_timeout": READ_TIMEOUT_S,
                "max_pool_connections": _CONNECTIONS,
                # Zero retries after the first attempt, of botocore here and of s3fs below.
                "retries": {"max_attempts": 0, "mode": "standard"},
            },
        )
        self._system.retries = 1
        self._said = -_SAY_AGAIN_S
        self.buckets: set[str] = set()

    def send(self, operation: str, **arguments: Any) -> Answer:
        """Send one request and return its answer, the body as bytes.

        Raises
        ------
        Exception
            What s3fs, botocore or aiohttp raise; `faults.cause_of` tells them apart.
        """
        answer: Answer = self._system.call_s3(operation, **arguments)
        if "Body" in answer:
            answer["Body"] = fsspec.asyn.sync(self._system.loop, answer["Body"].read)
        return answer

    @property
    def endpoint(self) -> str:
        """The server's URL, without user and password."""
        url: str = self._system.s3.meta.endpoint_url
        scheme, _, rest = url.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}"

    def say_once(self) -> bool:
        """Return whether it is time to say that the server does not answer."""
        now = time.monotonic()
        if now - self._said < _SAY_AGAIN_S:
            return False
        self._said = now
        return True


class _Connections:
    """The process's connection. A fork, other credentials, or another endpoint in the environment make a new one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made_for: tuple[int, frozenset[tuple[str, str]]] | None = None
        self._connection: Connection | None = None

    def get(self) -> Connection:
        settings = frozenset((k, v) for k, v in os.environ.items() if k.startswith("AWS_"))
        wanted = (os.getpid(), settings)
        with self._lock:
            if self._connection is None or self._made_for != wanted:
                self._connection, self._made_for = Connection(), wanted
            return self._connection

    def after_fork(self) -> None:
        """Begin anew in a child: the lock may be held by a thread that the child does not have."""
        self._lock = threading.Lock()


_connections = _Connections()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_connections.after_fork)


def connection() -> Connection:
    """Return the connection of this process and its environment."""
    return _connections.get()
