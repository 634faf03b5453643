"""Images inside Parquet files become listings."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evaljobs import schemas
from evaljobs.config import Images
from evaljobs.errors import UsageError
from evaljobs.images.listing import list_images
from evaljobs.images.reading import read_images
from tests.image_containers import png, write_parquet


def listed(folder, **keys):
    return list_images(Images(parquet="x.parquet", **keys), folder, "faces")


def refused(folder, **keys):
    with pytest.raises(UsageError) as caught:
        listed(folder, **keys)
    assert "'faces'" in str(caught.value)
    assert "x.parquet" in str(caught.value)
    return str(caught.value)


def labels_of(listing):
    return dict(zip(listing["sample_id"].to_pylist(), listing["label"].to_pylist(), strict=True))


def test_what_hugging_face_writes_is_listed_and_read(tmp_path):
    """The path beside the bytes is the id, the label the ClassLabel's name, the bytes are those that were put in."""
    images = [(png(number), f"{number:02d}.png") for number in range(10)]
    write_parquet(tmp_path / "x.parquet", images, [n % 2 for n in range(10)], names=["cat", "dog"])
    listing = listed(tmp_path)
    assert listing.schema == schemas.LISTING
    assert labels_of(listing) == {f"{n:02d}.png": ["cat", "dog"][n % 2] for n in range(10)}
    assert listing["uri"].to_pylist() == [f"parquet:{tmp_path}/x.parquet#{n}" for n in range(10)]
    assert list(read_images(listing["uri"].to_pylist())) == [png(n) for n in range(10)]
    assert listing["mtime_ns"].null_count == listing["etag"].null_count == 0


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
def test_plain_bytes_and_labels_of_every_kind(tmp_path, labels):
    """Bytes need no struct around them; ids are then made of file and row; integer labels become their text."""
    write_parquet(tmp_path / "x.parquet", [png(0), png(1)], labels)
    assert labels_of(listed(tmp_path)) == {"x.parquet#0": "7", "x.parquet#1": "8"}


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view(), "dictionary"], ids=str)
def test_bytes_of_every_type(tmp_path, kind):
    """Writers choose among Arrow's types for bytes; the bytes are the same."""
    images = pa.array([png(0), png(1), png(0)], pa.binary() if kind == "dictionary" else kind)
    images = images.dictionary_encode() if kind == "dictionary" else images
    pq.write_table(pa.table({"image": images, "label": ["a", "b", "a"]}), tmp_path / "x.parquet", row_group_size=2)
    assert list(read_images(listed(tmp_path)["uri"].to_pylist())) == [png(0), png(1), png(0)]


def test_paths_that_are_not_unique_are_no_ids(tmp_path):
    """Over all files of the set: where one path is missing or stands twice, every id is made of file and row."""
    for name, paths in (("a", ["1.png", "2.png"]), ("b", ["1.png", "3.png"])):
        write_parquet(tmp_path / f"{name}.parquet", [(png(1), path) for path in paths], ["l", "m"])
    found = list_images(Images(parquet="*.parquet"), tmp_path, "faces")["sample_id"].to_pylist()
    assert found == ["a.parquet#0", "a.parquet#1", "b.parquet#0", "b.parquet#1"]
    assert list_images(Images(parquet="b.parquet"), tmp_path, "faces")["sample_id"].to_pylist() == ["1.png", "3.png"]
    write_parquet(tmp_path / "x.parquet", [(png(1), "1.png"), (png(2), None)], ["l", "m"])
    assert listed(tmp_path)["sample_id"].to_pylist() == ["x.parquet#0", "x.parquet#1"]


def test_a_column_of_ids_is_taken_as_it_is(tmp_path):
    """Named columns are used, whatever their names hold; ids that stand twice are refused."""
    table = pa.table({"pic #1,": [png(0), png(1)], "who": ["a", "b"], "nr": [5, 3]})
    pq.write_table(table, tmp_path / "x.parquet")
    keys = {"image_column": "pic #1,", "label_column": "who", "id_column": "nr"}
    listing = listed(tmp_path, **keys)
    assert labels_of(listing) == {"3": "b", "5": "a"}
    assert list(read_images(listing["uri"].to_pylist())) == [png(1), png(0)]
    pq.write_table(table.set_column(2, "nr", [[5, 5]]), tmp_path / "x.parquet")
    assert "1 sample id(s) stand more than once in column 'nr'" in refused(tmp_path, **keys)


@pytest.mark.parametrize("counted", [True, False], ids=["with statistics", "without"])
def test_rows_without_bytes_are_named(tmp_path, counted):
    """A table that names files elsewhere, as datasets writes it without embedding, is refused with the way out."""
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = [{"bytes": png(0), "path": "a"}, {"bytes": None, "path": "/b.png"}, None, {"bytes": png(3), "path": "d"}]
    table = pa.table({"image": pa.array(rows, kind), "label": list("abcd")})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=2, write_statistics=counted)
    message = refused(tmp_path)
    assert "2 row(s) have no bytes in column 'image', the first in row 1, 2 (counted from 0)" in message
    assert "embed_table_storage" in message


def test_wrong_types_and_labels_are_refused(tmp_path):
    """What is no image, no identity, or unlabelled is said before anything is read."""
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"image": ["a.png"], "label": ["1"]}), path)
    assert "column 'image' holds string; expected encoded images" in refused(tmp_path)
    pq.write_table(pa.table({"image": [{"path": "a.png"}], "label": ["1"]}), path)
    assert "holds struct<path: string>; expected encoded images" in refused(tmp_path)
    pq.write_table(pa.table({"img": [b"1"], "label": ["1"]}), path)
    assert "no column 'image'; did you mean 'img'? Set `image_column`" in refused(tmp_path)
    write_parquet(path, [png(0)], [1.5])
    assert "'label' holds double" in refused(tmp_path)
    write_parquet(path, [png(0), png(1)], ["a", None])
    assert "1 row(s) have no value in column 'label', the first in row 2" in refused(tmp_path)
    write_parquet(path, [png(0), png(1)], [0, -1], names=["a"])
    assert "1 row(s) have no value in column 'label'" in refused(tmp_path)
    write_parquet(path, [png(0)], [3], names=["a", "b"])
    assert "holds 3, but its ClassLabel has 2 names" in refused(tmp_path)


@pytest.mark.parametrize(
    "metadata", ["not json", "[]", '{"info": {"features": {"label": {"names": "ab"}}}}', "[" * 9999]
)
def test_metadata_that_means_nothing_is_not_used(tmp_path, metadata):
    """Anybody may write a key `huggingface`; without names of classes, integers are the labels."""
    table = pa.table({"image": [png(0)], "label": [3]}).replace_schema_metadata({"huggingface": metadata})
    pq.write_table(table, tmp_path / "x.parquet")
    assert listed(tmp_path)["label"].to_pylist() == ["3"]


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + b"\0" * 100 + b"PAR1", b"no parquet at all" * 9])
def test_a_file_that_is_no_parquet_says_so(tmp_path, data):
    """Empty, cut off, damaged, something else: the file is named, nothing is started."""
    (tmp_path / "x.parquet").write_bytes(data)
    message = refused(tmp_path)
    assert "cannot be read" in message
    assert "expected a Parquet file" in message


def test_an_empty_table_and_no_file_are_refused(tmp_path):
    """A set without images is a mistake, and so is a name that means no file."""
    with pytest.raises(UsageError, match="nothing matches"):
        list_images(Images(parquet="*.parquet"), tmp_path, "faces")
    write_parquet(tmp_path / "x.parquet", [], pa.array([], pa.string()))
    with pytest.raises(UsageError, match="holds no samples"):
        listed(tmp_path)
    with pytest.raises(UsageError, match=r"no file, and no folder with \.parquet files, is at"):
        list_images(Images(parquet="gone"), tmp_path, "faces")


def test_labels_cost_no_image_bytes(tmp_path, monkeypatch):
    """Of a file of images, listing reads the footer and small columns."""
    big = [(bytes(200_000) + bytes([n]), f"{n}.png") for n in range(50)]
    path = write_parquet(tmp_path / "x.parquet", big, ["a"] * 50, rows_per_group=10)
    assert path.stat().st_size < 1_000_000  # compressed; what is decoded counts
    read = []
    real = pq.ParquetFile.read

    def reading(self, columns):
        read.extend(columns)
        return real(self, columns=columns)

    monkeypatch.setattr(pq.ParquetFile, "read", reading)
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", None)
    assert listed(tmp_path).num_rows == 50
    assert read == ["label", "image.path"]
