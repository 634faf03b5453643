"""The bytes of images, wherever they lie: files, objects on S3, members of tars, rows of Parquet files."""

from __future__ import annotations

import collections
import contextlib
import errno
import functools
import hashlib
import itertools
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from evaljobs.errors import ImageError, ImageErrorKind
from evaljobs.images import rows
from evaljobs.images.files import File, no_object, open_file
from evaljobs.images.places import Member, Row, place_of
from evaljobs.remote import is_remote

# What a busy disk or a network file system says before it answers again.
TRANSIENT = frozenset({errno.EIO, errno.ESTALE, errno.EAGAIN, errno.ETIMEDOUT, errno.EINTR, errno.EBUSY})
PAUSES_S = (0.05, 0.2, 0.8)
# Requests to S3 at a time: each has some tens of milliseconds of latency.
CONCURRENT = 16

Answer = bytes | ImageError


def digest_of(data: bytes) -> bytes:
    """Return the image digest: the sha256 of the encoded bytes, 32 bytes."""
    return hashlib.sha256(data).digest()


def read_images(uris: Sequence[str], *, concurrent: int = CONCURRENT) -> Generator[Answer]:
    """Yield the bytes of images in order, or why they cannot be read.

    A container is opened once for all of its images that stand one after the other. I/O errors that may pass are tried
    again. Of a Parquet file a page or some 16 MiB are held at a time, of S3 as many objects as are asked for at a time.

    Parameters
    ----------
    uris
        As `evaljobs.images.places` has them.
    concurrent
        Requests to S3 at a time.

    Raises
    ------
    RemoteError
        If S3 denies something or does not answer: that says nothing about an image. A missing object does.
    """
    wanted = [_Wanted(uri, place_of(uri)) for uri in uris]
    for (kind, container, column), group in itertools.groupby(wanted, _read_with):
        match kind:
            case "object":
                yield from _concurrently(group, concurrent)
            case "tar":
                yield from _members(container, group)
            case "parquet":
                yield from _rows(container, column, list(group))
            case _:
                yield from map(_answer, group)


class _Wanted(NamedTuple):
    uri: str
    place: Member | Row | None


def _read_with(wanted: _Wanted) -> tuple[str, str, str]:
    """Return what images are read together by: the way of reading, the container, the column."""
    uri, place = wanted
    if isinstance(place, Row):
        return "parquet", place.container, place.column
    if is_remote(uri if place is None else place.container):
        return "object", "", ""
    return ("file", "", "") if place is None else ("tar", place.container, "")


def _answer(wanted: _Wanted) -> Answer:
    try:
        return _alone(wanted)
    except ImageError as error:
        return error


def _alone(wanted: _Wanted) -> bytes:
    """Read a file, an object, or a part of an object."""
    uri, place = wanted
    if isinstance(place, Member):
        return _object(place.container, place)
    return _object(uri) if is_remote(uri) else _patiently(uri, lambda: _whole(uri))


def _concurrently(group: Iterable[_Wanted], concurrent: int) -> Generator[Answer]:
    """Yield in order, with a bounded number of requests under way."""
    waiting: collections.deque[Future[Answer]] = collections.deque()
    pool = ThreadPoolExecutor(concurrent, thread_name_prefix="read")
    try:
        for wanted in group:
            waiting.append(pool.submit(_answer, wanted))
            if len(waiting) >= concurrent:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _whole(uri: str) -> bytes:
    with open_file(uri) as file:
        return file.read()


def _object(uri: str, member: Member | None = None) -> bytes:
    from evaljobs.remote import objects

    data = objects.read(uri) if member is None else objects.read(uri, member.offset, member.offset + member.size)
    if data is None:
        raise _unreadable(uri, str(no_object(uri).strerror))
    if member is not None and len(data) < member.size:
        raise _unreadable(uri, _TOO_SHORT)
    return data


class _Tar(contextlib.AbstractContextManager["_Tar"]):
    """A local tar, opened when it is first read, and again after an error."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: File | None = None

    def read(self, member: Member) -> bytes:
        """Return the bytes of a member."""
        try:
            self._file = self._file or open_file(self._path)
            self._file.seek(member.offset)
            data = self._file.read(member.size)
        except OSError:
            self.__exit__()
            raise
        if len(data) < member.size:
            raise _unreadable(self._path, _TOO_SHORT)
        return data

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


_TOO_SHORT = "the tar is shorter than when it was listed"


def _members(path: str, group: Iterable[_Wanted]) -> Generator[Answer]:
    with _Tar(path) as tar:
        for uri, place in group:
            if not isinstance(place, Member):
                raise TypeError(f"{uri} is no member of {path}")
            try:
                yield _patiently(uri, functools.partial(tar.read, place))
            except ImageError as error:
                yield error


def _rows(container: str, column: str, group: Sequence[_Wanted]) -> Generator[Answer]:
    """Yield rows of a Parquet file; after an error that may pass, the rest is read anew."""
    numbers = [place.row for _, place in group if isinstance(place, Row)]
    done = 0
    for pause_s in (*PAUSES_S, None):
        try:
            for answer in rows.read_rows(container, column, numbers[done:]):
                done += 1
                yield answer
        except ImageError as error:
            yield from (error for _ in group[done:])
            return
        except (OSError, ValueError, MemoryError) as error:
            if pause_s is None or not _may_pass(error):
                yield from (_unreadable(uri, _reason(error)) for uri, _ in group[done:])
                return
            time.sleep(pause_s)
        else:
            return


def _patiently(uri: str, read: Callable[[], bytes]) -> bytes:
    for pause_s in (*PAUSES_S, None):
        try:
            return read()
        except (OSError, ValueError, MemoryError) as error:
            if pause_s is None or not _may_pass(error):
                raise _unreadable(uri, _reason(error)) from None
        time.sleep(pause_s)
    raise AssertionError("unreachable: the last attempt returns or raises")


def _may_pass(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in TRANSIENT


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "the file does not fit into the memory"
    # A ValueError is about a null character in the name, or Arrow's about a damaged file.
    return (isinstance(error, OSError) and error.strerror) or " ".join(str(error).split())


def _unreadable(uri: str, reason: str) -> ImageError:
    return ImageError(ImageErrorKind.UNREADABLE, f"cannot read {uri!r}: {reason}")
