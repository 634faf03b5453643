"""Vectors that somebody already has: a table with a column of embeddings and one of labels."""

from __future__ import annotations

import dataclasses
import difflib
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from evaljobs.errors import InputError

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


def read_vectors(path: Path, columns: Columns, *, labelled: bool = True) -> Vectors:
    """Read a table of vectors.

    Parameters
    ----------
    labelled
        Whether it must have labels.

    Raises
    ------
    InputError
        If it cannot be read, a column is missing, or the rows have not all the same length.
    """
    try:
        if path.suffix == ".npz":
            return _from_npz(path, columns, labelled=labelled)
        if path.suffix == ".parquet":
            return _from_table(pq.read_table(path), path, columns, labelled=labelled)
        if path.suffix in {".arrow", ".feather", ".ipc"}:
            return _from_table(_read_arrow(path), path, columns, labelled=labelled)
    except FileNotFoundError:
        raise InputError(f"no file {path}; expected {FORMATS}") from None
    except _UNREADABLE as error:
        raise InputError(f"cannot read {path}: {' '.join(str(error).split())[:200]}; expected {FORMATS}") from None
    raise InputError(f"{path}: no format is known by the ending {path.suffix!r}; expected {FORMATS}")


def _read_arrow(path: Path) -> pa.Table:
    with pa.OSFile(str(path)) as source:
        try:
            return pa.ipc.open_file(source).read_all()
        except pa.ArrowInvalid:
            source.seek(0)
            table = pa.ipc.open_stream(source).read_all()
            source.seek(max(0, source.size() - len(_END_OF_STREAM)))
            if source.read() != _END_OF_STREAM:
                raise ValueError("the stream has no end; it was probably cut off") from None
            return table


def _from_npz(path: Path, columns: Columns, *, labelled: bool) -> Vectors:
    # Opened here: numpy leaves a file open that turns out to be no archive, and reads one that is a single array.
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            raise ValueError("it is no .npz archive, or was cut off")
        file.seek(0)
        return _from_archive(file, path, columns, labelled=labelled)


def _from_archive(file: BinaryIO, path: Path, columns: Columns, *, labelled: bool) -> Vectors:
    with np.load(file, allow_pickle=False) as arrays:
        _need(path, list(arrays), columns, labelled=labelled)
        for name in {columns.label, columns.id} & set(arrays):
            if arrays[name].ndim != 1:
                raise InputError(
                    f"{path}: {name!r} has {arrays[name].ndim} dimensions; expected one value for each row"
                )
        ids = [str(i) for i in arrays[columns.id]] if columns.id in arrays else None
        labels = arrays[columns.label].tolist() if columns.label in arrays else None
        return Vectors(arrays[columns.embedding], labels, ids)


def _from_table(table: pa.Table, path: Path, columns: Columns, *, labelled: bool) -> Vectors:
    _need(path, table.column_names, columns, labelled=labelled)
    ids, labels = (
        _values(table[name], what, path) if name in table.column_names else None
        for name, what in ((columns.id, "id"), (columns.label, "label"))
    )
    return Vectors(_matrix(table[columns.embedding], path), labels, None if ids is None else [str(i) for i in ids])


def _values(column: pa.ChunkedArray, what: str, path: Path) -> list[object]:
    if column.null_count:
        raise InputError(f"{path}: {column.null_count:,} {what}s are null; give every row its {what}, or drop it")
    values: list[object] = column.to_pylist()
    return values


def _matrix(column: pa.ChunkedArray, path: Path) -> np.ndarray[tuple[int, int], np.dtype[Any]]:
    kind = column.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        raise InputError(f"{path}: the embeddings are {kind}; expected a list of floating-point numbers in every row")
    array = column.combine_chunks()
    lengths = array.value_lengths() if not pa.types.is_fixed_size_list(kind) else pa.array([kind.list_size])
    different = sorted(set(lengths.unique().to_pylist()), key=lambda length: -1 if length is None else length)
    if len(different) > 1 or array.null_count:
        raise InputError(f"{path}: embeddings have different lengths ({different[:5]}); expected one length, no nulls")
    if not len(array):
        raise InputError(f"{path}: the table is empty; expected a row per sample")
    values = array.flatten()
    if values.null_count:
        raise InputError(f"{path}: {values.null_count:,} numbers inside embeddings are null; expected numbers")
    matrix: np.ndarray[tuple[int, int], np.dtype[Any]] = values.to_numpy(zero_copy_only=False).reshape(len(array), -1)
    return matrix


def _need(path: Path, found: list[str], columns: Columns, *, labelled: bool) -> None:
    for option, name, needed in (("--embedding", columns.embedding, True), ("--label", columns.label, labelled)):
        if needed and name not in found:
            near = difflib.get_close_matches(name, found, n=1)
            hint = f"did you mean {option} {near[0]}?" if near else f"name it with {option}"
            raise InputError(f"{path} has no column {name!r} (found: {', '.join(found)}); {hint}")
