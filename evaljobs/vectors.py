"""Vectors that somebody already has: a table with a column of embeddings and one of labels."""

from __future__ import annotations

import dataclasses
import difflib
import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evaljobs.errors import InputError
from evaljobs.remote import AnyPath, is_remote
from evaljobs.remote.whole import read_whole

FORMATS = "Arrow (.arrow, .feather), Parquet (.parquet) or NumPy (.npz)"

# What numpy, zipfile and pyarrow raise for files that are truncated, damaged, encrypted or of another kind.
_UNREADABLE = (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, pa.ArrowException)
# The end of an Arrow stream. Readers do without it, and so take a stream that was cut between two batches for whole.
_END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"


@dataclasses.dataclass(frozen=True)
class Vectors:
    """``[n, d]`` embeddings of any number type, and ``[n]`` labels and ids where the table has them."""

    embeddings: np.ndarray[tuple[int, int], np.dtype[Any]]
    labels: Sequence[object] | None
    ids: Sequence[str] | None


@dataclasses.dataclass(frozen=True)
class Columns:
    """What the columns are called."""

    embedding: str = "embedding"
    label: str = "label"
    id: str = "id"


def read_vectors(place: AnyPath, columns: Columns, *, labelled: bool = True) -> Vectors:
    """Read a table of vectors.

    Parameters
    ----------
    place
        On this machine or on S3.
    labelled
        Whether it must have labels.

    Raises
    ------
    InputError
        If it cannot be read, a column is missing, or the rows have not all the same length.
    RemoteError
        If S3 denies it or does not answer.
    """
    suffix = PurePath(place).suffix
    try:
        if suffix == ".npz":
            return _from_npz(place, columns, labelled=labelled)
        if suffix == ".parquet":
            return _from_table(pq.read_table(_source(place)), place, columns, labelled=labelled)
        if suffix in {".arrow", ".feather", ".ipc"}:
            return _from_table(_read_arrow(place), place, columns, labelled=labelled)
    except FileNotFoundError:
        raise InputError(f"no file {place}; expected {FORMATS}") from None
    except _UNREADABLE as error:
        raise InputError(f"cannot read {place}: {' '.join(str(error).split())[:200]}; expected {FORMATS}") from None
    raise InputError(f"{place}: no format is known by the ending {suffix!r}; expected {FORMATS}")


def _source(place: AnyPath) -> Any:
    """Return what pyarrow reads: a path, or the bytes of an object."""
    return pa.BufferReader(read_whole(place)) if is_remote(place) else str(place)


def _read_arrow(place: AnyPath) -> pa.Table:
    with pa.BufferReader(read_whole(place)) if is_remote(place) else pa.OSFile(str(place)) as source:
        try:
            return pa.ipc.open_file(source).read_all()
        except pa.ArrowInvalid:
            source.seek(0)
            table = pa.ipc.open_stream(source).read_all()
            source.seek(max(0, source.size() - len(_END_OF_STREAM)))
            if source.read() != _END_OF_STREAM:
                raise ValueError("the stream has no end; it was probably cut off") from None
            return table


def _from_npz(place: AnyPath, columns: Columns, *, labelled: bool) -> Vectors:
    # Opened here: numpy leaves a file open that turns out to be no archive, and reads one that is a single array.
    with io.BytesIO(read_whole(place)) if is_remote(place) else Path(place).open("rb") as file:
        if not zipfile.is_zipfile(file):
            raise ValueError("it is no .npz archive, or was cut off")
        file.seek(0)
        return _from_archive(file, place, columns, labelled=labelled)


def _from_archive(file: BinaryIO, place: AnyPath, columns: Columns, *, labelled: bool) -> Vectors:
    with np.load(file, allow_pickle=False) as arrays:
        _need(place, list(arrays), columns, labelled=labelled)
        for name in {columns.label, columns.id} & set(arrays):
            if arrays[name].ndim != 1:
                raise InputError(
                    f"{place}: {name!r} has {arrays[name].ndim} dimensions; expected one value for each row"
                )
        ids = [str(i) for i in arrays[columns.id]] if columns.id in arrays else None
        labels = arrays[columns.label].tolist() if columns.label in arrays else None
        return Vectors(arrays[columns.embedding], labels, ids)


def _from_table(table: pa.Table, place: AnyPath, columns: Columns, *, labelled: bool) -> Vectors:
    _need(place, table.column_names, columns, labelled=labelled)
    ids, labels = (
        _values(table[name], what, place) if name in table.column_names else None
        for name, what in ((columns.id, "id"), (columns.label, "label"))
    )
    return Vectors(_matrix(table[columns.embedding], place), labels, None if ids is None else [str(i) for i in ids])


def _values(column: pa.ChunkedArray, what: str, place: AnyPath) -> list[object]:
    if column.null_count:
        raise InputError(f"{place}: {column.null_count:,} {what}s are null; give every row its {what}, or drop it")
    values: list[object] = column.to_pylist()
    return values


def _matrix(column: pa.ChunkedArray, place: AnyPath) -> np.ndarray[tuple[int, int], np.dtype[Any]]:
    kind = column.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        raise InputError(f"{place}: the embeddings are {kind}; expected a list of floating-point numbers in every row")
    array = column.combine_chunks()
    lengths = array.value_lengths() if not pa.types.is_fixed_size_list(kind) else pa.array([kind.list_size])
    different = sorted(set(lengths.unique().to_pylist()), key=lambda length: -1 if length is None else length)
    if len(different) > 1 or array.null_count:
        raise InputError(f"{place}: embeddings have different lengths ({different[:5]}); expected one length, no nulls")
    if not len(array):
        raise InputError(f"{place}: the table is empty; expected a row per sample")
    values = array.flatten()
    if values.null_count:
        raise InputError(f"{place}: {values.null_count:,} numbers inside embeddings are null; expected numbers")
    matrix: np.ndarray[tuple[int, int], np.dtype[Any]] = values.to_numpy(zero_copy_only=False).reshape(len(array), -1)
    return matrix


def _need(place: AnyPath, found: list[str], columns: Columns, *, labelled: bool) -> None:
    for option, name, needed in (("--embedding", columns.embedding, True), ("--label", columns.label, labelled)):
        if needed and name not in found:
            near = difflib.get_close_matches(name, found, n=1)
            hint = f"did you mean {option} {near[0]}?" if near else f"name it with {option}"
            raise InputError(f"{place} has no column {name!r} (found: {', '.join(found)}); {hint}")
