"""Lists of training sets whose images are elsewhere."""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evaljobs.audit.training_list import read_training
from evaljobs.errors import UsageError

A, B = (hashlib.sha256(text).digest() for text in (b"a", b"b"))


def test_labels_and_digests_are_read_from_csv(tmp_path):
    """Labels stay as they are written (007), digests in either case; other columns are not looked at."""
    path = tmp_path / "train.csv"
    path.write_text(f"file,label,sha256\nx.png,007,{A.hex()}\ny.png,anna,{B.hex().upper()}\nz.png,anna,\n")
    found = read_training(str(path), "training_list")
    assert found.labels == {"007", "anna"}
    assert found.digests.to_pylist() == [A, B, None]
    assert found.of_images == ["007", "anna", "anna"]
    assert found.listed


def test_labels_alone_and_digests_alone_say_what_they_say(tmp_path):
    """What a list lacks is unknown, not empty."""
    (tmp_path / "labels.csv").write_text("label\na\nb\n")
    labels = read_training(str(tmp_path / "labels.csv"), "training_list")
    assert (labels.labels, labels.digests) == ({"a", "b"}, None)
    pq.write_table(pa.table({"sha256": pa.array([A], pa.binary(32))}), tmp_path / "digests.parquet")
    digests = read_training(str(tmp_path / "digests.parquet"), "training_list")
    assert (digests.labels, digests.digests.to_pylist()) == (None, [A])
    pq.write_table(pa.table({"label": pa.array([7, 8])}), tmp_path / "numbers.parquet")
    assert read_training(str(tmp_path / "numbers.parquet"), "training_list").labels == {"7", "8"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name,file\na,b\n", "has the columns 'name', 'file'; expected"),
        (b"label\n", "has no rows; expected"),
        (b"label,sha256\na,xyz\n", "row 1 has the sha256 'xyz'; expected 64 hexadecimal digits"),
        (b"", "cannot be read"),
        (b"label\n\xff\xfe\x00\n", "cannot be read"),
        (b"PAR1 nothing", "cannot be read"),
    ],
)
def test_lists_that_say_nothing_are_refused(tmp_path, content, said):
    """Found, expected, and where."""
    path = tmp_path / "list.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=said) as raised:
        read_training(str(path), "jobs.a.training_list")
    assert str(raised.value).startswith(f"jobs.a.training_list: {path}")


def test_a_missing_list_and_a_folder_are_refused(tmp_path):
    """A folder of images is a set."""
    with pytest.raises(UsageError, match="does not exist"):
        read_training(str(tmp_path / "none.csv"), "training_list")
    with pytest.raises(UsageError, match="is a folder; name a set of its images"):
        read_training(str(tmp_path), "training_list")
