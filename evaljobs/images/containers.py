"""Images inside Parquet files and tars: a table of them all, each container listed once for each of its versions."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from evaljobs.config import Images
from evaljobs.errors import ImageError, UsageError
from evaljobs.images.expand import Container, expand
from evaljobs.images.labels import as_names
from evaljobs.images.parquet import list_parquet
from evaljobs.images.tar_index import DamagedTarError
from evaljobs.images.versions import SETTLED_NS
from evaljobs.images.webdataset import list_tar
from evaljobs.remote import locate
from evaljobs.schemas import ENTRIES

_THREADS = 8
# Raised where the same container is listed otherwise.
_VERSION = 2


class Cache(Protocol):
    """What remembers listings between runs; a `Store` is one."""

    def listing(self, source: str, schema: pa.Schema) -> pa.Table:
        """Return what was remembered of a source."""

    def add_listing(self, source: str, rows: pa.Table) -> None:
        """Remember rows of a source."""


def list_containers(
    images: Images, base: Path, where: str, cache: Cache | None, tell: Callable[[str], None]
) -> pa.Table:
    """List the images of Parquet files or tars: sample_id, label, uri, size, mtime_ns, etag; unsorted.

    Parameters
    ----------
    images, base, where
        The set's entry in the configuration, the folder of that, and what messages begin with.
    cache
        Containers whose version stands there are not opened.
    tell
        Told of samples that hold no image.

    Raises
    ------
    UsageError
        If a container is absent or damaged, there is no image, or one without a label.
    RemoteError
        If S3 denies it or does not answer.
    """
    started_ns = time.time_ns()
    containers = expand(images.location, base, images.kind, where)
    location = locate(images.location, base)
    known = ENTRIES.empty_table() if cache is None else cache.listing(_source(location, images), ENTRIES)
    known = known.filter(pc.is_in(known["container"], value_set=pa.array([c.key for c in containers], pa.string())))
    there = set(pc.unique(known["container"]).to_pylist())
    unknown = [container for container in containers if container.key not in there]
    fresh = list(zip(unknown, _list_all(unknown, images, where), strict=True))
    if cache is not None:
        settled = [table for c, table in fresh if c.mtime_ns is None or c.mtime_ns < started_ns - SETTLED_NS]
        cache.add_listing(_source(location, images), pa.concat_tables([ENTRIES.empty_table(), *settled]))
    entries = pa.concat_tables([known, *(table for _, table in fresh)])
    if not entries.num_rows:
        raise UsageError(f"{where}: {location} holds no samples")
    for container, table in fresh:
        if not table.num_rows:
            tell(f"{where}: {container.uri} holds no samples")
    return _samples(entries, containers, images, where, tell)


def _source(location: str, images: Images) -> str:
    """Return what a listing depends on, beside the container's version."""
    settings = images.model_dump(mode="json", exclude={"limit", "uri_column", *_LOCATIONS})
    return f"containers/{_VERSION} {images.kind} {location} {json.dumps(settings, sort_keys=True)}"


_LOCATIONS = ("folder", "manifest", "parquet", "tar")


def _list_all(containers: Sequence[Container], images: Images, where: str) -> list[pa.Table]:
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="list") as pool:
        try:
            return list(pool.map(lambda container: _list_one(container, images, where), containers))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _list_one(container: Container, images: Images, where: str) -> pa.Table:
    where = f"{where}: {container.uri}"
    try:
        if images.kind == "tar":
            return list_tar(container, images)
        return list_parquet(container, images, where)
    except DamagedTarError as error:
        raise UsageError(f"{where} cannot be used: {error}") from None
    except UnicodeEncodeError as error:
        raise UsageError(f"{where}: a name is not valid UTF-8 ({error.object[:200]!r}); rename the file") from None
    except (OSError, ValueError, pa.ArrowException, ImageError) as error:
        kind = {"tar": "a tar", "parquet": "a Parquet file"}[images.kind]
        raise UsageError(f"{where} cannot be read: {' '.join(str(error).split())}; expected {kind}") from None


def _samples(
    entries: pa.Table, containers: Sequence[Container], images: Images, where: str, tell: Callable[[str], None]
) -> pa.Table:
    taken = entries.filter(entries["uri"].is_valid())
    _say_without_image(entries.filter(entries["uri"].is_null()), taken.num_rows, where, tell)
    _refuse_unlabelled(taken, images, where)
    keys = pa.array([container.key for container in containers], pa.string())
    which = pc.index_in(taken["container"], value_set=keys)
    names = as_names([container.name for container in containers], where)
    times = pa.array([container.mtime_ns for container in containers], pa.int64())
    etags = pa.array([container.etag for container in containers], pa.string())
    return pa.table(
        {
            "sample_id": _ids(taken, names.take(which), images),
            "label": taken["label"],
            "uri": taken["uri"],
            "size": taken["size"],
            "mtime_ns": times.take(which),
            "etag": etags.take(which),
        }
    )


def _ids(taken: pa.Table, containers: pa.ChunkedArray, images: Images) -> pa.ChunkedArray:
    """Return the names where they are all there and unique (or asked for), else the container's name before them."""
    names = taken["name"]
    if images.id_column and images.kind == "parquet":
        return names
    if not names.null_count and pc.count_distinct(names).as_py() == len(names):
        return names
    if images.kind == "tar":
        return pc.binary_join_element_wise(containers, names, "/")
    rows = pc.extract_regex(taken["uri"], r"(?s)#(?P<row>\d+)(?:,[^#]*)?$")
    return pc.binary_join_element_wise(containers, pc.struct_field(rows, "row"), "#")


def _say_without_image(rows: pa.Table, others: int, where: str, tell: Callable[[str], None]) -> None:
    if not rows.num_rows:
        return
    first = "; ".join(_named(rows.slice(0, 3), "origin"))
    if not others:
        raise UsageError(f"{where}: none of its {rows.num_rows:,} sample(s) has an image ({first}); set `extensions`")
    tell(f"{where}: {rows.num_rows:,} sample(s) hold no image and are left out: {first}")


def _named(rows: pa.Table, column: str) -> Iterator[str]:
    for row in rows.to_pylist():
        yield f"{row['name']!r} in {row['container'].partition(chr(10))[0]}: {row[column]}"


def _refuse_unlabelled(taken: pa.Table, images: Images, where: str) -> None:
    missing = taken.filter(taken["label"].is_null())
    if missing.num_rows:
        shown = ", ".join(repr(name) for name in missing["name"].slice(0, 3).to_pylist())
        expected = {
            None: "expected a member .cls, a .json with the key of `label_column`, or a folder in the name",
            "cls": "expected a member .cls with text",
            "json": f"expected a member .json with the key {images.label_column!r} (`label_column`)",
            "folder": "expected a folder in the name",
            "prefix": f"expected the separator {images.separator!r} in the name",
        }[images.label]
        raise UsageError(f"{where}: {missing.num_rows:,} sample(s) have no label: {shown}; {expected}. Set `label`")
    origins = pc.value_counts(pc.drop_null(taken["origin"])).to_pylist()
    if len(origins) > 1:
        found = ", ".join(f"{n['counts']:,} from {n['values']}" for n in sorted(origins, key=lambda n: -n["counts"]))
        raise UsageError(f"{where}: labels come from different places ({found}); set `label` to the one that is meant")
