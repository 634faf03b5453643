"""Whether somebody waits for this process to end: then a server that does not answer is not worth minutes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

# For each of the few requests that are made on leaving.
HURRIED_S = 3.0

_in_hurry: ContextVar[bool] = ContextVar("evaljobs_in_hurry", default=False)


@contextlib.contextmanager
def hurried() -> Iterator[None]:
    """Let requests of this thread be tried again for `HURRIED_S` at most, until left: an error or Ctrl-C ends a run."""
    token = _in_hurry.set(True)
    try:
        yield
    finally:
        _in_hurry.reset(token)


def in_hurry() -> bool:
    """Return whether this thread is in a hurry."""
    return _in_hurry.get()
