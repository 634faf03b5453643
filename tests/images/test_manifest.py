"""Manifests become listings."""

from __future__ import annotations

import ntpath
import types

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evaljobs import schemas
from evaljobs.config import Images
from evaljobs.errors import UsageError
from evaljobs.images import manifest
from evaljobs.images.listing import list_images
from evaljobs.images.looking import KNOWN, look
from tests.image_containers import png, write_tar

CSV = Images(manifest="m.csv")


def listed(tmp_path, text, images=CSV):
    (tmp_path / "m.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return list_images(images, tmp_path, "faces")


def refused(tmp_path, text, images=CSV):
    with pytest.raises(UsageError) as caught:
        listed(tmp_path, text, images)
    assert "'faces'" in str(caught.value)
    return str(caught.value)


def test_csv_values_are_text(tmp_path):
    """A label 007, NA or 1e5 stays what was written; ids are the uris as written, sorted."""
    listing = listed(tmp_path, 'label,uri\n007,b.png\nNA,a.png\n1e5,c.png\n"x,\ny",d.png\n')
    assert listing.schema == schemas.LISTING
    assert listing["sample_id"].to_pylist() == ["a.png", "b.png", "c.png", "d.png"]
    assert listing["label"].to_pylist() == ["NA", "007", "1e5", "x,\ny"]


def test_uris_start_at_the_manifest(tmp_path):
    """A relative uri is found beside the manifest; absolute paths and file:// stay; a missing file has no size."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a b.png").write_bytes(b"12345")
    (tmp_path / "sub" / "m.csv").write_text(f"uri,label\na b.png,1\nfile://{tmp_path}/sub/a%20b.png,2\n/gone.png,3\n")
    listing = list_images(Images(manifest="sub/m.csv"), tmp_path, "faces")
    found = dict(zip(listing["label"].to_pylist(), listing.select(["uri", "size"]).to_pylist(), strict=True))
    here = f"{tmp_path}/sub/a b.png"
    assert found == {
        "1": {"uri": here, "size": 5},
        "2": {"uri": here, "size": 5},
        "3": {"uri": "/gone.png", "size": None},
    }


@pytest.mark.parametrize(
    ("uri", "posix", "windows"),
    [
        ("file:///C:/a%20b.png", "/C:/a b.png", "C:/a b.png"),
        ("file://localhost/x.png", "/x.png", "/x.png"),
        ("/x.png", "/x.png", "/x.png"),
        ("C:\\x.png", "/here/C:\\x.png", "C:\\x.png"),
        ("a/x.png", "/here/a/x.png", "/here\\a/x.png"),
        ("s3://bucket/a//b #1.png", "s3://bucket/a//b #1.png", "s3://bucket/a//b #1.png"),
    ],
)
def test_absolute_uris_are_those_of_the_system(monkeypatch, uri, posix, windows):
    """A drive makes a path absolute on Windows, and stands behind a slash in a file uri; elsewhere it is a name."""
    assert manifest._absolute(uri, "/here", "m.csv") == posix
    with monkeypatch.context() as patch:
        patch.setattr(manifest, "os", types.SimpleNamespace(name="nt", path=ntpath))
        assert manifest._absolute(uri, "/here", "m.csv") == windows


def test_other_columns_and_a_column_of_ids(tmp_path):
    """Columns have the names the config gives them; further columns, whatever they hold, are not looked at."""
    images = Images(manifest="m.csv", uri_column="path", label_column="who", id_column="nr")
    listing = listed(tmp_path, b"nr,who,path,more\n2,b,x.png,\xff\n10,a,x.png,\n", images)
    assert listing["sample_id"].to_pylist() == ["10", "2"]
    assert listing["label"].to_pylist() == ["a", "b"]


def test_a_byte_order_mark_is_no_part_of_a_name(tmp_path):
    """CSV as spreadsheets write it."""
    assert listed(tmp_path, b"\xef\xbb\xbfuri,label\r\na.png,1\r\n")["sample_id"].to_pylist() == ["a.png"]


@pytest.mark.parametrize(
    "labels",
    [
        pa.array([7, 8]),
        pa.array(["7", "8"]),
        pa.array(["7", "8"], pa.large_string()),
        pa.array(["7", "8"]).dictionary_encode(),
        pa.array([7, 8], pa.uint8()),
    ],
    ids=lambda labels: str(labels.type),
)
def test_parquet_labels_may_be_integers_or_text(tmp_path, labels):
    """Parquet is told by its content; integer labels become their decimal text."""
    pq.write_table(pa.table({"uri": ["a.png", "b.png"], "label": labels}), tmp_path / "m.csv")
    assert list_images(CSV, tmp_path, "faces")["label"].to_pylist() == ["7", "8"]


def test_parquet_labels_of_another_type_are_refused(tmp_path):
    """A float is no identity."""
    pq.write_table(pa.table({"uri": ["a.png"], "label": [1.5]}), tmp_path / "m.csv")
    with pytest.raises(UsageError, match="'label' holds double; expected text or integers"):
        list_images(CSV, tmp_path, "faces")


@pytest.mark.parametrize("value", [None, ""])
def test_missing_values_are_counted_and_located(tmp_path, value):
    """Null and empty are equally missing; the first rows are named."""
    table = pa.table({"uri": ["a.png", "b.png", "c.png"], "label": ["1", value, value]})
    pq.write_table(table, tmp_path / "m.csv")
    with pytest.raises(UsageError, match=r"2 row\(s\) have no value in column 'label', the first in row 2, 3"):
        list_images(CSV, tmp_path, "faces")


def test_missing_values_of_csv(tmp_path):
    """An empty cell is a missing one, in either column."""
    assert "1 row(s) have no value in column 'uri', the first in row 2" in refused(tmp_path, "uri,label\na,1\n,2\n")
    assert "column 'label'" in refused(tmp_path, "uri,label\na,\nb,2\n")


def test_a_missing_column_names_the_nearest(tmp_path):
    """A slip of the pen is recognised; else the columns are listed."""
    assert "no column 'label'; did you mean 'labels'?" in refused(tmp_path, "uri,labels\na,1\n")
    assert "it has 'x', 'y'" in refused(tmp_path, "x,y\na,1\n")
    assert "not to be separated by commas" in refused(tmp_path, "x;label\na;1\n")
    assert "2 columns named 'label'" in refused(tmp_path, "uri,label,label\na,1,2\n")


def test_an_image_twice_is_refused(tmp_path):
    """Every image stands in a set once; with ids of their own, one file may serve twice."""
    message = refused(tmp_path, "uri,label\nb,1\na,1\nb,2\nb,3\n")
    assert "1 sample id(s) stand more than once in column 'uri'" in message
    assert "'b'" in message
    assert "id_column" in message
    images = Images(manifest="m.csv", id_column="id")
    assert listed(tmp_path, "id,uri,label\n1,b,1\n2,b,2\n", images).num_rows == 2
    assert "column 'id'" in refused(tmp_path, "id,uri,label\n1,b,1\n1,c,2\n", images)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"uri,label\n", "has no rows"),
        (b"", "cannot be read: Empty CSV file"),
        (b"uri,label\na,1,2\n", "Expected 2 columns, got 3"),
        ("uri,label\na,é\n".encode("latin-1"), "not UTF-8"),
        ("uri,lab\xe9l\na,b\n".encode("latin-1"), "not UTF-8"),
        ("uri,label\na,b\n".encode("utf-16"), "UTF-8"),
        (b"PAR1 but no more", "cannot be read"),
        (b"\0\1\2\3" * 100, "faces"),
    ],
)
def test_a_manifest_that_cannot_be_read_says_why(tmp_path, content, said):
    """Empty, ragged, wrongly encoded and damaged files end as a mistake of the user's, with the file's name."""
    message = refused(tmp_path, content)
    assert said in message
    assert "m.csv" in message


def test_a_manifest_that_is_not_there(tmp_path):
    """Absent files and folders are named with their full path."""
    with pytest.raises(UsageError, match=f"{tmp_path}/gone.csv does not exist"):
        list_images(Images(manifest="gone.csv"), tmp_path, "faces")
    with pytest.raises(UsageError, match="is a folder"):
        list_images(Images(manifest="."), tmp_path, "faces")


def test_uris_of_other_systems_are_refused(tmp_path):
    """An address on the network is not taken for a file name."""
    assert "'https://host/a.png' is no file" in refused(tmp_path, "uri,label\nhttps://host/a.png,1\n")


@pytest.mark.parametrize("uri", ["file://im/1.png", "file://tar:/x.tar#512,75", "file://", "file://host/x.png"])
def test_a_file_uri_names_an_absolute_path(tmp_path, uri):
    """What is relative, a host, or a place inside a container is not taken for a file."""
    assert f"the uri {uri!r} names no absolute path" in refused(tmp_path, f'uri,label\n"{uri}",1\n')


@pytest.mark.parametrize(
    ("uri", "found"),
    [
        ("b.png", "s3://bucket/sets/b.png"),
        ("./a//b.png", "s3://bucket/sets/a//b.png"),
        ("../b.png", "s3://bucket/b.png"),
        ("x/../b.png", "s3://bucket/sets/b.png"),
        ("../../bucket/b.png", None),
        ("../../../etc/b.png", None),
    ],
)
def test_a_uri_beside_a_manifest_on_s3_stays_in_its_bucket(uri, found):
    """Folders are gone up to the bucket's own; an empty name is part of a key."""
    if found is None:
        with pytest.raises(UsageError, match="leads out of the bucket 'bucket'"):
            manifest._absolute(uri, "s3://bucket/sets", "m.csv")
    else:
        assert manifest._absolute(uri, "s3://bucket/sets", "m.csv") == found


def test_image_inside_a_container_may_be_named(tmp_path):
    """It has its own size and the version of its container: the next run does not read it again."""
    tar = write_tar(tmp_path / "a.tar", {"x/1.png": png(1), "x/2.png": png(2)})
    listed = list_images(Images(tar=str(tar)), tmp_path, "main")
    rows = zip(listed["sample_id"].to_pylist(), listed["label"].to_pylist(), listed["uri"].to_pylist(), strict=True)
    lines = ["id,label,uri", *(f'{sample},{label},"{uri}"' for sample, label, uri in rows)]
    (tmp_path / "list.csv").write_text("\n".join(lines))
    found = list_images(Images(manifest=str(tmp_path / "list.csv"), id_column="id"), tmp_path, "main")
    same = ["sample_id", "label", "uri", "size", "mtime_ns"]
    assert found.select(same) == listed.select(same)
    first = look(found, None, threads=1).samples
    assert look(found, first.select(KNOWN.names), threads=1).fresh.num_rows == 0
    assert first["image_digest"].null_count == 0
