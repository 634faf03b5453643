"""Images inside containers: what is read when, what a second run costs, and what damage does."""

from __future__ import annotations

import os
import time
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evaljobs.config import Images
from evaljobs.errors import ImageError, ImageErrorKind
from evaljobs.images import containers, reading, rows
from evaljobs.images.listing import list_images
from evaljobs.images.looking import KNOWN, look
from evaljobs.images.places import Member, Row, member_uri, place_of, reading_order, row_uris
from evaljobs.store import Store
from tests.image_containers import png, write_parquet, write_tar

pytestmark = pytest.mark.usefixtures("later")


@pytest.fixture
def folder(tmp_path):
    """Make a set of 20 images as Parquet (two files, row groups of 4) and as tars (two), last changed a while ago."""
    numbers = np.random.default_rng(5).permutation(20).tolist()
    images = [(png(n), f"{n:02d}.png") for n in numbers]
    labels = [str(n % 5) for n in numbers]
    for part, half in enumerate((slice(0, 10), slice(10, 20))):
        write_parquet(tmp_path / f"{part}.parquet", images[half], labels[half])
        members = [
            (f"{name.removesuffix('.png')}.{extension}", data)
            for (image, name), label in zip(images[half], labels[half], strict=True)
            for extension, data in (("cls", label.encode()), ("png", image))
        ]
        write_tar(tmp_path / f"{part}.tar", members)
    return tmp_path


PARQUET, TAR = Images(parquet="*.parquet"), Images(tar="{0..1}.tar")
BOTH = pytest.mark.parametrize("images", [PARQUET, TAR], ids=["parquet", "tar"])


@pytest.mark.parametrize("container", ["/a/b.tar", "/a #1,2/b.tar", "s3://bucket/x#3", "/line\nbreak"])
def test_uris_name_one_place(container):
    """What is written is what is read back, whatever the container's name."""
    assert place_of(member_uri(Member(container, 512, 7))) == Member(container, 512, 7)
    for column in ("image", "pic #1,2"):
        assert [place_of(uri) for uri in row_uris(container, 2, column)] == [
            Row(container, 0, column),
            Row(container, 1, column),
        ]
    assert place_of(container) is None


def test_reading_order_keeps_containers_together():
    """Files keep their order; containers are read one after the other, from front to back by number."""
    uris = ["/b.png", "parquet:/y#10", "tar:/x#1024,5", "/a.png", "parquet:/y#9", "tar:/x#512,5"]
    order = reading_order(pa.chunked_array([uris]))
    assert [uris[i] for i in order] == [
        *("/b.png", "/a.png", "parquet:/y#9", "parquet:/y#10", "tar:/x#512,5", "tar:/x#1024,5")
    ]
    assert reading_order(pa.chunked_array([["/b", "/a"]])).tolist() == [0, 1]


@BOTH
def test_images_come_back_in_any_order(folder, images):
    """The order that is asked for is the order that is given, repeats included."""
    listing = list_images(images, folder, "main")
    wanted = {f"{n:02d}": png(n) for n in range(20)}
    uris = {row["sample_id"].removesuffix(".png"): row["uri"] for row in listing.to_pylist()}
    for seed in range(5):
        names = np.random.default_rng(seed).choice(list(uris), 30).tolist()
        assert list(reading.read_images([uris[name] for name in names])) == [wanted[name] for name in names]


def test_a_row_group_is_read_once_for_rows_that_ascend(folder, monkeypatch):
    """The images of a shard are read in their order inside the file: not a row group for each image."""
    counts = Counter()
    real = rows._of_group

    def counted(parquet, group, *rest):
        counts[group] += 1
        return real(parquet, group, *rest)

    monkeypatch.setattr(rows, "_of_group", counted)
    listing = list_images(PARQUET, folder, "main")
    uris = listing["uri"].take(pa.array(reading_order(listing["uri"]))).to_pylist()
    assert all(isinstance(data, bytes) for data in reading.read_images(uris))
    assert counts == {0: 2, 1: 2, 2: 2}  # three row groups in each of two files
    assert listing["uri"].to_pylist() != uris


@BOTH
def test_a_second_run_opens_no_container(folder, images, tmp_path, monkeypatch):
    """Listing and looks are kept by the container's version; a changed container is listed and read again, alone."""
    store = Store(tmp_path / "store").open()

    def run(opened):
        with monkeypatch.context() as patch:
            for module, name in ((containers, "list_tar"), (containers, "list_parquet")):
                real = getattr(module, name)
                patch.setattr(module, name, lambda c, *rest, real=real: (opened.append(c.name), real(c, *rest))[1])
            listing = list_images(images, folder, "main", cache=store)
        looked = look(listing, store.listing("looks", KNOWN), threads=2)
        store.add_listing("looks", looked.fresh)
        return looked

    opened = []
    first = run(opened)
    assert len(opened) == 2
    assert first.fresh.num_rows == 20
    opened.clear()
    second = run(opened)
    assert opened == []
    assert second.fresh.num_rows == 0
    assert second.samples.equals(first.samples)
    kind = images.kind
    (folder / f"0.{kind}").replace(folder / "before")
    if kind == "tar":
        write_tar(folder / "0.tar", {"x.cls": b"1", "x.png": png(77)})
    else:
        write_parquet(folder / "0.parquet", [(png(77), "x.png")], ["1"])
    third = run(opened)
    assert opened == [f"0.{kind}"]
    assert third.samples.num_rows == 11
    assert third.fresh.num_rows == 1


def test_a_container_just_written_is_listed_again(folder, tmp_path):
    """A time stamp cannot tell two changes within its grain."""
    store = Store(tmp_path / "store").open()
    os.utime(folder / "0.tar", ns=(time.time_ns(), time.time_ns()))
    list_images(TAR, folder, "main", cache=store)
    kept = store.listing(containers._source(str(folder / "{0..1}.tar"), TAR), containers.ENTRIES)
    changed = (folder / "1.tar").stat()
    assert set(kept["container"].to_pylist()) == {f"{folder}/1.tar\n{changed.st_ctime_ns:x}-{changed.st_size:x}"}


def test_a_link_that_leads_elsewhere_is_another_container(tmp_path):
    """Of equal size and time: what the first one listed is not taken for the second."""
    store = Store(tmp_path / "store").open()
    for name in ("x", "y"):
        write_tar(tmp_path / f"{name}.tar", {f"{name}/1.png": png(0)})
    at = time.time_ns() - 10**10  # ahead of both times of change, so that these are equal
    for name in ("x", "y"):
        os.utime(tmp_path / f"{name}.tar", ns=(at, at))
    found = []
    for name in ("x", "y"):
        (tmp_path / "cur.tar").unlink(missing_ok=True)
        (tmp_path / "cur.tar").symlink_to(f"{name}.tar")
        found.append(list_images(Images(tar="cur.tar"), tmp_path, "main", cache=store)["label"].to_pylist())
    assert found == [["x"], ["y"]]


@BOTH
@pytest.mark.parametrize("threads", [1, 3])
def test_looks_are_in_the_order_of_the_listing(folder, images, threads, monkeypatch):
    """Threads read containers in their own order; each image keeps its own digest, and progress adds up."""
    monkeypatch.setattr("evaljobs.images.looking._LEAST_ROWS", 4)
    listing = list_images(images, folder, "main")
    done = []
    looked = look(listing, None, threads=threads, progress=done.append)
    assert looked.failures == []
    assert sum(done) == 20
    assert [row["image_digest"] for row in looked.samples.to_pylist()] == [
        reading.digest_of(png(int(row["sample_id"][:2]))) for row in looked.samples.to_pylist()
    ]


@BOTH
def test_a_container_that_vanishes_or_shrinks_fails_its_images_alone(folder, images):
    """They are unreadable, with the reason; the others are read."""
    listing = list_images(images, folder, "main")
    (folder / f"0.{images.kind}").unlink()
    looked = look(listing, None, threads=2)
    assert len(looked.failures) == 10
    assert {failure.kind for failure in looked.failures} == {ImageErrorKind.UNREADABLE}
    assert all("No such file" in failure.message for failure in looked.failures)
    path = folder / f"1.{images.kind}"
    path.write_bytes(path.read_bytes()[:3000])
    assert len(look(listing, None, threads=2).failures) >= 18


def test_damage_in_one_row_group_stays_there(tmp_path):
    """What a damaged page held is unreadable; the row groups behind it are read."""
    path = write_parquet(tmp_path / "x.parquet", [png(n) for n in range(12)], ["a"] * 12)
    with pq.ParquetFile(path) as parquet:
        start = parquet.metadata.row_group(1).column(0).dictionary_page_offset
    data = bytearray(path.read_bytes())
    data[start : start + 40] = b"\xff" * 40
    path.write_bytes(data)
    answers = list(reading.read_images(row_uris(str(path), 12, "image")))
    assert [isinstance(answer, ImageError) for answer in answers] == [False] * 4 + [True] * 4 + [False] * 4
    assert answers[8:] == [png(n) for n in range(8, 12)]
    (answer,) = reading.read_images([f"parquet:{path}#99"])
    assert "has no row 99 any more" in str(answer)


def test_of_a_row_group_a_window_is_in_memory(tmp_path):
    """A row group of 100 MB is read through a small window: the page and the batch."""
    rng = np.random.default_rng(0)
    images = [rng.bytes(2**20) for _ in range(100)]
    path = tmp_path / "x.parquet"
    table = pa.table({"image": images, "label": ["a"] * 100})
    pq.write_table(table, path, use_dictionary=False, compression="none", write_batch_size=4)
    digests = [reading.digest_of(image) for image in images]
    del images, table
    before = pa.total_allocated_bytes()
    most = 0
    for number, data in enumerate(reading.read_images(row_uris(str(path), 100, "image"))):
        assert reading.digest_of(data) == digests[number]
        most = max(most, pa.total_allocated_bytes() - before)
    assert 2**20 <= most < 50 * 2**20


def test_a_row_group_without_its_column_fails_its_images(tmp_path):
    """A footer may name other columns in a row group than in the schema: an error of the file, with its reason."""
    path = write_parquet(tmp_path / "x.parquet", [png(0), png(1)], ["a", "b"])
    data = path.read_bytes()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    place = data.rindex(b"image", footer, data.index(b"ARROW:schema"))
    path.write_bytes(data[:place] + b"imagf" + data[place + 5 :])
    for answer in reading.read_images([f"parquet:{path}#0", f"parquet:{path}#1"]):
        assert isinstance(answer, ImageError)
        assert "row group 0 has no column 'image'" in str(answer)
