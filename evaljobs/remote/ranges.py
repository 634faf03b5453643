"""An object on S3 as a file that is read at any place, for readers that need only parts of it."""

from __future__ import annotations

import errno
import io
import os

from evaljobs.remote.objects import End, read_end, read_range
from evaljobs.remote.patience import patiently

# Of the end, in the first request: where Arrow, Parquet and others keep what they look at first.
_END_BYTES = 64 << 10
# At least so much in each later one: small reads follow each other, and a request costs more than the bytes.
_BLOCK_BYTES = 64 << 10


class RangeFile(io.RawIOBase):
    """A seekable file over range requests; what was read last is kept, and the end.

    It stays the same object: if another is written in its place, reading fails. Made by `open_ranges`.
    """

    def __init__(self, uri: str, size: int, etag: str, end: bytes) -> None:
        super().__init__()
        self._uri, self._size, self._etag = uri, size, etag
        self._position = 0
        # (offset, bytes): what the file ends with, and what was read last
        self._end = (size - len(end), end)
        self._last = self._end

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def tell(self) -> int:
        """Return the place of the next byte to be read."""
        return self._position

    def size(self) -> int:
        """Return the bytes of the whole object."""
        return self._size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place; nothing is requested before something is read there."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed has no name for a buffer
        """Read into a buffer as many bytes as it takes, fewer at the end; return how many.

        Raises
        ------
        RemoteError
            If the object cannot be read, or another was written in its place.
        OSError
            If it was deleted.
        """
        start = self._position
        data = self._between(start, min(start + len(buffer), self._size))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _between(self, start: int, stop: int) -> bytes:
        if start >= stop:
            return b""
        for offset, data in (self._end, self._last):
            if offset <= start and stop <= offset + len(data):
                return data[start - offset : stop - offset]
        data = self._requested(start, min(max(stop, start + _BLOCK_BYTES), self._size))
        self._last = (start, data)
        return data[: stop - start]

    def _requested(self, start: int, stop: int) -> bytes:
        def ask() -> bytes | None:
            data = read_range(self._uri, start, stop, self._etag)
            if data is not None:
                _require_whole(len(data), stop - start)
            return data

        if (data := patiently("read", self._uri, ask)) is None:
            raise FileNotFoundError(errno.ENOENT, f"the object {self._uri} was deleted while it was read")
        return data


def open_ranges(uri: str) -> RangeFile | None:
    """Open an object, in one request that brings its end; None where there is no such object."""

    def ask() -> End | None:
        end = read_end(uri, _END_BYTES)
        if end is not None:
            # More where the server sends all of it, whatever was asked for.
            _require_whole(min(len(end.data), _END_BYTES), min(end.size, _END_BYTES))
        return end

    end = patiently("read", uri, ask)
    return None if end is None else RangeFile(uri, end.size, end.etag, end.data)


def _require_whole(found: int, expected: int) -> None:
    """Raise what is worth another try where an answer was cut off without the client's notice."""
    if found != expected:
        raise ConnectionError(f"found {found} bytes, expected {expected}")
