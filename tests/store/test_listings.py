"""The cache of looks as a run uses it: through the store, run after run."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from evaljobs.config import Images
from evaljobs.errors import ImageError
from evaljobs.images import looking
from evaljobs.images.listing import list_images
from evaljobs.images.looking import KNOWN, Looked, look
from evaljobs.store import Store

# Written to a file one after the other, with the seconds of its times of change; two are equal but for these.
VERSIONS = [(b"a", 1), (b"b", 2), (b"b", 3), (b"cc", 4), (b"a", 5), (b"dd", 6)]


def look_once(folder: Path, store: Store) -> Looked:
    """Do what a run does before it starts."""
    looked = look(list_images(Images(folder="."), folder, "main"), store.listing("source", KNOWN), threads=1)
    store.add_listing("source", looked.fresh)
    return looked


def test_file_that_was_touched_often_is_read_once_a_touch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parts of the cache are read in the order of their digests, which says nothing of time: it must not matter."""
    store, folder = Store(tmp_path / "store").open(), tmp_path / "images"
    reads: list[str] = []
    real = looking.read_images

    def read_images(uris: Sequence[str], *, concurrent: int) -> Iterator[bytes | ImageError]:
        reads.extend(uris)
        return real(uris, concurrent=concurrent)

    monkeypatch.setattr(looking, "read_images", read_images)
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 60 * 10**9)
    soon_s = int(time.time()) + 10  # no program sets the time of the last change of status back
    (folder / "label").mkdir(parents=True)
    for data, time_s in VERSIONS:
        (folder / "label" / "x.png").write_bytes(data)
        os.utime(folder / "label" / "x.png", (soon_s + time_s, soon_s + time_s))
        first = look_once(folder, store)
        assert len(reads) == 1
        again = look_once(folder, store)
        assert len(reads) == 1
        assert again.samples.equals(first.samples)
        assert again.samples["image_digest"].to_pylist() == [looking.facts_of(data).image_digest]
        reads.clear()
    assert store.listing("source", KNOWN).num_rows == len(VERSIONS)
