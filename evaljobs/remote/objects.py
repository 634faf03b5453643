"""Objects on S3: look, read, create, replace, delete, list.

Every function tries again for about two minutes (EVALJOBS_S3_PATIENCE_S) where the server does not answer, is
overloaded or fails, and raises `RemoteError` where it still does not, or denies, or has no such bucket.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from fsspec.utils import glob_translate

from evaljobs.errors import RemoteError, RemoteErrorKind, UsageError
from evaljobs.files import beside, flushed
from evaljobs.remote.connection import Answer, connection
from evaljobs.remote.faults import Cause, cause_of
from evaljobs.remote.patience import Patience, patiently
from evaljobs.remote.uri import join, split

__all__ = ["Found", "create", "delete", "download", "find", "glob", "read", "replace", "stat"]

# What one request of a download brings: small enough to be asked for again.
_DOWNLOAD_BYTES = 16 << 20

# Of an object's own metadata.
_WRITER = "evaljobs-writer"

_WILD = re.compile(r"[*?\[]")


class Found(NamedTuple):
    """An object: its size in bytes, its ETag without quotes, and when it was written, in seconds since 1970."""

    uri: str
    size: int
    etag: str
    modified: float


class End(NamedTuple):
    """The last bytes of an object, the size of the whole in bytes, and its ETag without quotes."""

    size: int
    etag: str
    data: bytes


def stat(uri: str) -> Found | None:
    """Return what is known of an object, or None where there is no such object."""
    answer = _asked("read", uri, "head_object")
    return None if answer is None else _found(uri, answer["ContentLength"], answer)


def read(uri: str, start: int | None = None, stop: int | None = None) -> bytes | None:
    """Return an object's bytes from `start` to before `stop`, all by default; None where there is no such object.

    What lies beyond the end is left out.
    """
    return read_range(uri, start, stop)


def read_range(uri: str, start: int | None, stop: int | None, etag: str | None = None) -> bytes | None:
    """Read as `read` does, of the object with this ETag alone where one is given.

    Raises
    ------
    RemoteError
        If another object was written in its place.
    """
    arguments = {} if etag is None else {"IfMatch": f'"{etag}"'}
    if start is not None or stop is not None:
        if stop is not None and stop <= (start or 0):
            return b""
        arguments["Range"] = f"bytes={start or 0}-{'' if stop is None else stop - 1}"
    answer = _asked("read", uri, "get_object", **arguments)
    if answer is None:
        return None
    data: bytes = answer["Body"]
    return data


def read_end(uri: str, length: int) -> End | None:
    """Return the last `length` bytes of an object and its size, in one request; None where there is no such object."""
    answer = _asked("read", uri, "get_object", Range=f"bytes=-{length}")
    if answer is None:
        return None
    data: bytes = answer["Body"]
    # Without a Content-Range, the server has sent all of it.
    return End(int(answer.get("ContentRange", f"/{len(data)}").rpartition("/")[2]), _etag(answer), data)


def create(uri: str, data: bytes) -> bool:
    """Create an object, whole; return False where it is there already (its bytes stay).

    A conditional request (If-None-Match), of which one wins where several race. An attempt whose answer was lost may
    have won, and libraries repeat a request without a word; so each object names its writer, and who is refused looks
    whether that was himself.
    """
    bucket, key = split(uri)
    require_bucket(uri)
    patience, writer = Patience("create", uri), uuid.uuid4().hex
    while True:
        try:
            connection().send(
                "put_object", Bucket=bucket, Key=key, Body=data, IfNoneMatch="*", Metadata={_WRITER: writer}
            )
        except Exception as error:  # of three libraries; what is not theirs is raised again
            if cause_of(error) in {Cause.CONDITION, Cause.CONFLICT}:
                found = _asked("read", uri, "head_object")
                if found is not None:
                    return bool(found["Metadata"].get(_WRITER) == writer)
            patience.wait(error)
        else:
            return True


def replace(uri: str, data: bytes) -> None:
    """Write an object, whole, in place of the one of that name."""
    bucket, key = split(uri)
    require_bucket(uri)
    patiently("write", uri, lambda: connection().send("put_object", Bucket=bucket, Key=key, Body=data))


def delete(uri: str) -> None:
    """Delete an object, if it is there."""
    bucket, key = split(uri)
    patiently("delete", uri, lambda: connection().send("delete_object", Bucket=bucket, Key=key))


def find(folder_uri: str, *, recursive: bool = True) -> list[Found]:
    """Return the objects below a folder, sorted by uri; without `recursive`, those directly in it."""
    bucket, key = split(folder_uri.rstrip("/"))
    return sorted(_listed(folder_uri, bucket, f"{key}/" if key else "", "" if recursive else "/"))


def glob(pattern_uri: str) -> list[Found]:
    """Return the objects whose uri matches, sorted by uri.

    ``*`` and ``?`` stand for anything but a slash, ``**`` for any number of folders, ``[ab]`` for one of a few.

    Raises
    ------
    UsageError
        If ``**`` is not a whole name.
    """
    bucket, pattern = split(pattern_uri)
    wild = _WILD.search(pattern)
    try:
        matches = re.compile(glob_translate(pattern)).match
    except ValueError as error:
        raise UsageError(f"cannot search for {pattern_uri}: {error}") from None
    found = _listed(pattern_uri, bucket, pattern[: wild.start()] if wild else pattern, "")
    return sorted(one for one in found if matches(split(one.uri).key))


def download(uri: str, target: Path) -> None:
    """Copy an object into a local file, whole or not at all; piece by piece, so that little is in memory.

    Raises
    ------
    FileNotFoundError
        If there is no such object.
    OSError
        If the file cannot be written.
    """
    whole = stat(uri)
    if whole is None:
        raise FileNotFoundError(f"there is no object {uri}")
    target.parent.mkdir(parents=True, exist_ok=True)
    with beside(target) as temporary:
        with flushed(temporary.open("wb")) as file:
            for start in range(0, whole.size, _DOWNLOAD_BYTES):
                piece = read_range(uri, start, start + _DOWNLOAD_BYTES, whole.etag)
                if piece is None:
                    raise FileNotFoundError(f"the object {uri} was deleted while it was read")
                file.write(piece)
        temporary.replace(target)


def require_bucket(uri: str) -> None:
    """Make sure, once for a process, that a bucket is there: some servers make one that is missing, or do not say so.

    Raises
    ------
    RemoteError
        If it is not.
    """
    bucket, over = split(uri).bucket, connection()
    if bucket in over.buckets:
        return

    def ask() -> None:
        try:
            over.send("list_objects_v2", Bucket=bucket, MaxKeys=1)
        except Exception as error:
            # Some may use its objects and not list them. Wrong credentials show at the next request.
            if cause_of(error) is not Cause.DENIED:
                raise

    patiently("use", uri, ask)
    over.buckets.add(bucket)


def _asked(verb: str, uri: str, operation: str, **arguments: str) -> Answer | None:
    """Ask about an object until there is an answer; None where there is no such object."""
    bucket, key = split(uri)
    if not key:  # a whole bucket is no object
        require_bucket(uri)
        return None

    def ask() -> Answer | None:
        try:
            return connection().send(operation, Bucket=bucket, Key=key, **arguments)
        except Exception as error:
            match cause_of(error):
                case Cause.NO_OBJECT:
                    return None
                case Cause.BEYOND_END:
                    return {"Body": b"", "ETag": ""}
                case Cause.CONDITION:
                    raise RemoteError(RemoteErrorKind.FAILED, f"{uri} was written anew while it was read") from None
            raise

    answer = patiently(verb, uri, ask)
    if answer is None:
        # The answer to a HEAD is the same for a missing bucket.
        require_bucket(uri)
    return answer


def _listed(uri: str, bucket: str, prefix: str, delimiter: str) -> Iterator[Found]:
    """Yield all objects whose key begins with the prefix, page after page (1,000 each)."""
    arguments: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix, "Delimiter": delimiter}
    while True:
        page = patiently("list", uri, lambda: connection().send("list_objects_v2", **arguments))
        for entry in page.get("Contents", []):
            # Some tools write an empty object for a folder.
            if not entry["Key"].endswith("/"):
                yield _found(join(bucket, entry["Key"]), entry["Size"], entry)
        if not page.get("IsTruncated"):
            return
        arguments["ContinuationToken"] = page["NextContinuationToken"]


def _found(uri: str, size: int, answer: Answer) -> Found:
    return Found(uri, size, _etag(answer), answer["LastModified"].timestamp())


def _etag(answer: Answer) -> str:
    return str(answer["ETag"]).strip('"')
