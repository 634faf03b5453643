"""The members of a tar: names and places, from its headers alone. Nothing is unpacked."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from typing import NamedTuple

from evaljobs.images.files import File

_BLOCK = 512
_CHUNK = 2**20
# Long names and pax records are read into memory; no writer makes larger ones.
_LARGEST_HEADER = 2**20


class DamagedTarError(Exception):
    """A tar that is cut off, or is none, or says what cannot be."""


class Entry(NamedTuple):
    """A member: name as it is written, place of its bytes; a link has none of its own."""

    name: str
    offset: int
    size: int
    link: bool


def entries(file: File, size: int) -> Iterator[Entry]:
    """Yield files and links of a tar in their order. The file may be read between two of them.

    Parameters
    ----------
    file
        Open, at its start.
    size
        Of the file in bytes.

    Raises
    ------
    DamagedTarError
        If it is compressed, cut off, or a header is damaged or points beyond the end.
    """
    _refuse_compressed(file)
    try:
        with tarfile.open(fileobj=_Headers(file), mode="r:") as archive:  # type: ignore[call-overload] # it reads and seeks
            while (info := archive.next()) is not None:
                archive.members.clear()  # it would keep a million of them
                if info.isreg() or info.islnk() or info.issym():
                    yield _checked(info, size)
            end = archive.offset
    except (tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        raise DamagedTarError(f"it is no tar, or a damaged one ({' '.join(str(error).split())[:200]})") from None
    _check_end(file, end, size)


def _checked(info: tarfile.TarInfo, size: int) -> Entry:
    if info.issparse():
        raise DamagedTarError(f"its member {info.name!r} is sparse; pack it again without --sparse")
    if info.size < 0 or info.offset_data + info.size > size:
        raise DamagedTarError(
            f"its member {info.name!r} is said to have {info.size:,} bytes from byte {info.offset_data:,}, which is "
            f"beyond the end of the file ({size:,} bytes): it was cut off, or its header is damaged"
        )
    return Entry(info.name, info.offset_data, info.size, not info.isreg())


def _check_end(file: File, end: int, size: int) -> None:
    """Refuse what does not end in zeros alone: tarfile takes a damaged header, or one of zeros, for the end."""
    file.seek(end)
    block = file.read(_BLOCK)
    if len(block) < _BLOCK:
        raise DamagedTarError(f"it ends after {size:,} bytes without an end mark: it was cut off")
    if any(block):
        raise DamagedTarError(f"the header at byte {end:,} is damaged")
    # Up to what is not zero: of a whole tar that is the rest of its last 10,240 bytes.
    while block := file.read(_CHUNK):
        if any(block):
            raise DamagedTarError(
                f"an end mark stands at byte {end:,}, but more follows: it has a hole, or tars were joined; unpack it "
                "and pack it again, or list the tars apart"
            )


def _refuse_compressed(file: File) -> None:
    start = file.read(6)
    file.seek(0)
    signatures = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
    for signature, name in signatures.items():
        if start.startswith(signature):
            raise DamagedTarError(
                f"it is compressed with {name}, so that images inside cannot be reached without unpacking all before "
                "them; unpack the tar itself, which costs no room, as images are compressed already"
            )


class _Headers:
    """What tarfile reads of a file: headers, and never more than a header may have."""

    def __init__(self, file: File) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        """Return the next bytes."""
        if not 0 <= size <= _LARGEST_HEADER:
            raise tarfile.ReadError(f"a header says that it has {size:,} bytes")
        return self._file.read(size)

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        if position < 0:
            raise tarfile.ReadError(f"a header points to byte {position:,}")
        return self._file.seek(position, whence)

    def tell(self) -> int:
        """Return the place."""
        return self._file.tell()
