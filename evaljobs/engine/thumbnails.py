"""The small pictures that a report shows: read where images lie, kept in the store, so that each is made once."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from evaljobs.engine.prepare import Prepared
from evaljobs.errors import ImageError, ImageErrorKind, RemoteError
from evaljobs.images.places import reading_order
from evaljobs.images.reading import digest_of, read_images
from evaljobs.images.thumbnail import SIDE, thumbnail
from evaljobs.images.views.chain import Change
from evaljobs.progress import Passes, Progress
from evaljobs.report.atomic import write_atomic
from evaljobs.report.figures.thumbnails import FILE, Tables, wanted
from evaljobs.schemas import DIGEST, THUMBNAILS

# A report with more would be slow to open, and nobody looks at more.
MOST = 1500
_STAGE = "thumbnails"
# Of an image, and of its file where a view changes it: reports show both.
_DIGESTS = ("image_digest", "file_digest")
# Images that a thread reads in one go, and threads.
_CHUNK, _THREADS = 32, 8
# Requests to S3 at a time of each thread.
_CONCURRENT = 4


class _Made(NamedTuple):
    """A picture, None where there is none; and whether that is so for good."""

    digest: bytes
    picture: bytes | None
    lasting: bool


class _Place(NamedTuple):
    """Where the file of an image lies, its digest, and what a view does to it."""

    uri: str
    digest: bytes
    change: Change | None


def thumbnails_of(
    prepared: Prepared, digests: Sequence[bytes], progress: Progress, most: int = MOST
) -> dict[bytes, bytes | None]:
    """Return the pictures of images by digest, in the order in which they are wanted; None where there is none.

    Those in the store are not made again, and their images not read. No image ends a run here: one that cannot be read
    or decoded has no picture.

    Parameters
    ----------
    digests
        Of images, most wanted first.
    progress
        Told of the pictures made, and of what is left out.
    most
        How many are made; the rest are left out.
    """
    some = list(digests[:most])
    if len(some) < len(digests):
        progress.say(f"thumbnails: {len(some):,} of {len(digests):,} images have one; the others show as empty boxes")
    known: dict[bytes, bytes | None] = {}
    progress = Passes(progress)  # a stage for all sources, one after the other
    for source, here in _by_source(prepared, some).items():
        stored = prepared.store.listing(source, THUMBNAILS)
        pairs = zip(*(stored[name].to_pylist() for name in THUMBNAILS.names), strict=True)
        found = {digest: picture for digest, picture in pairs if digest in here}
        lacking = here - found.keys()
        made = _make(prepared, lacking, progress) if lacking else []
        prepared.store.add_listing(source, _table((one.digest, one.picture) for one in made if one.lasting))
        known |= found | {one.digest: one.picture for one in made}
    return {digest: known.get(digest) for digest in some}


def write_thumbnails(
    prepared: Prepared, results: Mapping[str, Any], tables: Tables, folder: Path, progress: Progress
) -> None:
    """Write the pictures that the report of a run wants into its folder.

    Raises
    ------
    RunFailedError
        If the file cannot be written.
    """
    pictures = thumbnails_of(prepared, wanted(results, tables), progress)
    write_atomic(folder / FILE, thumbnails_arrow(pictures))


def thumbnails_arrow(pictures: dict[bytes, bytes | None]) -> bytes:
    """Return pictures as an Arrow IPC file (schemas.THUMBNAILS)."""
    table = _table(pictures.items())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _by_source(prepared: Prepared, digests: Sequence[bytes]) -> dict[str, set[bytes]]:
    """Return the digests by the image source under which their pictures are kept: the first set that has them."""
    left, found = set(digests), dict[str, set[bytes]]()
    for image_set in prepared.sets.values():
        if left:
            there = {digest for column in _DIGESTS for digest in _common(image_set.samples[column], left)}
            left -= there
            found.setdefault(f"thumbnails/1 {SIDE} px of {image_set.source}", set()).update(there)
    return {source: some for source, some in found.items() if some}


def _common(column: pa.ChunkedArray, digests: set[bytes]) -> list[bytes]:
    mask = pc.is_in(column, value_set=pa.array(sorted(digests), DIGEST))
    found: list[bytes] = column.filter(mask).to_pylist()
    return found


def _make(prepared: Prepared, digests: set[bytes], progress: Progress) -> list[_Made]:
    """Read images and make their pictures, some at a time; by digest, so that what is kept has one order."""
    pairs = _places(prepared, digests)
    progress.start(_STAGE, len(pairs))
    limit = prepared.config.max_image_pixels
    made: list[_Made] = []
    try:
        for some in _chunks(pairs, limit):
            made += some
            progress.advance(_STAGE, len(some))
    except RemoteError as error:
        progress.say(f"thumbnails: {error}; the report is made without those that are missing")
    return sorted(made)


def _places(prepared: Prepared, digests: set[bytes]) -> list[_Place]:
    """Return where images lie, in the order in which they are best read; those as they are in their files too."""
    n = len(prepared.images)
    wanted = pa.array(sorted(digests), DIGEST)
    places = pc.index_in(wanted, value_set=pa.concat_arrays([prepared.images, prepared.changes.files]))
    wanted, places = wanted.filter(places.is_valid()), places.drop_null().to_numpy()
    uris = prepared.uris.take(pa.array(places % n))
    changes = prepared.changes.of(prepared.images, places[places < n])
    order = pa.array(reading_order(pa.chunked_array([uris])))
    pairs = zip(uris.take(order).to_pylist(), wanted.take(order).to_pylist(), strict=True)
    return [_Place(uri, digest, changes.get(digest)) for uri, digest in pairs]


def _chunks(pairs: Sequence[_Place], limit: int) -> Iterator[list[_Made]]:
    pieces = [pairs[start : start + _CHUNK] for start in range(0, len(pairs), _CHUNK)]
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1), thread_name_prefix=_STAGE) as pool:
        yield from pool.map(lambda piece: _some(piece, limit), pieces)


def _some(pairs: Sequence[_Place], limit: int) -> list[_Made]:
    uris = [place.uri for place in pairs]
    with contextlib.closing(read_images(uris, concurrent=_CONCURRENT)) as answers:
        return [_one(place, data, limit) for place, data in zip(pairs, answers, strict=True)]


def _one(place: _Place, data: bytes | ImageError, limit: int) -> _Made:
    digest, change = place.digest, place.change
    # A file that holds other bytes by now is another image.
    if isinstance(data, ImageError) or digest_of(data) != (digest if change is None else change.file):
        return _Made(digest, None, lasting=False)
    try:
        return _Made(digest, thumbnail(data, limit, change=change), lasting=True)
    except ImageError as error:
        # Too large by the limit of this configuration: another may have another one.
        passing = error.kind in {ImageErrorKind.UNREADABLE, ImageErrorKind.TOO_LARGE}
        return _Made(digest, None, lasting=not passing)


def _table(pairs: Iterable[tuple[bytes, bytes | None]]) -> pa.Table:
    columns = list(zip(*pairs, strict=True)) or [(), ()]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, THUMBNAILS, strict=True)]
    return pa.Table.from_arrays(arrays, schema=THUMBNAILS)
