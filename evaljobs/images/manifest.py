"""Images in a table: a CSV or Parquet file with a row per image."""

from __future__ import annotations

import io
import os
import re
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from evaljobs.config import OWN_COLUMN, Images
from evaljobs.errors import UsageError
from evaljobs.images.columns import as_text, check_columns
from evaljobs.images.own_columns import typed
from evaljobs.images.places import place_of
from evaljobs.remote import is_remote
from evaljobs.remote.uri import join, split

_DRIVE = re.compile(r"/[a-z]:[/\\]", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_KEYS = "`uri_column`, `label_column`, `id_column` or `columns`"
_PARQUET = b"PAR1"


def list_manifest(location: str, images: Images, where: str) -> pa.Table:
    """List the images of a manifest: sample_id (id column, else uri as written), label, absolute uri; unsorted.

    Behind these stand the columns of people's own that the entry names (`evaljobs.images.own_columns`).
    Parquet is told from CSV by its content. The values of a CSV file are text, so that a label 007 stays what it is.
    Relative uris start at the manifest's folder; one may name an image inside a tar or Parquet file, as
    `evaljobs.images.places` has it.

    Parameters
    ----------
    location
        Absolute path, or ``s3://bucket/key``.
    images, where
        The set's entry in the configuration, and what messages begin with.

    Raises
    ------
    UsageError
        If it cannot be read, lacks a column, has no row, or a file, label or id is missing.
    RemoteError
        If S3 denies it or does not answer.
    """
    where = f"{where}: {location}"
    uri, label, sample_id = images.uri_column, images.label_column, images.id_column or images.uri_column
    needed = dict.fromkeys((uri, label, sample_id))
    table, is_csv = _read(location, [*needed, *images.columns], where)
    if not table.num_rows:
        raise UsageError(f"{where} has no rows; expected one for each image below the column names")
    columns = {name: as_text(table[name], name, where) for name in needed}
    own = {f"{OWN_COLUMN}{name}": typed(table[name], name, where, written=is_csv) for name in images.columns}
    folder = location.rpartition("/")[0] if is_remote(location) else str(Path(location).parent)
    uris = pa.array([_absolute(text, folder, where) for text in columns[uri].to_pylist()], pa.string())
    return pa.table({"sample_id": columns[sample_id], "label": columns[label], "uri": uris, **own})


def _read(location: str, columns: Sequence[str], where: str) -> tuple[pa.Table, bool]:
    """Return columns, and whether they are the texts of a CSV file."""
    try:
        data = _bytes(location)
        # Memory-mapped or not, Arrow reads both from a buffer; a manifest of a million rows has some 100 MB.
        is_csv = data[: len(_PARQUET)] != _PARQUET
        return (_read_csv if is_csv else _read_parquet)(data, columns, where), is_csv
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


def _bytes(location: str) -> bytes:
    if not is_remote(location):
        return Path(location).read_bytes()
    from evaljobs.remote import objects

    data = objects.read(location)
    if data is None:
        raise FileNotFoundError(location)
    return data


def _read_csv(data: bytes, columns: Sequence[str], where: str) -> pa.Table:
    parse = pa.csv.ParseOptions(newlines_in_values=True)
    with pa.csv.open_csv(io.BytesIO(data), parse_options=parse) as reader:
        names = reader.schema.names
    check_columns(names, columns, where, _KEYS)
    convert = pa.csv.ConvertOptions(
        include_columns=columns, column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
    )
    return pa.csv.read_csv(io.BytesIO(data), parse_options=parse, convert_options=convert)


def _read_parquet(data: bytes, columns: Sequence[str], where: str) -> pa.Table:
    with pa.parquet.ParquetFile(pa.BufferReader(data)) as file:
        check_columns(file.schema_arrow.names, columns, where, _KEYS)
        return file.read(columns=columns)


def _absolute(uri: str, folder: str, where: str) -> str:
    if is_remote(uri) or place_of(uri) is not None:
        return uri
    if _SCHEME.match(uri):
        scheme, _, rest = uri.partition("://")
        if scheme.lower() != "file":
            raise UsageError(f"{where}: the uri {uri!r} is no file; expected a path, file:// or s3://")
        local = urllib.parse.unquote(rest.removeprefix("localhost"))
        if not local.startswith("/"):
            raise UsageError(f"{where}: the uri {uri!r} names no absolute path; expected file:///..., or a path alone")
        return local[1:] if os.name == "nt" and _DRIVE.match(local) else local
    if is_remote(folder) and not uri.startswith("/"):
        return _beside(uri, folder, where)
    return os.path.join(folder, uri)  # noqa: PTH118 - no Path for each of a million rows; it keeps absolute ones


def _beside(uri: str, folder: str, where: str) -> str:
    """Return the object that a relative uri means; names that are empty belong to a key as any others do."""
    bucket, key = split(folder)
    names = key.split("/") if key else []
    for name in uri.split("/"):
        if name == ".." and not names:
            raise UsageError(f"{where}: the uri {uri!r} leads out of the bucket {bucket!r}; write it out as s3://...")
        if name == "..":
            names.pop()
        elif name != ".":
            names.append(name)
    return join(bucket, "/".join(names))
