"""Columns of people's own in a manifest: kept with their types, in nobody's way."""

from __future__ import annotations

import datetime as dt
import decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evaljobs import schemas
from evaljobs.config import Images, validate
from evaljobs.errors import UsageError
from evaljobs.images.listing import list_images
from evaljobs.images.own_columns import concatenated, own_names, typed


def images(*columns: str, manifest: str = "m.csv", **more: Any) -> Images:
    return validate(Images, {"manifest": manifest, "columns": columns, **more}, "images")


def listed(folder: Path, text: str, *columns: str, **more: Any) -> pa.Table:
    (folder / "m.csv").write_text(text, encoding="utf-8")
    return list_images(images(*columns, **more), folder, "faces")


@pytest.mark.parametrize(
    ("written", "kind", "values"),
    [
        (["1", "-20", ""], pa.int64(), [1, -20, None]),
        (["1", "2.5", "-3e4"], pa.float64(), [1.0, 2.5, -30000.0]),
        (["007", "1"], pa.string(), ["007", "1"]),
        (["1e999", "2"], pa.string(), ["1e999", "2"]),
        (["nan", "inf", "1"], pa.string(), ["nan", "inf", "1"]),
        # More digits than 64 bits hold: as a number it would be another one.
        (["12345678901234567890", "1"], pa.string(), ["12345678901234567890", "1"]),
        (["", ""], pa.string(), [None, None]),
        (["NA", "x"], pa.string(), ["NA", "x"]),
        ([], pa.string(), []),
    ],
)
def test_texts_that_are_numbers_are_numbers(written: list[str], kind: pa.DataType, values: list[Any]) -> None:
    """A column of a CSV file is numbers where every value is one, and loses nothing; else it is what was written."""
    found = typed(pa.chunked_array([written], pa.string()), "c", "m.csv", written=True)
    assert found.type == kind
    assert found.to_pylist() == values


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (pa.array([1, None], pa.int8()), [1, None]),
        (pa.array([2**63], pa.uint64()), [2.0**63]),
        (pa.array([1.5, None], pa.float32()), [1.5, None]),
        (pa.array(["1", ""]), ["1", None]),
        (pa.array(["a", None, "a"]).dictionary_encode(), ["a", None, "a"]),
        (pa.array([True, None]), ["true", None]),
        (pa.array([dt.date(2026, 1, 2)]), ["2026-01-02"]),
        (pa.array([decimal.Decimal("1.50")]), ["1.50"]),
        (pa.nulls(1), [None]),
    ],
)
def test_parquet_keeps_its_types(column: pa.Array, values: list[Any]) -> None:
    """Integers, numbers and texts of a Parquet file stay what they are; times and truth values become text."""
    found = typed(pa.chunked_array([column]), "c", "m.parquet", written=False)
    assert found.type in {pa.string(), pa.int64(), pa.float64()}
    assert found.to_pylist() == values


def test_what_is_no_value_is_refused(tmp_path: Path) -> None:
    """A column of lists or bytes cannot be shown: it is named, with its type."""
    table = pa.table({"uri": ["a.png"], "label": ["x"], "boxes": [[1, 2]]})
    pq.write_table(table, tmp_path / "m.parquet")
    with pytest.raises(UsageError, match="'boxes' of `columns` holds list"):
        list_images(images("boxes", manifest="m.parquet"), tmp_path, "faces")


def test_a_listing_has_them_behind_its_own(tmp_path: Path) -> None:
    """They are in the order of the samples, whatever they are called; a name that the listing has is no clash."""
    text = "uri,label,size,a b\nb.png,x,7,<b>\na.png,y,,\n"
    listing = listed(tmp_path, text, "size", "a b")
    assert listing.select(schemas.LISTING.names).schema == schemas.LISTING
    assert own_names(listing) == ["manifest.size", "manifest.a b"]
    assert listing.select(["sample_id", "manifest.size", "manifest.a b"]).to_pylist() == [
        {"sample_id": "a.png", "manifest.size": None, "manifest.a b": None},
        {"sample_id": "b.png", "manifest.size": 7, "manifest.a b": "<b>"},
    ]
    assert own_names(listed(tmp_path, text)) == []


def test_a_column_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """The nearest column is named, and the key."""
    with pytest.raises(UsageError, match=r"no column 'camra'; did you mean 'camera'\?.*`columns`"):
        listed(tmp_path, "uri,label,camera\na.png,x,1\n", "camra")


@pytest.mark.parametrize(
    ("columns", "more", "message"),
    [
        (["label"], {}, "'label': file, label and id of each image are kept anyway"),
        (["path"], {"uri_column": "path"}, "'path': file, label and id"),
        (["a", "b", "a"], {}, "'a' twice"),
    ],
)
def test_columns_that_mean_nothing_more_are_refused(columns: list[str], more: dict[str, str], message: str) -> None:
    """What is kept at any rate, or stands twice, is a mistake; so is a column of a folder."""
    with pytest.raises(UsageError, match=message):
        images(*columns, **more)
    with pytest.raises(UsageError, match="`columns` belongs to `manifest`"):
        validate(Images, {"folder": "faces", "columns": "camera"}, "images")


def test_sets_with_other_columns_stand_in_one_table() -> None:
    """What a set has not is null there; text in one set and numbers in another are text; numbers alike stay numbers."""
    one = pa.table({"id": ["a"], "manifest.n": [1], "manifest.t": [1]})
    other = pa.table({"id": ["b"], "manifest.t": ["x"], "manifest.f": [0.5]})
    whole = concatenated([one, other])
    assert whole.to_pylist() == [
        {"id": "a", "manifest.n": 1, "manifest.t": "1", "manifest.f": None},
        {"id": "b", "manifest.n": None, "manifest.t": "x", "manifest.f": 0.5},
    ]
