"""Which images a set has: folders and manifests become one table, sorted by sample id."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from evaljobs import schemas
from evaljobs.config import Images
from evaljobs.errors import UsageError
from evaljobs.images.folder import list_folder
from evaljobs.images.manifest import list_manifest
from evaljobs.images.quick import quick_look

# A network file system answers many questions at a time; more threads gain little on a local one.
_STAT_THREADS = 8
_STAT_CHUNK = 2048


def list_images(images: Images, base: Path, name: str) -> pa.Table:
    """List the images of a set.

    Parameters
    ----------
    images
        The set's entry in the configuration.
    base
        Folder of the configuration file: relative paths start here; ``~`` is the user's home.
    name
        Of the set, for messages.

    Returns
    -------
    schemas.LISTING, sorted by sample_id: the path below the folder, or the manifest's id, else its uri as written.
    ``uri`` is absolute. ``size`` and ``mtime_ns`` are null where the file cannot be asked; it fails when it is read.

    Raises
    ------
    UsageError
        If there is no such folder or manifest, no image, no label, or an id twice.
    """
    if images.folder is not None:
        rows = list_folder(base / Path(images.folder).expanduser(), images, f"set {name!r}")
    else:
        rows = list_manifest(base / Path(images.manifest or "").expanduser(), images, f"set {name!r}")
    rows = rows.sort_by("sample_id")
    _refuse_duplicates(rows["sample_id"], images, name)
    if images.limit is not None:
        rows = rows.take(quick_look(rows["label"], images.limit))
    sizes, mtimes = _stat_all(rows["uri"].to_pylist())
    columns = [*(rows[column] for column in ("sample_id", "label", "uri")), sizes, mtimes]
    return pa.Table.from_arrays(columns, schema=schemas.LISTING)


def _refuse_duplicates(sample_ids: pa.ChunkedArray, images: Images, name: str) -> None:
    if pc.count_distinct(sample_ids).as_py() == len(sample_ids):
        return
    ids = sample_ids.to_pylist()
    twice = list(dict.fromkeys(a for a, b in itertools.pairwise(ids) if a == b))
    shown = ", ".join(repr(sample_id) for sample_id in twice[:3])
    column = images.id_column or images.uri_column
    hint = "" if images.id_column else "; if that is meant, name a column of unique ids as `id_column`"
    raise UsageError(
        f"set {name!r}: {len(twice):,} sample id(s) stand more than once in column {column!r} of {images.manifest}: "
        f"{shown}; each image is to stand there once{hint}"
    )


class _Stat(NamedTuple):
    size: int | None
    mtime_ns: int | None


def _stat(uri: str) -> _Stat:
    try:
        status = os.stat(uri)  # noqa: PTH116 - a million Path objects would take longer than the question
    except (OSError, ValueError):
        return _Stat(None, None)
    return _Stat(status.st_size, status.st_mtime_ns)


def _stat_all(uris: Sequence[str]) -> tuple[pa.Array, pa.Array]:
    """Return sizes in bytes and modification times in ns."""
    chunks = [uris[i : i + _STAT_CHUNK] for i in range(0, len(uris), _STAT_CHUNK)]
    with ThreadPoolExecutor(_STAT_THREADS) as pool:
        answers = list(itertools.chain.from_iterable(pool.map(lambda chunk: [_stat(uri) for uri in chunk], chunks)))
    return pa.array([a.size for a in answers], pa.int64()), pa.array([a.mtime_ns for a in answers], pa.int64())
