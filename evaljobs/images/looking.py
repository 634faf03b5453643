"""Digests and header facts of a listing: each new or changed file is read once, in a thread pool."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaljobs import schemas
from evaljobs.errors import ImageError, ImageErrorKind
from evaljobs.images import pillow
from evaljobs.images.facts import MAX_HEADER_PIXELS, Facts, facts_of
from evaljobs.images.places import Row, place_of, reading_order
from evaljobs.images.reading import read_images
from evaljobs.images.rows import group_starts, opened
from evaljobs.images.versions import SETTLED_NS

# What a cache of looks holds: all of a sample that belongs to the file and not to the set.
_OF_A_SET = {"sample_id", "label", "file_digest"}
KNOWN = pa.schema([field for field in schemas.SAMPLES if field.name not in _OF_A_SET])
_IDENTITY = ("uri", "size", "mtime_ns", "etag")
_FACTS = [field for field in KNOWN if field.name not in _IDENTITY]

_CHUNK = 32
# Looks that are kept at a time.
_KEPT_AT_ONCE = 20_000
# Rows of a Parquet file are read from the start of their row group: pieces are whole groups of at least so many rows.
_LEAST_ROWS = 256
# Requests to S3 at a time of each thread.
_CONCURRENT = 4


class Unreadable(NamedTuple):
    """An image whose bytes could not be read."""

    sample_id: str
    kind: ImageErrorKind
    message: str


class Looked(NamedTuple):
    """What was found.

    Attributes
    ----------
    samples
        schemas.SAMPLES, in the order of the listing; facts of unreadable files are null.
    failures
        The unreadable files.
    fresh
        `KNOWN`: the rows that were newly read and may be kept for the next look. Files changed within the last two
        seconds are not among them, since a time stamp does not yet tell their next change.
    """

    samples: pa.Table
    failures: list[Unreadable]
    fresh: pa.Table


def look(
    listing: pa.Table,
    known: pa.Table | None,
    *,
    threads: int,
    progress: Callable[[int], None] | None = None,
    keep: Callable[[pa.Table], None] | None = None,
) -> Looked:
    """Find digest and header facts of each image of a listing.

    Parameters
    ----------
    listing
        schemas.LISTING.
    known
        `KNOWN`: rows of earlier looks, in any order. An image whose uri, size, mtime_ns and etag stand there in one
        row is not read.
    threads
        That read at a time.
    progress
        Called in this thread with the number of images done since its last call.
    keep
        Called in this thread with rows of `Looked.fresh`, some ten thousand at a time, so that an interruption does not
        lose them.

    Raises
    ------
    RemoteError
        If S3 denies an image or does not answer: that is no property of the image.
    """
    found = _find_known(listing, known)
    unread = pc.indices_nonzero(pc.is_null(found))
    unread = unread.take(pa.array(reading_order(listing["uri"].take(unread))))
    if progress and len(found) > len(unread):
        progress(len(found) - len(unread))
    rows = listing.take(unread)
    failures: list[Unreadable] = []
    facts, fresh = [_facts_table([])], [KNOWN.empty_table()]
    for start in range(0, rows.num_rows, _KEPT_AT_ONCE):
        piece = rows.slice(start, _KEPT_AT_ONCE)
        started_ns = time.time_ns()
        looks = _read_all(piece["uri"].to_pylist(), threads, progress)
        failures += _failures(piece, looks)
        facts.append(_facts_table([found for found, _ in looks]))
        fresh.append(_fresh(piece, facts[-1], started_ns))
        if keep:
            keep(fresh[-1])
    samples = _join(listing, known, found, unread, pa.concat_tables(facts))
    return Looked(samples, sorted(failures), pa.concat_tables(fresh))


def _failures(rows: pa.Table, looks: Sequence[_Look]) -> list[Unreadable]:
    errors = [error for _, error in looks]
    sample_ids = rows["sample_id"].to_pylist()
    return [
        Unreadable(sample_id, error.kind, str(error))
        for sample_id, error in zip(sample_ids, errors, strict=True)
        if error is not None
    ]


_Look = tuple[Facts, ImageError | None]


def _look_at(uris: Sequence[str]) -> list[_Look]:
    with contextlib.closing(read_images(uris, concurrent=_CONCURRENT)) as answers:
        return [(Facts(), data) if isinstance(data, ImageError) else (facts_of(data), None) for data in answers]


def _read_all(uris: Sequence[str], threads: int, progress: Callable[[int], None] | None) -> list[_Look]:
    """Look at files in order; an interruption leaves after the files now being read."""
    looks: list[_Look] = []
    pool = ThreadPoolExecutor(threads, thread_name_prefix="look")
    with pillow.guarded(MAX_HEADER_PIXELS):
        try:
            for chunk in _in_order(pool, _pieces(uris), 4 * threads):
                looks += chunk
                if progress:
                    progress(len(chunk))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return looks


def _in_order(pool: ThreadPoolExecutor, chunks: Iterator[Sequence[str]], ahead: int) -> Iterator[list[_Look]]:
    """Yield results in order with a bounded number of chunks under way."""
    waiting: list[Future[list[_Look]]] = []
    for chunk in chunks:
        waiting.append(pool.submit(_look_at, chunk))
        if len(waiting) >= ahead:
            yield waiting.pop(0).result()
    yield from (future.result() for future in waiting)


def _pieces(uris: Sequence[str]) -> Iterator[Sequence[str]]:
    """Cut images into what a thread reads in one go."""
    for container, group in itertools.groupby(uris, _parquet_of):
        run = list(group)
        cuts = [*range(0, len(run), _CHUNK), len(run)] if container is None else _group_cuts(container, run)
        yield from (run[start:stop] for start, stop in itertools.pairwise(cuts))


def _parquet_of(uri: str) -> str | None:
    place = place_of(uri)
    return place.container if isinstance(place, Row) else None


def _group_cuts(container: str, run: Sequence[str]) -> list[int]:
    """Return where to cut ascending rows of a Parquet file: between row groups, not too often."""
    try:
        with opened(container) as parquet:
            starts = group_starts(parquet)
    except (OSError, ValueError, ImageError):  # said for each image when it is read
        return [0, len(run)]
    numbers = [place.row for place in map(place_of, run) if isinstance(place, Row)]
    cuts = [0]
    for cut in np.searchsorted(numbers, starts).tolist():
        if cut - cuts[-1] >= _LEAST_ROWS:
            cuts.append(cut)
    return cuts if cuts[-1] == len(run) else [*cuts, len(run)]


def _find_known(listing: pa.Table, known: pa.Table | None) -> pa.Array:
    """Return for each image its row in `known`, null where it must be read."""
    if known is None or not known.num_rows or not listing.num_rows:
        return pa.nulls(listing.num_rows, pa.int64())
    found = pc.cast(pc.index_in(_identity(listing), value_set=_identity(known), skip_nulls=True), pa.int64())
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def _identity(rows: pa.Table) -> pa.ChunkedArray:
    """Join uri, size, time and ETag into one string a row; null where neither time nor ETag is known."""
    texts = [pc.fill_null(pc.cast(rows[name], pa.string()), "") for name in _IDENTITY]
    return pc.if_else(_has_version(rows), pc.binary_join_element_wise(*texts, "\n"), pa.scalar(None, pa.string()))


def _has_version(rows: pa.Table) -> pa.ChunkedArray:
    return pc.or_(pc.is_valid(rows["mtime_ns"]), pc.is_valid(rows["etag"]))


def _facts_table(facts: Sequence[Facts]) -> pa.Table:
    columns = list(zip(*facts, strict=True)) or [()] * len(_FACTS)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, _FACTS, strict=True)]
    return pa.Table.from_arrays(arrays, schema=pa.schema(_FACTS))


def _join(listing: pa.Table, known: pa.Table | None, found: pa.Array, unread: pa.Array, read: pa.Table) -> pa.Table:
    """Put known and newly read facts beside the listing."""
    names = [field.name for field in _FACTS]
    before = (KNOWN.empty_table() if known is None else known).select(names).cast(read.schema)
    positions = pc.index_in(pa.array(np.arange(listing.num_rows), unread.type), value_set=unread)
    source = pc.coalesce(found, pc.add(pc.cast(positions, pa.int64()), before.num_rows))
    facts = pa.concat_tables([before, read]).take(source)
    columns = [*listing.select(schemas.LISTING.names).columns, *(facts[name] for name in [*names, "image_digest"])]
    return pa.Table.from_arrays(columns, schema=schemas.SAMPLES)


def _fresh(rows: pa.Table, read: pa.Table, started_ns: int) -> pa.Table:
    columns = [rows[name] if name in _IDENTITY else read[name] for name in KNOWN.names]
    fresh = pa.Table.from_arrays(columns, schema=KNOWN)
    # An ETag tells every change.
    settled = pc.fill_null(pc.less(fresh["mtime_ns"], started_ns - SETTLED_NS), fill_value=True)
    complete = pc.and_(pc.is_valid(fresh["image_digest"]), _has_version(fresh))
    return fresh.filter(pc.and_(complete, settled))
