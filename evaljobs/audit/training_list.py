"""What a list says of a training set whose images are elsewhere: labels, digests, or both."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from evaljobs.audit.training import Training
from evaljobs.errors import UsageError
from evaljobs.remote import is_remote
from evaljobs.schemas import DIGEST

LABEL, SHA256 = "label", "sha256"
_EXPECTED = (
    f"expected a CSV or Parquet file with a column {LABEL!r}, a column {SHA256!r} (64 hexadecimal digits), or both"
)
_DIGEST = re.compile("[0-9a-f]{64}")


def read_training(location: str, where: str) -> Training:
    """Read a list of a training set: a row an image (or a label), columns ``label``, ``sha256`` of its bytes, or both.

    Other columns are not read. Parquet is told from CSV by its content. Rows without a value say nothing.

    Parameters
    ----------
    location
        Absolute path, or ``s3://bucket/key``.
    where
        What messages begin with: the key of the configuration.

    Raises
    ------
    UsageError
        If it cannot be read, has neither column, has no row, or a digest is none.
    RemoteError
        If S3 denies it or does not answer.
    """
    where = f"{where}: {location}"
    table = _read(location, where)
    if not table.num_rows:
        raise UsageError(f"{where} has no rows; {_EXPECTED}")
    labels = table[LABEL].to_pylist() if LABEL in table.column_names else None
    known = None if labels is None else frozenset(label for label in labels if label)
    if SHA256 not in table.column_names:
        return Training(labels=known, listed=True)
    digests = [_digest(text, row, where) for row, text in enumerate(table[SHA256].to_pylist(), start=1)]
    return Training(labels=known, digests=pa.array(digests, DIGEST), of_images=labels, listed=True)


def _digest(text: str | None, row: int, where: str) -> bytes | None:
    digits = (text or "").strip().lower()
    if digits and not _DIGEST.fullmatch(digits):
        raise UsageError(f"{where}: row {row} has the {SHA256} {digits[:80]!r}; expected 64 hexadecimal digits")
    return bytes.fromhex(digits) or None


def _read(location: str, where: str) -> pa.Table:
    try:
        data = _bytes(location)
        table = pa.parquet.read_table(io.BytesIO(data)) if data[:4] == b"PAR1" else _csv(data)
    except FileNotFoundError:
        raise UsageError(f"{where} does not exist; {_EXPECTED}") from None
    except IsADirectoryError:
        raise UsageError(f"{where} is a folder; name a set of its images as the training set instead") from None
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{where} cannot be read: {' '.join(str(error).split())}; {_EXPECTED}") from None
    names = [name for name in (LABEL, SHA256) if name in table.column_names]
    if not names:
        raise UsageError(f"{where} has the columns {', '.join(map(repr, table.column_names[:20]))}; {_EXPECTED}")
    return pa.table({name: _text(table[name], name, where) for name in names})


def _bytes(location: str) -> bytes:
    if not is_remote(location):
        return Path(location).read_bytes()
    from evaljobs.remote import objects

    data = objects.read(location)
    if data is None:
        raise FileNotFoundError(location)
    return data


def _csv(data: bytes) -> pa.Table:
    convert = pa.csv.ConvertOptions(column_types={LABEL: pa.string(), SHA256: pa.string()}, strings_can_be_null=False)
    return pa.csv.read_csv(
        io.BytesIO(data), parse_options=pa.csv.ParseOptions(newlines_in_values=True), convert_options=convert
    )


def _text(column: pa.ChunkedArray, name: str, where: str) -> pa.ChunkedArray:
    if pa.types.is_binary(column.type) or pa.types.is_fixed_size_binary(column.type):
        texts = [None if value is None else value.hex() for value in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.string())])
    try:
        return column.cast(pa.string())
    except pa.ArrowException:
        raise UsageError(f"{where}: the column {name!r} is of type {column.type}; {_EXPECTED}") from None
