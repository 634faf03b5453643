"""The hardest pairs as pictures: the right images beside each other, and copies called copies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import evaljobs
from evaljobs.report.figures.contact_sheet import hardest_rows, hardest_sheet
from evaljobs.report.figures.thumbnails import FILE, Thumbnails, data_uri, pixels_of, wanted
from evaljobs.report.results import Group
from evaljobs.report.section import Found
from tests.report.mapped import digit_images, write_thumbnails

N = 100


@pytest.fixture
def found(tmp_path: Path) -> Found:
    """Verify digits for real; the last one is a copy of the first under another label."""
    digits = load_digits()
    rows = np.concatenate([digits.data[: N - 1], digits.data[:1]]).astype(np.float32)
    labels = [*(str(label) for label in digits.target[: N - 1]), "$copy_{"]
    images = digit_images(N - 1)
    digests = write_thumbnails(tmp_path, [*images, images[0]])
    table = evaljobs.verify(rows, labels, fpr="1e-2", hardest=30).tables()["hardest"]
    for side in "ab":
        sides = table[f"row_{side}"].to_pylist()
        table = table.append_column(f"id_{side}", pa.array([f"digit {n}" for n in sides]))
        table = table.append_column(f"image_digest_{side}", pa.array([digests[n] for n in sides], pa.binary(32)))
    evaluation = {
        "job": "verification", "kind": "verification", "set": "main", "model": "pixels", "status": "ok",
        "result": {"points": [], "auroc": 0.9},
    }  # fmt: skip
    model = {"name": "pixels", "status": "ok", "tags": {}}
    results = {"models": [model], "evaluations": [evaluation]}
    return Found(
        results, Group("verification", "main", {"pixels": evaluation}), {"pixels": {"hardest": table}}, tmp_path
    )


def test_rows_have_the_images_of_their_pairs(found: Found) -> None:
    """Each side's thumbnail is that of its digit; the copy is the hardest impostor, and said to be one image."""
    rows = hardest_rows(found, "pixels")
    assert len(rows) == 60
    assert [row["genuine"] for row in rows] == [False] * 30 + [True] * 30
    originals = digit_images(N - 1)
    for row in rows:
        for side in "ab":
            number = int(row[f"id_{side}"].split()[1]) % (N - 1)
            shown, whole = pixels_of(row[f"thumb_{side}"]), pixels_of(originals[number])
            assert shown is not None
            assert whole is not None
            assert np.abs(shown.astype(int) - whole).max() < 40  # PNG or JPEG
        assert (row["label_a"] == row["label_b"]) == row["genuine"]
    assert {rows[0]["id_a"], rows[0]["id_b"]} == {"digit 0", f"digit {N - 1}"}
    assert [row["same_image"] for row in rows] == [True] + [False] * 59
    assert rows[0]["score"] == pytest.approx(1)


def test_sheet_is_a_picture_of_them(found: Found) -> None:
    """Twelve pairs of each kind; the copy is told in the caption; hostile labels are text."""
    picture = hardest_sheet(found, "pixels")
    assert picture is not None
    assert picture.files.png == found.folder / "figures" / "hardest-pixels.png"
    assert picture.caption.startswith("1 of these pairs: one image")
    with Image.open(picture.files.png) as image:
        assert image.size[0] > 1000
    again = picture.files.svg.read_bytes()
    assert hardest_sheet(found, "pixels") is not None
    assert picture.files.svg.read_bytes() == again


def test_missing_pictures_are_empty_boxes(found: Found) -> None:
    """Some are missing: the sheet stands. All are missing, or the model has no pairs: there is none."""
    rows = hardest_rows(found, "pixels")
    few = Thumbnails({found.tables["pixels"]["hardest"]["image_digest_a"][3].as_py(): rows[3]["thumb_a"]})
    assert hardest_sheet(found, "pixels", few) is not None
    assert hardest_sheet(found, "pixels", Thumbnails()) is None
    assert hardest_sheet(found, "nobody") is None
    assert hardest_rows(found, "nobody") == []


def test_tables_of_vectors_have_no_images(found: Found) -> None:
    """Pairs of a table that somebody scored have neither digests nor pictures, and are listed all the same."""
    table = found.tables["pixels"]["hardest"].drop_columns(["image_digest_a", "image_digest_b", "id_a", "id_b"])
    bare = found._replace(tables={"pixels": {"hardest": table}})
    rows = hardest_rows(bare, "pixels")
    assert len(rows) == 60
    assert {(row["thumb_a"], row["id_a"], row["same_image"]) for row in rows} == {(None, None, False)}


def test_what_is_wanted_first(found: Found) -> None:
    """The pairs of the sheet come before the further ones; each image once."""
    key = ("verification", "main", "pixels")
    digests = wanted(found.results, {key: found.tables["pixels"]})
    assert len(digests) == len(set(digests))
    table = found.tables["pixels"]["hardest"].to_pylist()
    sheet = {row[f"image_digest_{side}"] for row in table if row["rank"] <= 12 for side in "ab"}
    assert set(digests[: len(sheet)]) == sheet
    assert set(digests) == {row[f"image_digest_{side}"] for row in table for side in "ab"}


def test_only_pictures_are_taken_from_the_file(tmp_path: Path) -> None:
    """Whoever wrote the file: what goes into a page is a PNG or a JPEG."""
    assert Thumbnails.load(tmp_path / "nowhere").get(b"\0" * 32) is None
    (tmp_path / FILE).write_bytes(b"ARROW1 no")
    assert not Thumbnails.load(tmp_path).by_digest
    schema = pa.schema([("image_digest", pa.binary(32)), ("thumbnail", pa.binary())])
    table = pa.table([[b"a" * 32, b"b" * 32, b"c" * 32], [b"<svg onload=alert(1)>", None, digit_images(1)[0]]], schema)
    with pa.ipc.new_file(str(tmp_path / FILE), schema) as writer:
        writer.write_table(table)
    found = Thumbnails.load(tmp_path)
    assert set(found.by_digest) == {b"c" * 32}
    assert data_uri(found.by_digest[b"c" * 32]).startswith("data:image/png;base64,")
    assert pixels_of(b"\xff\xd8\xff no jpeg") is None
