"""Results on S3: written into a local folder, and brought to the bucket when they are whole."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from evaljobs.engine.claim import Claim
from evaljobs.engine.output import Output
from evaljobs.errors import EvaljobsError, RemoteError, RemoteErrorKind, RunFailedError, UsageError
from evaljobs.remote import objects
from evaljobs.remote.hurry import hurried
from evaljobs.report.runs.reading import NAME
from evaljobs.report.writing import named_files

log = logging.getLogger(__name__)

_THREADS = 8

# What changes with every bad image is brought there so often at most.
_EARLY_EVERY_S = 10.0


class RemoteOutput(Output):
    """A folder on S3.

    Attributes
    ----------
    results_before
        The ``results.json`` that stood there at the start, if one did.
    """

    def __init__(self, location: str, folder: Path, claim: Claim) -> None:
        super().__init__(location, folder)
        self._claim = claim
        self.results_before = objects.read(self.name_of(NAME))
        self._waiting: set[str] = set()
        self._sent = -_EARLY_EVERY_S

    def write(self, name: str, data: bytes) -> None:
        """Write a file; it is brought to the bucket at once, or with the next ones."""
        super().write(name, data)
        self._waiting.add(name)
        if time.monotonic() - self._sent >= _EARLY_EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Bring to the bucket what waits for it."""
        for name in sorted(self._waiting):
            self._send(name)
        self._waiting.clear()
        self._sent = time.monotonic()

    def publish(self) -> None:
        """Bring all files to the bucket, ``results.json`` last; then delete what only the results before had."""
        self._claim.check()
        files = [path for path in self.folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
        names = sorted({path.relative_to(self.folder).as_posix() for path in files} - {NAME})
        with ThreadPoolExecutor(_THREADS) as threads:
            list(threads.map(self._send, names))
        self._send(NAME)
        for name in sorted(named_files(self.results_before) - set(names)):
            objects.delete(self.name_of(name))
        self._waiting.clear()

    def _send(self, name: str) -> None:
        objects.replace(self.name_of(name), (self.folder / name).read_bytes())


@contextlib.contextmanager
def claimed_on_s3(location: str) -> Iterator[RemoteOutput]:
    """Claim a folder on S3 and yield it; what waits is brought there when it is left.

    Where an error ends the work, that is tried without much patience.

    Raises
    ------
    UsageError
        If another run holds it, or S3 denies it or has no such bucket.
    RemoteError
        If S3 does not answer.
    RunFailedError
        If there is no room for temporary files.
    """
    with contextlib.ExitStack() as stack:
        claim = Claim(location)
        with _refused(location):
            stack.enter_context(claim.held())
            output = RemoteOutput(location, Path(stack.enter_context(_temporary_folder())), claim)
        try:
            yield output
        except BaseException:
            try:
                with hurried():
                    output.flush()
            except EvaljobsError as error:
                log.warning("not all of what was found was written to %s: %s", location, error)
            raise
        output.flush()


@contextlib.contextmanager
def _temporary_folder() -> Iterator[str]:
    try:
        folder = tempfile.TemporaryDirectory(prefix="evaljobs-")
    except OSError as error:
        raise RunFailedError(
            f"cannot make a temporary folder for the results: {error.strerror or error}; make room, or let TMPDIR name "
            "a folder on another disk"
        ) from None
    with folder as name:
        yield name


@contextlib.contextmanager
def _refused(location: str) -> Iterator[None]:
    try:
        yield
    except RemoteError as error:
        if error.kind is RemoteErrorKind.UNREACHABLE:
            raise
        raise UsageError(f"cannot write to the output folder {location}: {error}; or name another with --out") from None
