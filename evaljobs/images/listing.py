"""Which images a set has: whatever its source, they become one table, sorted by sample id."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from evaljobs import schemas
from evaljobs.config import Images
from evaljobs.errors import UsageError
from evaljobs.images.containers import Cache, list_containers
from evaljobs.images.expand import container_folder
from evaljobs.images.folder import list_folder
from evaljobs.images.manifest import list_manifest
from evaljobs.images.own_columns import own_names
from evaljobs.images.quick import quick_look
from evaljobs.images.versions import versions
from evaljobs.remote import locate

_VERSION_COLUMNS = ("size", "mtime_ns", "etag")


def list_images(
    images: Images, base: Path, name: str, *, cache: Cache | None = None, tell: Callable[[str], None] | None = None
) -> pa.Table:
    """List the images of a set.

    Parameters
    ----------
    images
        The set's entry in the configuration.
    base
        Folder of the configuration file: relative paths start here; ``~`` is the user's home.
    name
        Of the set, for messages.
    cache
        Of what containers hold: those that are known and unchanged are not opened.
    tell
        Told what is left out.

    Returns
    -------
    schemas.LISTING, sorted by sample_id: the path below the folder; the manifest's or Parquet file's id, else uri or
    path; the key in the tar. ``uri`` is as `evaljobs.images.places` has it. ``size``, ``mtime_ns`` and ``etag`` are
    null where the file cannot be asked; it fails when it is read. Columns of people's own stand behind them.

    Raises
    ------
    UsageError
        If there is no such source, no image, no label, or an id twice.
    RemoteError
        If S3 denies it or does not answer.
    """
    location = locate(images.location, base)
    where = f"set {name!r}"
    tell = tell or (lambda _: None)
    if images.kind == "folder":
        rows = list_folder(location, images, where, tell)
    elif images.kind == "manifest":
        rows = list_manifest(location, images, where)
    else:
        rows = list_containers(images, base, where, cache, tell)
    rows = rows.sort_by("sample_id")
    _refuse_duplicates(rows["sample_id"], images, name)
    if images.limit is not None:
        rows = rows.take(quick_look(rows["label"], images.limit))
    if "etag" not in rows.column_names:
        rows = _with_versions(rows)
    listing = pa.Table.from_arrays([rows[column] for column in schemas.LISTING.names], schema=schemas.LISTING)
    for column in own_names(rows):
        listing = listing.append_column(column, rows[column])
    return listing


def searched_folder(images: Images, base: Path) -> str | None:
    """Return the folder in which a set's files are looked for by their names; None where each is named."""
    if images.kind == "folder":
        return locate(images.location, base)
    return None if images.kind == "manifest" else container_folder(images.location, base)


def _with_versions(rows: pa.Table) -> pa.Table:
    columns = list(zip(*versions(rows["uri"].to_pylist()), strict=True))
    for name, values in zip(_VERSION_COLUMNS, columns, strict=True):
        rows = rows.append_column(name, pa.array(values, schemas.LISTING.field(name).type))
    return rows


def _refuse_duplicates(sample_ids: pa.ChunkedArray, images: Images, name: str) -> None:
    if pc.count_distinct(sample_ids).as_py() == len(sample_ids):
        return
    ids = sample_ids.to_pylist()
    twice = list(dict.fromkeys(a for a, b in itertools.pairwise(ids) if a == b))
    shown = ", ".join(repr(sample_id) for sample_id in twice[:3])
    column = images.id_column or (images.uri_column if images.kind == "manifest" else None)
    place = images.location if column is None else f"column {column!r} of {images.location}"
    by_uri = images.kind == "manifest" and images.id_column is None
    hint = "; if that is meant, name a column of unique ids as `id_column`" if by_uri else ""
    raise UsageError(
        f"set {name!r}: {len(twice):,} sample id(s) stand more than once in {place}: {shown}; each image is to stand "
        f"there once{hint}"
    )
