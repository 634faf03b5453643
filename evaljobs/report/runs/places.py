"""Read a file of a run, wherever it is."""

from __future__ import annotations

from pathlib import Path

from evaljobs.remote import is_remote


def read_bytes(path: str) -> bytes:
    """Return the bytes of a file, on this machine or on S3.

    Raises
    ------
    OSError
        If it is not there (FileNotFoundError), or cannot be read.
    RemoteError
        If S3 denies it or does not answer.
    """
    if not is_remote(path):
        return Path(path).read_bytes()
    # It loads the S3 library.
    from evaljobs.remote import objects

    data = objects.read(path)
    if data is None:
        raise FileNotFoundError(path)
    return data
