"""Names of places: local paths, and objects on S3. Text alone; nothing is looked at."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple, TypeGuard

from evaljobs.errors import UsageError

_SCHEME = "s3://"

# A path on this machine, or ``s3://bucket/key``.
AnyPath = str | Path


class Place(NamedTuple):
    """A bucket and a key in it; the key of a whole bucket is empty."""

    bucket: str
    key: str


def is_remote(text: str | Path) -> TypeGuard[str]:
    """Say whether a text names an object, or a folder of objects, on S3."""
    return isinstance(text, str) and text[: len(_SCHEME)].lower() == _SCHEME


def locate(text: str, base: Path) -> str:
    """Return the one way to write a place.

    Parameters
    ----------
    text
        ``s3://bucket/key``, or a local path; ``~`` is the user's home.
    base
        What a relative path is relative to.

    Returns
    -------
    str
        ``s3://bucket/key`` without a slash at the end and without empty names in the key, or an absolute local path
        whose links are kept.

    Raises
    ------
    UsageError
        If an S3 uri names no bucket.
    """
    if is_remote(text):
        bucket, key = split(text)
        names = [name for name in key.split("/") if name]
        return "/".join([f"{_SCHEME}{bucket}", *names])
    return os.path.abspath(base / Path(text).expanduser())  # noqa: PTH100 - Path.resolve would follow links


def split(uri: str) -> Place:
    """Split ``s3://bucket/key``.

    Raises
    ------
    UsageError
        If it names no bucket.
    """
    bucket, _, key = uri[len(_SCHEME) :].partition("/")
    if not bucket:
        raise UsageError(f"found {uri!r}, which names no bucket; expected s3://bucket/key")
    return Place(bucket, key)


def join(bucket: str, key: str) -> str:
    """Return the uri of an object."""
    return f"{_SCHEME}{bucket}/{key}"
