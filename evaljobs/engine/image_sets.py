"""The image sets of a run: looked at, shown through views, and their distinct images."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaljobs.config import Images, Set, lineage
from evaljobs.engine.views import Changes, Seen, joined, see
from evaljobs.images.looking import KNOWN, Unreadable, look
from evaljobs.images.own_columns import own_names
from evaljobs.images.places import reading_order
from evaljobs.progress import Progress
from evaljobs.remote import locate
from evaljobs.store import Store


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """One image set after its files were looked at, and the samples that cannot be read.

    ``samples`` are schemas.SAMPLES, with columns of people's own (`evaljobs.images.own_columns`) behind them.
    ``source`` is the name under which the store keeps what was found out about its images, ``seen`` how a view shows
    those of another set.
    """

    name: str
    samples: pa.Table
    unreadable: list[Unreadable]
    source: str
    seen: Seen | None = None


def with_images(sets: Mapping[str, Set], needed: Collection[str]) -> dict[str, str]:
    """Return, for each set that is needed, the set whose images it shows: itself, unless it is a view."""
    return {name: lineage(sets, name)[0] for name in sets if name in needed}


def source_of(images: Images, base: Path) -> str:
    """Return the name under which looks are kept; its number changes with what they hold."""
    return f"looks/4 {images.kind} {locate(images.location, base)}"


def look_at(name: str, listing: pa.Table, source: str, store: Store, progress: Progress) -> ImageSet:
    """Look at the images of a set with images of its own; files that were looked at before are not read.

    Raises
    ------
    RemoteError
        If S3 denies an image or does not answer.
    """
    stage = "reading" if name == "main" else f"reading {name}"
    known = store.listing(source, KNOWN)
    progress.start(stage, listing.num_rows)
    looked = look(
        listing,
        known,
        threads=min(32, 4 * (os.cpu_count() or 1)),
        progress=lambda n: progress.advance(stage, n),
        keep=lambda fresh: store.add_listing(source, fresh),
    )
    samples = looked.samples
    for column in own_names(listing):
        samples = samples.append_column(column, listing[column])
    return ImageSet(name, samples, looked.failures, source)


def show(name: str, looked: ImageSet, sets: Mapping[str, Set]) -> ImageSet:
    """Return a set as it is or, where it is a view, as it shows the images of the one that was looked at.

    Raises
    ------
    UsageError
        If it is a view that changes no image.
    """
    if name == looked.name:
        return looked
    seen = see(name, sets, {looked.name: looked.samples})
    return dataclasses.replace(looked, name=name, samples=seen.samples, seen=seen)


def distinct(sets: Mapping[str, ImageSet]) -> tuple[pa.Array, pa.Array, Changes]:
    """Return digests and uris of the distinct images, so that what lies in one container or file stands together."""
    columns = ["image_digest", "uri", "file_digest"]
    tables = [image_set.samples.select(columns) for image_set in sets.values()]
    chains, numbers = joined((image_set.seen for image_set in sets.values()), (table.num_rows for table in tables))
    rows = pa.concat_tables(tables).append_column("chain", pa.array(numbers))
    rows = rows.filter(rows["image_digest"].is_valid())
    rows = rows.take(np.sort(_first_rows(rows["image_digest"])))
    # What is made of one file is made at a time, and the file is read once.
    files = rows["file_digest"].combine_chunks()
    first = files.take(pa.array(np.sort(_first_rows(files))))
    rows = rows.take(np.argsort(pc.index_in(files, value_set=first).to_numpy(), kind="stable"))
    rows = rows.take(reading_order(rows["uri"]))
    images, uris, files, numbers = (rows[name].combine_chunks() for name in [*columns, "chain"])
    return images, uris, Changes(chains, files, numbers.to_numpy())


def _first_rows(digests: pa.ChunkedArray) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return the row in which each digest stands first."""
    table = pa.table({"digest": digests, "row": np.arange(len(digests))})
    first: np.ndarray[tuple[int], np.dtype[np.int64]] = (
        table.group_by("digest").aggregate([("row", "min")])["row_min"].to_numpy()
    )
    return first
