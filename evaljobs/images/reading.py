"""The bytes of one image."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time

from evaljobs.errors import ImageError, ImageErrorKind

# What a busy disk or a network file system says before it answers again.
TRANSIENT = frozenset({errno.EIO, errno.ESTALE, errno.EAGAIN, errno.ETIMEDOUT, errno.EINTR, errno.EBUSY})
PAUSES_S = (0.05, 0.2, 0.8)
# Without O_NONBLOCK, opening a FIFO waits for its writer for ever. Not every system has every flag.
_FLAGS = os.O_RDONLY
for _name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
    _FLAGS |= getattr(os, _name, 0)


def digest_of(data: bytes) -> bytes:
    """Return the image digest: the sha256 of the encoded bytes, 32 bytes."""
    return hashlib.sha256(data).digest()


def read_bytes(uri: str) -> bytes:
    """Read one image, whole; I/O errors that may pass are tried again within about a second.

    Parameters
    ----------
    uri
        Absolute path of a regular file.

    Raises
    ------
    ImageError
        UNREADABLE, with the reason: vanished, a directory, no permission, an I/O error that stays.
    """
    for pause_s in (*PAUSES_S, None):
        try:
            return _read_once(uri)
        except OSError as error:
            if pause_s is None or error.errno not in TRANSIENT:
                raise _unreadable(uri, error.strerror or str(error)) from None
        except ValueError as error:  # a null character in the name
            raise _unreadable(uri, str(error)) from None
        except MemoryError:
            raise _unreadable(uri, "the file does not fit into the memory") from None
        time.sleep(pause_s)
    raise AssertionError("unreachable: the last attempt returns or raises")


def _read_once(uri: str) -> bytes:
    descriptor = os.open(uri, _FLAGS)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise _unreadable(uri, f"it is {_kind(mode)}, not a regular file")
        return file.read()


def _kind(mode: int) -> str:
    names = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a FIFO", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
    return names.get(stat.S_IFMT(mode), "a special file")


def _unreadable(uri: str, reason: str) -> ImageError:
    return ImageError(ImageErrorKind.UNREADABLE, f"cannot read {uri!r}: {reason}")
