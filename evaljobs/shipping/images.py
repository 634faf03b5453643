"""Image sets as they travel: every image and container by its content, and a table that says which sample is which.

So sample ids and labels are those of the files here, whatever the set is made of; and of a set that has grown, only
what is new is sent.
"""

from __future__ import annotations

import dataclasses
import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from evaljobs.config import OWN_COLUMN, Images
from evaljobs.engine.image_sets import source_of
from evaljobs.images.looking import KNOWN, look
from evaljobs.images.places import place_of
from evaljobs.remote import is_remote
from evaljobs.shipping.digests import digests_of
from evaljobs.shipping.inputs import FoundSet, file_of, sha256
from evaljobs.store import Store
from raycluster.program import Upload

_NAMED = 3


@dataclasses.dataclass(frozen=True)
class ShippedSet:
    """An image set in its place: the entry of the configuration, what is to be sent, and what people should know."""

    images: Images
    uploads: tuple[Upload, ...]
    notes: tuple[str, ...]


def ship_set(found: FoundSet, uploads: str, base: Path, cache: Store) -> ShippedSet:
    """Give every local file of a set its place.

    Parameters
    ----------
    uploads
        The folder on S3 for what is sent.
    base
        The folder of the configuration's file.
    cache
        Remembers the digests of files that have not changed.

    Raises
    ------
    UsageError
        If a container cannot be read.
    """
    listing = found.listing
    uris = listing["uri"].to_pylist()
    files = {file for uri in uris if place_of(uri) is None and not is_remote(file := uri)}
    containers = sorted({file_of(uri) for uri in uris if place_of(uri) is not None and not is_remote(file_of(uri))})
    images, unreadable = _images(found, files, f"{uploads}/images", base, cache)
    moved = {**images, **_containers(containers, f"{uploads}/containers", cache)}
    places = [_moved(uri, moved) for uri in uris]
    table = pa.table({"sample_id": listing["sample_id"], "label": listing["label"], "uri": pa.array(places)})
    for name in found.images.columns:
        table = table.append_column(name, listing[f"{OWN_COLUMN}{name}"])
    manifest = _manifest(table, f"{uploads}/sets")
    shipped = Images(manifest=manifest.place, id_column="sample_id", columns=found.images.columns)
    notes = (_note(found.name, unreadable),) if unreadable else ()
    # What says that the images are there comes last.
    return ShippedSet(shipped, (*dict.fromkeys(u for u in moved.values() if u.path is not None), manifest), notes)


def _moved(uri: str, moved: Mapping[str, Upload]) -> str:
    file = file_of(uri)
    if file not in moved:
        return uri
    before, _, after = uri.partition(file)
    return f"{before}{moved[file].place}{after}"


def _images(
    found: FoundSet, files: set[str], folder: str, base: Path, cache: Store
) -> tuple[dict[str, Upload], list[str]]:
    """Return where each image goes, and the ids of those that cannot be read: they get a place where nothing is."""
    if not files:
        return {}, []
    source = source_of(found.images, base)
    listing = found.listing.filter(pa.array([uri in files for uri in found.listing["uri"].to_pylist()]))
    looked = look(
        listing,
        cache.listing(source, KNOWN),
        threads=min(32, 4 * (os.cpu_count() or 1)),
        keep=lambda fresh: cache.add_listing(source, fresh),
    )
    uploads: dict[str, Upload] = {}
    for row in looked.samples.select(["uri", "size", "image_digest"]).to_pylist():
        uri, digest = row["uri"], row["image_digest"]
        if digest is None:
            uploads[uri] = Upload(f"{folder}/unreadable-{sha256(uri.encode())}", 0)
        else:
            uploads[uri] = Upload(f"{folder}/{digest.hex()}", row["size"], Path(uri), digest=digest.hex())
    return uploads, [failure.sample_id for failure in looked.failures]


def _containers(files: Iterable[str], folder: str, cache: Store) -> dict[str, Upload]:
    digests = digests_of(map(Path, files), cache)
    # The name is not needed, but people look into buckets; the digest alone tells files of one name apart.
    return {
        str(file): Upload(f"{folder}/{digest}", file.stat().st_size, file, digest=digest)
        for file, digest in digests.items()
    }


def _manifest(table: pa.Table, folder: str) -> Upload:
    buffer = io.BytesIO()
    pa.parquet.write_table(table.combine_chunks(), buffer, compression="zstd")
    data = buffer.getvalue()
    digest = sha256(data)
    return Upload(f"{folder}/{digest}.parquet", len(data), data=data, digest=digest)


def _note(name: str, unreadable: list[str]) -> str:
    shown = ", ".join(map(repr, unreadable[:_NAMED]))
    return f"set {name!r}: {len(unreadable):,} image(s) cannot be read here, and the run will exclude them: {shown}"
