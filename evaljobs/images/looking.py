"""Digests and header facts of a listing: each new or changed file is read once, in a thread pool."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from evaljobs import schemas
from evaljobs.errors import ImageError, ImageErrorKind
from evaljobs.images import pillow
from evaljobs.images.reading import digest_of, read_bytes

# What a cache of looks holds: all of a sample that belongs to the file and not to the set.
KNOWN = pa.schema([field for field in schemas.SAMPLES if field.name not in {"sample_id", "label"}])
_IDENTITY = ("uri", "size", "mtime_ns")
_FACTS = [field for field in KNOWN if field.name not in _IDENTITY]

# The coarsest time stamps of common file systems: a file this fresh may change again without another time stamp.
SETTLED_NS = 2_000_000_000
# Headers of images too large to decode are described too, up to what a GIF's header may make Pillow allocate (1 GiB).
_MAX_HEADER_PIXELS = 2**30
_CHUNK = 32


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


class Facts(NamedTuple):
    """What a file's bytes say, in the order of the columns of schemas.SAMPLES."""

    image_digest: bytes | None = None
    format: str | None = None
    mode: str | None = None
    width: int | None = None
    height: int | None = None
    frames: int | None = None


def look(
    listing: pa.Table, known: pa.Table | None, *, threads: int, progress: Callable[[int], None] | None = None
) -> Looked:
    """Find digest and header facts of each image of a listing.

    Parameters
    ----------
    listing
        schemas.LISTING.
    known
        `KNOWN`: rows of earlier looks, in any order. An image whose uri, size and mtime_ns stand there in one row is
        not read.
    threads
        That read at a time.
    progress
        Called in this thread with the number of images done since its last call.
    """
    found = _find_known(listing, known)
    unread = pc.indices_nonzero(pc.is_null(found))
    if progress and len(found) > len(unread):
        progress(len(found) - len(unread))
    rows = listing.take(unread)
    started_ns = time.time_ns()
    looks = _read_all(rows["uri"].to_pylist(), threads, progress)
    failures = [
        Unreadable(sample_id, error.kind, str(error))
        for sample_id, (_, error) in zip(rows["sample_id"].to_pylist(), looks, strict=True)
        if error is not None
    ]
    read = _facts_table([facts for facts, _ in looks])
    return Looked(_join(listing, known, found, unread, read), failures, _fresh(rows, read, started_ns))


def facts_of(data: bytes) -> Facts:
    """Return digest and header facts of encoded bytes; all but the digest are null where no image is recognised."""
    digest = digest_of(data)
    with pillow.guarded(_MAX_HEADER_PIXELS):
        try:
            image = pillow.open_image(data, _MAX_HEADER_PIXELS)
            width, height = image.size
            return Facts(digest, image.format, image.mode, width, height, _frames(image))
        except ImageError:
            return Facts(digest)


def _frames(image: Image.Image) -> int | None:
    try:
        return int(getattr(image, "n_frames", 1))
    except Exception:  # the later frames of a damaged file can raise anything, and the first may be whole
        return None


def _look_at(uri: str) -> tuple[Facts, ImageError | None]:
    try:
        return facts_of(read_bytes(uri)), None
    except ImageError as error:
        return Facts(), error


def _read_all(
    uris: Sequence[str], threads: int, progress: Callable[[int], None] | None
) -> list[tuple[Facts, ImageError | None]]:
    """Look at files in order; an interruption leaves after the files now being read."""
    looks: list[tuple[Facts, ImageError | None]] = []
    pool = ThreadPoolExecutor(threads, thread_name_prefix="look")
    with pillow.guarded(_MAX_HEADER_PIXELS):
        try:
            for chunk in _in_order(pool, (uris[i : i + _CHUNK] for i in range(0, len(uris), _CHUNK)), 4 * threads):
                looks += chunk
                if progress:
                    progress(len(chunk))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    return looks


def _in_order(
    pool: ThreadPoolExecutor, chunks: Iterator[Sequence[str]], ahead: int
) -> Iterator[list[tuple[Facts, ImageError | None]]]:
    """Yield results in order with a bounded number of chunks under way."""
    waiting: list[Future[list[tuple[Facts, ImageError | None]]]] = []
    for chunk in chunks:
        waiting.append(pool.submit(lambda uris: [_look_at(uri) for uri in uris], chunk))
        if len(waiting) >= ahead:
            yield waiting.pop(0).result()
    yield from (future.result() for future in waiting)


def _find_known(listing: pa.Table, known: pa.Table | None) -> pa.Array:
    """Return for each image its row in `known`, null where it must be read."""
    if known is None or not known.num_rows or not listing.num_rows:
        return pa.nulls(listing.num_rows, pa.int64())
    found = pc.cast(pc.index_in(_identity(listing), value_set=_identity(known), skip_nulls=True), pa.int64())
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def _identity(rows: pa.Table) -> pa.ChunkedArray:
    """Join uri, size and time into one string a row, null where one of them is; the last two hold digits alone."""
    return pc.binary_join_element_wise(*(pc.cast(rows[name], pa.string()) for name in _IDENTITY), "\n")


def _facts_table(facts: Sequence[Facts]) -> pa.Table:
    columns = list(zip(*facts, strict=True)) or [()] * len(_FACTS)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, _FACTS, strict=True)]
    return pa.Table.from_arrays(arrays, schema=pa.schema(_FACTS))


def _join(listing: pa.Table, known: pa.Table | None, found: pa.Array, unread: pa.Array, read: pa.Table) -> pa.Table:
    """Put known and newly read facts beside the listing."""
    names = [field.name for field in _FACTS]
    if known is None:
        facts = read
    else:
        positions = pc.index_in(pa.array(np.arange(listing.num_rows), unread.type), value_set=unread)
        source = pc.coalesce(found, pc.add(pc.cast(positions, pa.int64()), known.num_rows))
        facts = pa.concat_tables([known.select(names).cast(read.schema), read]).take(source)
    columns = [*listing.select(schemas.LISTING.names).columns, *(facts[name] for name in names)]
    return pa.Table.from_arrays(columns, schema=schemas.SAMPLES)


def _fresh(rows: pa.Table, read: pa.Table, started_ns: int) -> pa.Table:
    columns = [rows[name] if name in _IDENTITY else read[name] for name in KNOWN.names]
    fresh = pa.Table.from_arrays(columns, schema=KNOWN)
    settled = pc.less(fresh["mtime_ns"], started_ns - SETTLED_NS)
    complete = pc.and_(pc.is_valid(fresh["image_digest"]), pc.is_valid(fresh["size"]))
    return fresh.filter(pc.and_(complete, pc.fill_null(settled, fill_value=False)))
