"""Rows of tables get names: ids and facts of the sample that a number stands for."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from evaljobs.engine.evaluation import Members
from evaljobs.engine.naming import FACTS, name_rows
from evaljobs.engine.output import samples_arrow
from evaljobs.schemas import SAMPLES


def samples(ids: list[str], digests: list[int], **own: Any) -> pa.Table:
    """Return the samples of a set; two of one digest are the same image."""
    rows = {"sample_id": ids, "label": ["x"] * len(ids), "uri": ids, "format": ["PNG"] * len(ids)}
    rows["image_digest"] = [bytes([digest]) * 32 for digest in digests]
    columns = [pa.array(rows.get(field.name, [None] * len(ids)), field.type) for field in SAMPLES]
    table = pa.Table.from_arrays(columns, schema=SAMPLES)
    for name, values in own.items():
        table = table.append_column(f"manifest.{name}", pa.chunked_array([values]))
    return table


def members(table: pa.Table) -> Members:
    return Members(*(table[name].combine_chunks() for name in ("sample_id", "label", "image_digest")))


def test_own_columns_are_of_the_sample_and_not_of_the_image() -> None:
    """One image under two ids has the facts of the file twice, and what people know of each sample."""
    table = samples(["a", "b", "c"], [1, 1, 2], camera=["left", "right", None])
    named = name_rows(pa.table({"row": [2, 1, 0, 1]}), {"set": members(table)}, {"set": table})
    assert set(named.column_names) == {"row", "id", "image_digest", *FACTS, "manifest.camera"}
    assert named["id"].to_pylist() == ["c", "b", "a", "b"]
    assert named["manifest.camera"].to_pylist() == [None, "right", "left", "right"]
    assert named["format"].to_pylist() == ["PNG"] * 4


def test_sets_of_other_columns_stand_in_one_table() -> None:
    """Of a job with several sets each row has what its own set knows; so has samples.arrow."""
    known, foreign = samples(["a"], [1], camera=["left"], lux=[3]), samples(["z"], [2], lux=["dark"])
    both = {"set": known, "foreign 1": foreign}
    table = pa.table({"role": ["set", "foreign 1"], "row": [0, 0]})
    named = name_rows(table, {role: members(one) for role, one in both.items()}, both)
    assert named.select(["role", "id", "manifest.camera", "manifest.lux"]).to_pylist() == [
        {"role": "set", "id": "a", "manifest.camera": "left", "manifest.lux": "3"},
        {"role": "foreign 1", "id": "z", "manifest.camera": None, "manifest.lux": "dark"},
    ]
    with pa.ipc.open_file(pa.BufferReader(samples_arrow({"main": known, "other": foreign}))) as file:
        written = file.read_all()
    assert written.column_names == ["set", *SAMPLES.names, "manifest.camera", "manifest.lux"]
    assert written["manifest.lux"].to_pylist() == ["3", "dark"]
