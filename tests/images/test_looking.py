"""Digests and header facts."""

from __future__ import annotations

import hashlib
import os
import time

import pyarrow as pa
import pytest
from PIL import Image

from evaljobs import schemas
from evaljobs.config import Images
from evaljobs.errors import ImageErrorKind
from evaljobs.images import looking
from evaljobs.images.listing import list_images
from evaljobs.images.looking import KNOWN, Facts, look

pytestmark = pytest.mark.usefixtures("later")


@pytest.fixture
def folder(golden, tmp_path):
    """Make a folder of six files, last changed a while ago."""
    (tmp_path / "a").mkdir()
    for name in ("rgb", "gray16", "palette", "rgb.jpg"):
        (tmp_path / "a" / f"{name}.png").write_bytes(golden.images()[name])
    first = Image.fromarray(golden.pattern(8, 9, 3))
    first.save(tmp_path / "a" / "moving.gif", save_all=True, append_images=[first.rotate(180)])
    (tmp_path / "a" / "text.png").write_bytes(b"no image")
    return tmp_path


def listed(folder):
    return list_images(Images(folder="."), folder, "main")


@pytest.fixture
def reads(monkeypatch):
    """Record which files are read."""
    seen, real = [], looking.read_images

    def read_images(uris, **options):
        seen.extend(os.path.basename(uri) for uri in uris)  # noqa: PTH119
        return real(uris, **options)

    monkeypatch.setattr(looking, "read_images", read_images)
    return seen


@pytest.mark.parametrize("threads", [1, 4])
def test_every_image_gets_its_digest_and_header(folder, threads):
    """Digest of all, header of what is an image, by content; in the order of the listing."""
    listing = listed(folder)
    looked = look(listing, None, threads=threads)
    assert looked.samples.schema.equals(schemas.SAMPLES, check_metadata=True)
    assert looked.samples.select(schemas.LISTING.names).equals(listing)
    assert looked.failures == []
    rows = {row["sample_id"].removeprefix("a/"): row for row in looked.samples.to_pylist()}
    expected = {
        "gray16.png": ("PNG", "I;16", 64, 45, 1),
        "moving.gif": ("GIF", "P", 9, 8, 2),
        "palette.png": ("PNG", "P", 97, 61, 1),
        "rgb.jpg.png": ("JPEG", "RGB", 97, 61, 1),
        "rgb.png": ("PNG", "RGB", 97, 61, 1),
        "text.png": (None, None, None, None, None),
    }
    assert {name: tuple(row[key] for key in Facts._fields[1:6]) for name, row in rows.items()} == expected
    for name, row in rows.items():
        assert row["image_digest"] == hashlib.sha256((folder / "a" / name).read_bytes()).digest()


def test_facts_are_the_columns_of_the_schema():
    """What is found fits the samples table, column by column."""
    names = [name for name in schemas.SAMPLES.names if name not in schemas.LISTING.names]
    assert [*Facts._fields, "file_digest"] == names
    assert KNOWN.names == ["uri", "size", "mtime_ns", "etag", *Facts._fields]


def test_known_files_are_not_read_again(folder, reads):
    """The second look reads nothing and finds the same; a changed and a new file are read, and only these."""
    first = look(listed(folder), None, threads=2)
    assert first.fresh.schema == KNOWN
    assert first.fresh.num_rows == 6
    assert len(reads) == 6
    reads.clear()
    second = look(listed(folder), first.fresh, threads=2)
    assert reads == []
    assert second.samples.equals(first.samples)
    assert second.fresh.num_rows == 0

    (folder / "a" / "rgb.png").write_bytes(b"changed")
    (folder / "a" / "new.png").write_bytes(b"new")
    third = look(listed(folder), first.fresh, threads=2)
    assert sorted(reads) == ["new.png", "rgb.png"]
    assert third.samples.equals(look(listed(folder), None, threads=2).samples)
    assert sorted(third.fresh["size"].to_pylist()) == [3, 7]


@pytest.mark.parametrize("backwards", [False, True])
def test_of_several_rows_for_one_file_the_equal_one_counts(folder, reads, backwards):
    """A cache that only ever grows stays right, in whatever order its rows are: each is for one size and time."""
    first = look(listed(folder), None, threads=1)
    (folder / "a" / "rgb.png").write_bytes(b"changed")
    second = look(listed(folder), first.fresh, threads=1)
    tables = [first.fresh, second.fresh]
    known = pa.concat_tables(tables[::-1] if backwards else tables)
    reads.clear()
    third = look(listed(folder), known, threads=1)
    assert reads == []
    assert third.samples.equals(second.samples)
    for name, value in (("size", 1), ("mtime_ns", 2)):
        other = known.set_column(KNOWN.names.index(name), KNOWN.field(name), pa.array([value] * 7, pa.int64()))
        look(listed(folder), other, threads=1)
        assert len(reads) == 6
        reads.clear()


def test_a_file_without_size_or_time_is_always_read(folder, reads):
    """Where it cannot be known that nothing changed, it is read, whatever the cache holds."""
    known = look(listed(folder), None, threads=1).fresh
    listing = listed(folder)
    nulls = pa.nulls(6, pa.int64())
    place = listing.column_names.index("mtime_ns")
    reads.clear()
    for cache in (known, known.set_column(KNOWN.names.index("mtime_ns"), KNOWN.field("mtime_ns"), nulls)):
        look(listing.set_column(place, listing.field("mtime_ns"), nulls), cache, threads=1)
    assert len(reads) == 12


def test_a_file_just_written_is_looked_at_again(folder):
    """A time stamp cannot tell two changes within its grain, so fresh files are not kept as known."""
    (folder / "a" / "text.png").write_bytes(b"just now")
    os.utime(folder / "a" / "text.png", ns=(time.time_ns(), time.time_ns()))
    looked = look(listed(folder), None, threads=1)
    assert looked.samples["image_digest"].null_count == 0
    assert looked.fresh.num_rows == 5


def test_unreadable_files_are_named_and_never_kept(folder):
    """A file that vanished after it was listed keeps its row, with nulls, and comes with its reason."""
    listing = listed(folder)
    (folder / "a" / "rgb.png").unlink()
    looked = look(listing, None, threads=2)
    assert [(f.sample_id, f.kind) for f in looked.failures] == [("a/rgb.png", ImageErrorKind.UNREADABLE)]
    assert "No such file" in looked.failures[0].message
    assert looked.samples.num_rows == 6
    assert looked.samples["image_digest"].null_count == 1
    assert looked.fresh.num_rows == 5


def test_progress_adds_up(folder):
    """Every image is counted once, known or read."""
    done = []
    first = look(listed(folder), None, threads=2, progress=done.append)
    assert sum(done) == 6
    done.clear()
    look(listed(folder), first.fresh.slice(0, 4), threads=2, progress=done.append)
    assert sum(done) == 6
    assert done[0] == 4


def test_an_interruption_ends_the_look(folder, monkeypatch):
    """Ctrl-C leaves after the files now being read; what waits is not started."""
    listing = pa.concat_tables([listed(folder)] * 400)

    def interrupt(_):
        raise KeyboardInterrupt

    count = []

    def read_images(uris, **_):
        for uri in uris:
            count.append(uri)
            yield b"x"

    monkeypatch.setattr(looking, "read_images", read_images)
    with pytest.raises(KeyboardInterrupt):
        look(listing, None, threads=1, progress=interrupt)
    assert 0 < len(count) < 2400


def test_what_was_looked_at_before_an_interruption_is_kept(folder, monkeypatch):
    """A set of a million images is not read anew because the last thousand were interrupted."""
    monkeypatch.setattr(looking, "_KEPT_AT_ONCE", 2)
    kept, done = [], []

    def interrupt(steps):
        done.append(steps)
        if sum(done) > 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look(listed(folder), None, threads=2, progress=interrupt, keep=kept.append)
    assert [table.num_rows for table in kept] == [2, 2]
    whole = look(listed(folder), pa.concat_tables(kept), threads=2, keep=kept.append)
    assert [table.num_rows for table in kept] == [2, 2, 2]
    assert whole.samples.equals(look(listed(folder), None, threads=1).samples)


def test_a_huge_header_is_described_and_not_decoded():
    """The size of a bomb is known from its header, so that people see what was refused."""
    facts = looking.facts_of(b"P5\n30000 20000\n255\n")
    assert (facts.width, facts.height) == (30_000, 20_000)


def test_an_empty_listing_is_an_empty_table():
    """No image is no error here: who lists decides."""
    empty = schemas.LISTING.empty_table()
    for known in (None, KNOWN.empty_table()):
        looked = look(empty, known, threads=1)
        assert looked.samples.num_rows == 0
        assert looked.samples.schema == schemas.SAMPLES


def test_files_that_change_places_are_read_again(tmp_path):
    """Equal in size and time, as unpacked from an archive, and swapped with mv: what was seen is not believed."""
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.png").write_bytes(label.encode())
        os.utime(tmp_path / label / "1.png", ns=(10**18, 10**18))
    first = look(listed(tmp_path), None, threads=1)
    assert look(listed(tmp_path), first.fresh, threads=1).fresh.num_rows == 0
    time.sleep(0.02)  # a file system's clock may tick a hundred times a second
    (tmp_path / "a" / "1.png").rename(tmp_path / "c")
    (tmp_path / "b" / "1.png").rename(tmp_path / "a" / "1.png")
    (tmp_path / "c").rename(tmp_path / "b" / "1.png")
    second = look(listed(tmp_path), first.fresh, threads=1)
    digests = second.samples["image_digest"].to_pylist()
    assert digests == [hashlib.sha256(data).digest() for data in (b"b", b"a")]
