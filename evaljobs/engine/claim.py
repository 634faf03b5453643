"""The claim of one run on a folder on S3: an object that only one can create, renewed while that run is at work."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import os
import time
import uuid
from collections.abc import Iterator

from evaljobs.errors import EvaljobsError, RunFailedError, UsageError
from evaljobs.remote import objects
from evaljobs.remote.hurry import hurried
from evaljobs.store import lease
from evaljobs.store.lease import Heartbeat, Holder, read_holder

log = logging.getLogger(__name__)

NAME = ".evaljobs.lease"
_TRIES = 3
_AGAIN_S = 5.0


def _patience_s() -> float:
    """Return for how long a claim of another run is waited for: by itself, not at all.

    A run that is submitted again after its driver was killed waits for that driver's claim to end.
    """
    try:
        return float(os.environ.get("EVALJOBS_CLAIM_PATIENCE_S", "0"))
    except ValueError:
        return 0.0


class Claim:
    """One run's claim.

    Parameters
    ----------
    location
        The folder, ``s3://bucket/prefix``.
    """

    def __init__(self, location: str) -> None:
        self._location = location
        self._uri = f"{location}/{NAME}"
        self._data = Holder.this_process("a run").to_bytes(token=uuid.uuid4().hex)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Take the claim, and hold it until left; given back without much patience where an error ends the work.

        Raises
        ------
        UsageError
            If another run holds it.
        RemoteError
            If S3 denies, has no such bucket, or does not answer.
        """
        self._take()
        try:
            with Heartbeat(self._renew):
                yield
        except BaseException:
            with hurried():
                self._release()
            raise
        self._release()

    def check(self) -> None:
        """Make sure that it is still held.

        Raises
        ------
        RunFailedError
            If another run has taken it, since this process gave no sign of life for minutes.
        """
        if not self._renew():
            raise RunFailedError(
                f"another run has taken over {self._location}: this one gave no sign of life for "
                f"{lease.EXPIRES_S / 60:.0f} minutes. Its results were not touched; what was computed is kept in the "
                "store: run the same command again, or name another folder with --out"
            )

    def _take(self) -> None:
        patience_s, waited = _patience_s(), False
        tries = 0
        while tries < _TRIES:
            if objects.create(self._uri, self._data):
                return
            if (held := objects.stat(self._uri)) is None:  # given back meanwhile
                tries += 1
                continue
            age = self._server_time() - held.modified
            if age >= lease.EXPIRES_S:
                objects.delete(self._uri)
                tries += 1
            elif patience_s <= 0:
                raise self._held_by_another(age)
            else:
                if not waited:
                    log.warning("waiting for %s: %s", self._location, self._held_by_another(age))
                waited = True
                time.sleep(_AGAIN_S)
                patience_s -= _AGAIN_S
        raise self._held_by_another(0.0)

    def _held_by_another(self, age: float) -> UsageError:
        holder = read_holder(objects.read(self._uri))
        left = max(1.0, lease.EXPIRES_S - age)
        ends = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=left)
        return UsageError(
            f"another run is writing to {self._location}: {holder or 'nobody knows which'}; its last sign of life was "
            f"{max(0.0, age):.0f} s ago. Wait for it to end, or name another folder with --out. If it was killed, its "
            f"claim ends by itself in {left:.0f} s, at {ends:%H:%M:%S} UTC"
        )

    def _server_time(self) -> float:
        """Return the time by the server's clock, which also dates the claim: clocks of machines differ."""
        probe = f"{self._location}/.evaljobs.now-{uuid.uuid4().hex}"
        objects.replace(probe, b"")
        found = objects.stat(probe)
        objects.delete(probe)
        return dt.datetime.now(dt.UTC).timestamp() if found is None else found.modified

    def _renew(self) -> bool:
        """Renew the claim; return False where another has it."""
        found = objects.read(self._uri)
        if found == self._data:
            objects.replace(self._uri, self._data)
            return True
        return found is None and objects.create(self._uri, self._data)

    def _release(self) -> None:
        try:
            if objects.read(self._uri) == self._data:
                objects.delete(self._uri)
        except EvaljobsError as error:  # it ends by itself
            log.warning("the claim on %s is left behind for some minutes: %s", self._location, error)
