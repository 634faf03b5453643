"""Images in a table: a CSV or Parquet file with a row per image."""

from __future__ import annotations

import difflib
import os
import re
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from evaljobs.config import Images
from evaljobs.errors import UsageError

_DRIVE = re.compile(r"/[a-z]:[/\\]", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def list_manifest(path: Path, images: Images, where: str) -> pa.Table:
    """List the images of a manifest: sample_id (id column, else uri as written), label, absolute uri; unsorted.

    Parquet is told from CSV by its content. The values of a CSV file are text, so that a label 007 stays what it is.
    Relative uris start at the manifest's folder.

    Raises
    ------
    UsageError
        If it cannot be read, lacks a column, has no row, or a value is missing.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 - links are to stay as they are written
    where = f"{where}: {path}"
    uri, label, sample_id = images.uri_column, images.label_column, images.id_column or images.uri_column
    table = _read(path, list(dict.fromkeys((uri, label, sample_id))), where)
    if not table.num_rows:
        raise UsageError(f"{where} has no rows; expected one for each image below the column names")
    columns = {name: _as_text(table[name], name, where) for name in table.column_names}
    folder = str(path.parent)
    uris = pa.array([_local(text, folder, where) for text in columns[uri].to_pylist()], pa.string())
    return pa.table({"sample_id": columns[sample_id], "label": columns[label], "uri": uris})


def _read(path: Path, columns: Sequence[str], where: str) -> pa.Table:
    try:
        with path.open("rb") as file:
            parquet = file.read(4) == b"PAR1"
        return _read_parquet(path, columns, where) if parquet else _read_csv(path, columns, where)
    except FileNotFoundError:
        raise UsageError(
            f"{where} does not exist; check `manifest`, which is relative to the configuration file"
        ) from None
    except IsADirectoryError:
        raise UsageError(f"{where} is a folder, not a file; for a folder of images use `folder`") from None
    except UnicodeDecodeError:
        raise UsageError(f"{where} is not UTF-8 text; save it as UTF-8 CSV or as Parquet") from None
    except (pa.ArrowException, OSError) as error:
        message = " ".join(str(error).split())
        if "UTF8" in message:
            message = f"it is not UTF-8 text ({message})"
        raise UsageError(f"{where} cannot be read: {message}; expected UTF-8 CSV or Parquet") from None


def _read_csv(path: Path, columns: Sequence[str], where: str) -> pa.Table:
    parse = pa.csv.ParseOptions(newlines_in_values=True)
    with pa.csv.open_csv(path, parse_options=parse) as reader:
        names = reader.schema.names
    _check_columns(names, columns, where)
    convert = pa.csv.ConvertOptions(
        include_columns=columns, column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
    )
    return pa.csv.read_csv(path, parse_options=parse, convert_options=convert)


def _read_parquet(path: Path, columns: Sequence[str], where: str) -> pa.Table:
    with pa.parquet.ParquetFile(path) as file:
        _check_columns(file.schema_arrow.names, columns, where)
        return file.read(columns=columns)


def _check_columns(names: Sequence[str], columns: Sequence[str], where: str) -> None:
    for column in columns:
        if names.count(column) > 1:
            raise UsageError(f"{where} has {names.count(column)} columns named {column!r}; name each column once")
        if column not in names:
            near = difflib.get_close_matches(column, names, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(repr(name) for name in names[:20])}."
            separated = " Its columns seem not to be separated by commas." if re.search("[;\t|]", names[0]) else ""
            raise UsageError(
                f"{where} has no column {column!r}; {hint}{separated} "
                "Set `uri_column`, `label_column` or `id_column` to columns it has"
            )


def _as_text(column: pa.ChunkedArray, name: str, where: str) -> pa.ChunkedArray:
    """Return a text or integer column as text; refuse other types and missing values."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    text = any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))
    if not text and not pa.types.is_integer(kind) and not pa.types.is_null(kind):
        raise UsageError(f"{where}: column {name!r} holds {kind}; expected text or integers")
    values = pc.cast(pc.cast(column, kind), pa.string())
    missing = pc.fill_null(pc.equal(values, ""), fill_value=True)
    if count := pc.sum(missing).as_py():
        rows = pc.indices_nonzero(missing).slice(0, 3).to_pylist()
        shown = ", ".join(str(row + 1) for row in rows)
        raise UsageError(
            f"{where}: {count:,} row(s) have no value in column {name!r}, the first in row {shown} (counted from 1, "
            "without the column names); fill them in or take these rows out"
        )
    return values


def _local(uri: str, folder: str, where: str) -> str:
    if _SCHEME.match(uri):
        scheme, _, rest = uri.partition("://")
        if scheme.lower() != "file":
            raise UsageError(f"{where}: the uri {uri!r} is not a local file; expected a path or file://")
        local = urllib.parse.unquote(rest.removeprefix("localhost"))
        return local[1:] if os.name == "nt" and _DRIVE.match(local) else local
    return os.path.join(folder, uri)  # noqa: PTH118 - no Path for each of a million rows; it keeps absolute ones
