"""Arrow tables as bytes with a checksum, so that a damaged or truncated file is known for what it is."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

_CHECKSUM = b"evaljobs.sha256"


class DamagedError(Exception):
    """A file is not what was once written."""


def to_bytes(table: pa.Table, metadata: dict[str, str]) -> bytes:
    """Return an Arrow IPC file with a checksum of its rows in the schema metadata."""
    table = table.combine_chunks()
    pairs = {key.encode(): value.encode() for key, value in metadata.items()}
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **pairs, _CHECKSUM: _checksum(table)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def from_bytes(data: bytes) -> pa.Table:
    """Read what `to_bytes` wrote.

    Raises
    ------
    DamagedError
        If the bytes are truncated or changed.
    """
    try:
        table = pa.ipc.open_file(pa.py_buffer(data)).read_all()
        expected = (table.schema.metadata or {}).get(_CHECKSUM)
        actual = _checksum(table)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedError(str(error)) from None
    if expected != actual:
        raise DamagedError("its rows do not have the checksum that it names")
    return table


def first_column(file: pa.NativeFile, name: str) -> pa.Array:
    """Read the first column of what `to_bytes` wrote; of the other columns no byte is read, and nothing is checked.

    Raises
    ------
    DamagedError
        If the file is truncated, or its first column has another name.
    OSError
        If the file system fails: that says nothing about the file.
    """
    with _telling_damage():
        only_first = pa.ipc.IpcReadOptions(included_fields=[0])
        table = pa.ipc.open_file(file, options=only_first).read_all()
    if table.column_names != [name]:
        raise DamagedError(f"its first column is {table.column_names}, expected {name!r}")
    return table.column(0).combine_chunks()


def metadata_of(file: pa.NativeFile) -> dict[str, str]:
    """Read what `to_bytes` was given as metadata; nothing of the rows is read.

    Raises
    ------
    DamagedError
        If the file is truncated.
    OSError
        If the file system fails: that says nothing about the file.
    """
    with _telling_damage():
        found = pa.ipc.open_file(file).schema.metadata or {}
    return {key.decode(errors="replace"): value.decode(errors="replace") for key, value in found.items()}


@contextlib.contextmanager
def _telling_damage() -> Iterator[None]:
    """Raise what Arrow cannot make sense of as DamagedError, and what the file system says as it is."""
    try:
        yield
    except OSError as error:
        # Arrow names what it cannot make sense of an OSError too, without an errno.
        if error.errno is not None:
            raise
        raise DamagedError(str(error)) from None
    except (pa.ArrowException, ValueError) as error:
        raise DamagedError(str(error)) from None


def _checksum(table: pa.Table) -> bytes:
    """Hash names, types and values: nothing of how Arrow lays them out, which may change with its version."""
    digest = hashlib.sha256(str([(field.name, str(field.type)) for field in table.schema]).encode())
    for column in table.columns:
        for values in _values(column):
            digest.update(values)
    return digest.hexdigest().encode()


def _values(column: pa.ChunkedArray) -> Iterator[bytes | memoryview]:
    """Yield the values as bytes; those of large columns as they lie in memory, without a copy."""
    if not pa.types.is_fixed_size_list(column.type):
        yield repr(_objects(column)).encode()
        return
    for chunk in column.chunks:
        yield memoryview(chunk.flatten().to_numpy(zero_copy_only=False).view(np.uint8))


def _objects(column: pa.ChunkedArray) -> list[object]:
    """Return the values as Python's; digests several times as fast as Arrow does."""
    if not pa.types.is_fixed_size_binary(column.type) or column.null_count or not column.type.byte_width:
        objects: list[object] = column.to_pylist()
        return objects
    width, every = column.type.byte_width, b"".join(map(joined, column.chunks))
    return [every[place : place + width] for place in range(0, len(every), width)]


def joined(values: pa.FixedSizeBinaryArray) -> bytes:
    """Return values of one length, such as digests, one after the other, without a Python object for each."""
    width = values.type.byte_width
    data: bytes = (
        values.buffers()[1].slice(values.offset * width, len(values) * width).to_pybytes() if len(values) else b""
    )
    return data
