"""What is on disk stays readable: the checksum of the same rows is the same in every version."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest

from evaljobs.store.arrow import from_bytes, to_bytes


def test_the_checksum_is_that_of_every_store_so_far() -> None:
    """Another one would have all tables taken for damaged. Sliced, in chunks, and with nulls; written down in 2026."""
    rows = pa.array(np.arange(24, dtype=np.float32) / 8)
    digests = [bytes([number]) * 4 for number in range(4)]
    table = pa.table(
        {
            "digest": pa.chunked_array(
                [pa.array(digests, pa.binary(4))[1:], pa.array([b"abcd", None, b"efgh"], pa.binary(4))]
            ),
            "row": pa.chunked_array(
                [pa.FixedSizeListArray.from_arrays(rows[:16], 4)[2:], pa.FixedSizeListArray.from_arrays(rows[:16], 4)]
            ),
            "label": pa.array(["a", None, "b", "c", "d", "é"]),
        }
    )
    metadata = pa.ipc.open_file(to_bytes(table, {})).schema.metadata
    assert metadata[b"evaljobs.sha256"] == b"f5703f78f69e5e2448754bbb2e8ac7e3317dcf47fd5e3e8dbf93e577a50d767d"


@pytest.mark.parametrize(
    "column",
    [
        pa.array([b"", b""], pa.binary(0)),
        pa.array([[dt.date(2026, 1, 1)], [dt.date(2026, 1, 2)]], pa.list_(pa.date32(), 1)),
        pa.array([[True, False]], pa.list_(pa.bool_(), 2)),
        pa.array([], pa.list_(pa.float32(), 3)),
    ],
)
def test_rows_of_any_type_come_back(column: pa.Array) -> None:
    """Also of types that have no bytes of their own."""
    table = pa.table({"column": column})
    assert from_bytes(to_bytes(table, {})).equals(table)
