"""Where the bytes of an image lie: a file, an object, or a part of a container.

An image's uri is an absolute local path, ``s3://bucket/key``, ``tar:<container>#<offset>,<size>`` or
``parquet:<container>#<row>``, where the container is a path or an object. The column of a Parquet image that is not
named ``image`` stands behind the row: ``#<row>,<column>``, percent-encoded.
"""

from __future__ import annotations

import re
import urllib.parse
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

IMAGE_COLUMN = "image"

_INSIDE = re.compile(r"(tar|parquet):(.*)#(\d+)(?:,([^#]*))?", re.DOTALL)
_ARROW_INSIDE = r"(?s)^(?P<container>(?:tar|parquet):.*)#(?P<start>\d+)(?:,[^#]*)?$"


class Member(NamedTuple):
    """A part of a tar: where its bytes begin, and how many they are."""

    container: str
    offset: int
    size: int


class Row(NamedTuple):
    """A row of a Parquet file, counted from 0 over its row groups."""

    container: str
    row: int
    column: str


def member_uri(member: Member) -> str:
    """Return the uri of an image inside a tar."""
    return f"tar:{member.container}#{member.offset},{member.size}"


def row_uris(container: str, rows: int, column: str) -> list[str]:
    """Return the uris of all images of a Parquet file."""
    suffix = "" if column == IMAGE_COLUMN else f",{urllib.parse.quote(column, safe='')}"
    return [f"parquet:{container}#{row}{suffix}" for row in range(rows)]


def place_of(uri: str) -> Member | Row | None:
    """Return where inside a container an image lies; None where it is a file or an object of its own."""
    # Local paths are absolute, so none of them begins like a container.
    found = _INSIDE.fullmatch(uri) if uri.startswith(("tar:", "parquet:")) else None
    if found is None:
        return None
    kind, container, start, more = found.groups()
    if kind == "tar":
        return Member(container, int(start), int(more))
    return Row(container, int(start), urllib.parse.unquote(more) if more else IMAGE_COLUMN)


def reading_order(uris: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Return the order in which images are best read: what is in one container together, from front to back.

    Containers come in order of their first image; files and objects keep their order.

    Returns
    -------
    int64 [n]: a permutation of the rows.
    """
    inside = pc.extract_regex(uris, _ARROW_INSIDE)
    if inside.null_count == len(uris):
        return np.arange(len(uris))
    container = pc.fill_null(pc.struct_field(inside, "container"), "")
    start = pc.fill_null(pc.cast(pc.struct_field(inside, "start"), pa.int64()), 0)
    codes = pa.chunked_array([container] if isinstance(container, pa.Array) else container.chunks)
    codes = codes.combine_chunks().dictionary_encode().indices
    # Stable: what has no place keeps its order.
    return np.lexsort((start.to_numpy(), codes.to_numpy()))
