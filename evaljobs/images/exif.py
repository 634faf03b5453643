"""Orientation, camera and software out of EXIF data, which may hold anything.

Only the first directory is read, and of it only these four entries: nothing is followed, nothing that an entry
claims is allocated, and nothing raises. Of people nothing is read: no place, time, name or serial number.
Format: CIPA DC-008 (Exif 2.32), 4.6; TIFF 6.0, section 2.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

_ORIENTATION, _MAKE, _MODEL, _SOFTWARE, _EXIF_DIRECTORY = 0x0112, 0x010F, 0x0110, 0x0131, 0x8769
_WANTED = frozenset({_ORIENTATION, _MAKE, _MODEL, _SOFTWARE})
_ASCII, _SHORT, _LONG = 2, 3, 4
_BYTE_ORDERS = {b"II*\x00": "<", b"MM\x00*": ">"}
# As many as sixteen bits can claim are not worth reading.
_MOST_ENTRIES = 1000
# What is shown of a text.
_MOST_LETTERS = 80


class Exif(NamedTuple):
    """What is taken from EXIF data: whether there is some, turns 1 to 8, and who made the picture; null: not said."""

    exif: bool = False
    orientation: int | None = None
    camera: str | None = None
    software: str | None = None


def of_bytes(data: bytes) -> Exif:
    """Return what EXIF data say, as they stand in a file; of damaged ones, what can be read."""
    for _ in range(2):  # some cameras write it twice
        data = data.removeprefix(b"Exif\x00\x00")
    return _named(dict(_entries(data)), present=True)


def of_tags(tags: Mapping[int, Any]) -> Exif:
    """Return what the directory of a TIFF file says, which has such entries whether it has EXIF data or not."""
    found: dict[int, object] = {}
    present = False
    try:
        present = _EXIF_DIRECTORY in tags
        for tag in _WANTED:
            found[tag] = tags.get(tag)
    except Exception:  # noqa: S110 - Pillow interprets entries when they are asked for, and hostile ones raise anything
        pass
    return _named(found, present=present)


def clean(value: object) -> str | None:
    """Return a text as one short printable line; None where nothing is left of it."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        return None
    line = " ".join(re.sub(r"[^\x20-\x7e\xa1-\U0010ffff]", " ", value.split("\x00", 1)[0]).split())
    printable = "".join(letter for letter in line if letter.isprintable())
    return printable[:_MOST_LETTERS].strip() or None


def _named(found: Mapping[int, object], *, present: bool) -> Exif:
    turn = found.get(_ORIENTATION)
    make, model = clean(found.get(_MAKE)), clean(found.get(_MODEL))
    if make and model and model.lower().startswith(make.lower()):
        make = None
    camera = clean(" ".join(part for part in (make, model) if part))
    return Exif(
        present,
        turn if isinstance(turn, int) and 1 <= turn <= 8 else None,
        camera,
        clean(found.get(_SOFTWARE)),
    )


def _entries(data: bytes) -> Iterator[tuple[int, object]]:
    """Yield the wanted entries of the first directory; what lies outside the data is left out."""
    order = _BYTE_ORDERS.get(data[:4])
    if order is None or len(data) < 10:
        return
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    if start + 2 > len(data):
        return
    (n,) = struct.unpack_from(f"{order}H", data, start)
    room = (len(data) - start - 2) // 12
    for entry in range(min(n, room, _MOST_ENTRIES)):
        place = start + 2 + 12 * entry
        tag, kind, count = struct.unpack_from(f"{order}HHI", data, place)
        if tag in _WANTED and (value := _value(data, order, place + 8, kind, count)) is not None:
            yield tag, value


def _value(data: bytes, order: str, place: int, kind: int, count: int) -> object:
    if kind == _ASCII:
        first = place if count <= 4 else struct.unpack_from(f"{order}I", data, place)[0]
        return data[first : first + min(count, 4 * _MOST_LETTERS)]
    if kind in {_SHORT, _LONG} and count == 1:
        (number,) = struct.unpack_from(f"{order}{'H' if kind == _SHORT else 'I'}", data, place)
        return number
    return None
