"""Local files and objects on S3 as one kind of file that can be read at any place."""

from __future__ import annotations

import errno
import io
import os
import stat
from typing import TYPE_CHECKING

from evaljobs.errors import ImageError, ImageErrorKind
from evaljobs.remote import is_remote

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# Without O_NONBLOCK, opening a FIFO waits for its writer for ever. Not every system has every flag.
_FLAGS = os.O_RDONLY
for _name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
    _FLAGS |= getattr(os, _name, 0)


def open_file(location: str, ahead: int = 0) -> File:
    """Open a regular local file or an object.

    Parameters
    ----------
    location
        An absolute path or ``s3://bucket/key``.
    ahead
        Of an object: how many bytes at least one request asks for; what is not read yet is kept.

    Raises
    ------
    OSError
        If it is not there or cannot be opened.
    ImageError
        UNREADABLE: a directory, FIFO or device.
    RemoteError
        If S3 denies it, or does not answer.
    """
    if is_remote(location):
        return _opened_object(location, ahead)
    descriptor = os.open(location, _FLAGS)
    file = open(descriptor, "rb")  # noqa: PTH123, SIM115 - a descriptor, not a path; the caller closes it
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        file.close()
        raise ImageError(
            ImageErrorKind.UNREADABLE, f"cannot read {location!r}: it is {_kind(mode)}, not a regular file"
        )
    return file


def _opened_object(uri: str, ahead: int) -> RemoteFile:
    from evaljobs.remote import objects

    found = objects.stat(uri)
    if found is None:
        raise no_object(uri)
    return RemoteFile(uri, found.size, ahead)


def no_object(uri: str) -> FileNotFoundError:
    """Return the error for an object that is not there."""
    return FileNotFoundError(errno.ENOENT, "no such object", uri)


def _kind(mode: int) -> str:
    names = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a FIFO", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
    return names.get(stat.S_IFMT(mode), "a special file")


class RemoteFile(io.RawIOBase):
    """An object that is read by ranges.

    Parameters
    ----------
    uri, size
        The object, and its length in bytes.
    ahead
        How many bytes at least one request asks for.
    """

    def __init__(self, uri: str, size: int, ahead: int) -> None:
        super().__init__()
        self._uri, self._size, self._ahead = uri, size, ahead
        self._position = 0
        self._kept, self._kept_at = b"", 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes; fewer at the end."""
        start = self._position
        stop = self._size if size is None or size < 0 else min(self._size, start + size)
        if stop <= start:
            return b""
        if not self._kept_at <= start <= stop <= self._kept_at + len(self._kept):
            self._fetch(start, max(stop, start + self._ahead))
        data = self._kept[start - self._kept_at : stop - self._kept_at]
        self._position += len(data)
        return data

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill a buffer; return how many bytes it got."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def seek(self, position: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a place."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = origin + position
        return self._position

    def tell(self) -> int:
        """Return the place."""
        return self._position

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that any place can be gone to."""
        return True

    def _fetch(self, start: int, stop: int) -> None:
        from evaljobs.remote import objects

        data = objects.read(self._uri, start, min(stop, self._size))
        if data is None:
            raise no_object(self._uri)
        self._kept, self._kept_at = data, start


File = io.BufferedReader | RemoteFile
