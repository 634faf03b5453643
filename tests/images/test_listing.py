"""Folders become listings."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaljobs import schemas
from evaljobs.config import Images
from evaljobs.errors import UsageError
from evaljobs.images.listing import list_images


def fill(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def refused(images, base):
    with pytest.raises(UsageError) as caught:
        list_images(images, base, "main")
    assert "'main'" in str(caught.value)
    return str(caught.value)


def test_a_folder_set_is_listed_in_order_with_size_and_time(tmp_path):
    """The sample id is the path below the folder, the label its parent; sorted, absolute, with size and time."""
    fill(tmp_path, "set/b/2.png", "set/b/1.JPG", "set/a/deep/x.png", "set/a/y.webp", "other/z.png")
    listing = list_images(Images(folder="set"), tmp_path, "main")
    assert listing.schema == schemas.LISTING
    assert listing["sample_id"].to_pylist() == ["a/deep/x.png", "a/y.webp", "b/1.JPG", "b/2.png"]
    assert listing["label"].to_pylist() == ["deep", "a", "b", "b"]
    paths = [tmp_path / "set" / sample_id for sample_id in listing["sample_id"].to_pylist()]
    assert listing["uri"].to_pylist() == [str(path) for path in paths]
    assert listing["size"].to_pylist() == [path.stat().st_size for path in paths]
    assert listing["mtime_ns"].to_pylist() == [path.stat().st_mtime_ns for path in paths]


@given(
    st.lists(
        st.tuples(st.sampled_from("abé字Z"), st.sampled_from(["1", "É", "字", "z z", "10"])), min_size=1, unique=True
    )
)
def test_the_order_is_that_of_the_sorted_ids(tmp_path_factory, pairs):
    """Listing order follows from the ids alone, whatever the file system returns."""
    root = tmp_path_factory.mktemp("set")
    names = [f"{label}/{name}.png" for label, name in pairs]
    fill(root, *names)
    assert list_images(Images(folder=str(root)), root, "main")["sample_id"].to_pylist() == sorted(names)


def test_a_tilde_is_the_user_s_home(tmp_path, monkeypatch):
    """`~/faces` is found wherever the configuration lies."""
    monkeypatch.setenv("HOME", str(tmp_path))
    fill(tmp_path, "faces/a/1.png")
    listing = list_images(Images(folder="~/faces"), tmp_path / "elsewhere", "main")
    assert listing["uri"].to_pylist() == [str(tmp_path / "faces/a/1.png")]


def test_labels_from_the_file_name(tmp_path):
    """With `label: prefix` a label ends at the first separator; folders do not count."""
    fill(tmp_path, "7_a.png", "x/8_b_c.png", "anna-9.png")
    fill(tmp_path / "two", "anna--1.png", "b--2--3.png")
    listing = list_images(Images(folder="x", label="prefix"), tmp_path, "main")
    assert listing["label"].to_pylist() == ["8"]
    assert list_images(Images(folder="two", label="prefix", separator="--"), tmp_path, "m")["label"].to_pylist() == [
        "anna",
        "b",
    ]
    (tmp_path / "two" / "x").mkdir()
    message = refused(Images(folder=".", label="prefix"), tmp_path)
    assert "3 file name(s)" in message
    assert "'anna-9.png', 'two/anna--1.png', 'two/b--2--3.png'" in message


def test_an_image_without_a_folder_of_its_own_is_refused(tmp_path):
    """An image directly in the set's folder has no label, and says how it could have one."""
    fill(tmp_path, "a/1.png", "stray.png")
    message = refused(Images(folder="."), tmp_path)
    assert "'stray.png'" in message
    assert "label: prefix" in message


def test_extensions_are_accepted_with_and_without_a_dot(tmp_path):
    """`png`, `.png` and `.PNG` are one filter."""
    fill(tmp_path, "a/1.png", "a/2.PNG", "a/3.jpg")
    for extension in ("png", ".png", ".PNG", "PNG"):
        listing = list_images(Images(folder=".", extensions=(extension,)), tmp_path, "main")
        assert listing["sample_id"].to_pylist() == ["a/1.png", "a/2.PNG"]


def test_what_is_no_image_file_is_left_out(tmp_path):
    """Hidden files and folders, FIFOs and folders with an image's name are no images."""
    fill(tmp_path, "a/1.png", "a/.2.png", ".git/3.png", "a/folder.png/4.png")
    os.mkfifo(tmp_path / "a" / "fifo.png")
    listing = list_images(Images(folder="."), tmp_path, "main")
    assert listing["sample_id"].to_pylist() == ["a/1.png", "a/folder.png/4.png"]


def test_images_left_out_for_their_extension_are_told(tmp_path):
    """Photos of a telephone among others are not silently absent; texts are no images."""
    fill(tmp_path, "a/1.png", "a/2.HEIC", "b/3.heic", "b/4.jxl", "b/notes.txt", "b/5.avif", "b/6.jp2", "b/7.pbm")
    told = []
    listing = list_images(Images(folder="."), tmp_path, "main", tell=told.append)
    assert listing["sample_id"].to_pylist() == ["a/1.png", "b/5.avif", "b/6.jp2", "b/7.pbm"]
    assert told == [
        "set 'main': left out by extension: 2 .heic, 1 .jxl; to take them too, name all that are meant in `extensions`"
    ]


def test_links_are_followed_without_going_in_circles(tmp_path):
    """Links to files and folders count, a link to nothing or to itself will fail when read, a circle ends."""
    fill(tmp_path, "set/a/1.png", "elsewhere/2.png")
    links = {
        "a/link.png": "1.png",
        "b": "../elsewhere",
        "a/up": "..",
        "a/nothing.png": "gone",
        "a/self.png": "self.png",
    }
    for name, target in links.items():
        (tmp_path / "set" / name).symlink_to(target)
    listing = list_images(Images(folder="set"), tmp_path, "main")
    ids = ["a/1.png", "a/link.png", "a/nothing.png", "a/self.png", "b/2.png"]
    assert listing["sample_id"].to_pylist() == ids
    assert listing["label"].to_pylist() == ["a", "a", "a", "a", "b"]
    assert [size is None for size in listing["size"].to_pylist()] == [False, False, True, True, False]


def test_no_images_says_what_was_there(tmp_path):
    """A wrong folder or filter is recognised by the number of files and their extensions."""
    (tmp_path / "empty").mkdir()
    fill(tmp_path, "tiffs/a/1.tga", "tiffs/a/2.tga", "tiffs/README")
    assert "no files" in refused(Images(folder="empty"), tmp_path)
    message = refused(Images(folder="tiffs", extensions=("png",)), tmp_path)
    assert "none of its 3 file(s)" in message
    assert "2 .tga, 1 without extension" in message
    assert ".png" in message


def test_no_folder_says_which(tmp_path):
    """A folder that is absent, or a file, is named with its full path."""
    fill(tmp_path, "file.csv")
    assert f"no folder {tmp_path}/gone" in refused(Images(folder="gone"), tmp_path)
    assert "a file, not a folder" in refused(Images(folder="file.csv"), tmp_path)


def test_a_subfolder_that_cannot_be_read_is_not_skipped(tmp_path, monkeypatch):
    """Images nobody may see are not silently absent."""
    fill(tmp_path, "a/1.png", "secret/2.png")
    real = os.scandir

    def scandir(path):
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    message = refused(Images(folder="."), tmp_path)
    assert "secret" in message
    assert "Permission denied" in message


def test_a_name_that_is_not_utf8_is_refused(tmp_path):
    """Ids are text in every file we write; a name that is not is shown as bytes."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / os.fsdecode(b"\xff.png")).write_bytes(b"x")
    assert r"\xff" in refused(Images(folder="."), tmp_path)
