"""Bring what a parcel needs to its place: what is there already is not sent again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from evaljobs.errors import UsageError
from evaljobs.images.versions import versions
from evaljobs.remote import objects
from evaljobs.remote.sending import send_file
from evaljobs.store import Store
from evaljobs.store.submitted import recorded
from evaljobs.store.uses import Uses
from raycluster.program import Upload

_THREADS = 16
_SAY_EVERY_S = 5.0


def send(uploads: Sequence[Upload], store: str, say: Callable[[str], None]) -> None:
    """Send what is not there; what lists others goes after them, so that it never names what is missing.

    Meanwhile the store is not trimmed, and that all of it is used now is remembered there.

    Raises
    ------
    UsageError
        If a file cannot be read.
    RemoteError
        If S3 denies it or does not answer, or a file has changed meanwhile.
    """
    if not uploads:
        return
    sent = recorded(store, (upload.place for upload in uploads))
    with Uses(Store(store).folder, "a submission", sent).marked((), (), say):
        missing = _missing(uploads)
        if missing:
            _send(missing, len(uploads), say)


def _send(missing: Sequence[Upload], n_uploads: int, say: Callable[[str], None]) -> None:
    size = sum(upload.size for upload in missing)
    there = n_uploads - len(missing)
    say(f"uploading {len(missing):,} files, {size / 1e6:,.1f} MB ({there:,} are there already)")
    began, told = time.monotonic(), [0, 0, time.monotonic()]

    def tell(upload: Upload) -> None:
        told[0] += 1
        told[1] += upload.size
        if time.monotonic() - told[2] >= _SAY_EVERY_S:
            told[2] = time.monotonic()
            say(f"uploaded {told[0]:,} of {len(missing):,} files, {told[1] / 1e6:,.1f} MB")

    for several in ([u for u in missing if u.path is not None], [u for u in missing if u.path is None]):
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="upload") as threads:
            try:
                for upload in threads.map(_sent, several):
                    tell(upload)
            finally:
                threads.shutdown(wait=True, cancel_futures=True)
    say(f"uploaded {len(missing):,} files in {time.monotonic() - began:.0f} s")


def _missing(uploads: Sequence[Upload]) -> list[Upload]:
    """Return what is not there: places are named by content, so one of the right size is the right one."""
    distinct = {upload.place: upload for upload in uploads}
    found = versions(list(distinct))
    return [upload for upload, there in zip(distinct.values(), found, strict=True) if there.size != upload.size]


def _sent(upload: Upload) -> Upload:
    if upload.path is None:
        objects.replace(upload.place, upload.data)
        return upload
    try:
        send_file(upload.path, upload.place, upload.digest)
    except OSError as error:
        raise UsageError(f"{upload.path} cannot be read: {error.strerror or error}; no job was submitted") from None
    return upload
