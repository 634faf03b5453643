"""The store: whole parts or none, damage found, nothing that stands there changed."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from evaljobs.errors import ModelError, StoreError
from evaljobs.schemas import DIGEST, FAILURES
from evaljobs.store import Store

KEY = {"model": "m", "batch_size": 32}


def digests(n: int, start: int = 0) -> pa.Array:
    return pa.array([hashlib.sha256(str(i).encode()).digest() for i in range(start, start + n)], DIGEST)


def matrix(n: int, d: int = 5) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, d), dtype=np.float32)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store").open()


def parts(store: Store) -> list[Path]:
    return sorted((store.root / "tables").rglob("part-*.arrow"))


def test_rows_come_back_in_the_order_asked_for(store: Store) -> None:
    """What is read is bit by bit what was committed, whatever the parts and the order."""
    table, rows, ids = store.table(KEY), matrix(100), digests(100)
    for start in range(0, 100, 30):
        assert table.commit(ids.slice(start, 30), {"embedding": rows[start : start + 30]})
    order = np.random.default_rng(1).permutation(100)
    read = table.read(ids.take(order), "embedding")
    assert read.dtype == np.float32
    assert read.tobytes() == rows[order].tobytes()
    assert len(parts(store)) == 4


def test_images_with_equal_bytes_share_a_row(store: Store) -> None:
    """Two samples of one file content are asked for by one digest, twice."""
    rows = matrix(2)
    store.table(KEY).commit(digests(2), {"embedding": rows})
    assert (store.table(KEY).read(digests(2).take([0, 1, 0]), "embedding") == rows[[0, 1, 0]]).all()


def test_first_writer_wins(store: Store) -> None:
    """A part that is there is not replaced, not even by other bytes."""
    rows = matrix(3)
    assert store.table(KEY).commit(digests(3), {"embedding": rows})
    assert not store.table(KEY).commit(digests(3), {"embedding": rows + 1})
    assert (store.table(KEY).read(digests(3), "embedding") == rows).all()


def test_other_key_is_another_table(store: Store) -> None:
    """A changed batch size shares no row."""
    store.table(KEY).commit(digests(3), {"embedding": matrix(3)})
    assert len(store.table({**KEY, "batch_size": 1}).digests()) == 0


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_damaged_part_is_missing_and_can_be_made_again(store: Store, damage: str) -> None:
    """A part that is not what was written is found out, whatever happened to it; the rest stays."""
    table, rows, ids = store.table(KEY), matrix(64, d=64), digests(64)
    table.commit(ids.slice(0, 32), {"embedding": rows[:32]})
    table.commit(ids.slice(32, 32), {"embedding": rows[32:]})
    victim = parts(store)[0]
    data = bytearray(victim.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 1
    victim.write_bytes({"truncated": data[: len(data) // 2], "flipped": data, "empty": b""}[damage])
    left = table.digests()
    assert len(left) == 32
    gone = [d for d in ids.to_pylist() if d not in set(left.to_pylist())]
    start = 0 if gone[0] == ids[0].as_py() else 32
    assert table.commit(ids.slice(start, 32), {"embedding": rows[start : start + 32]})
    assert (table.read(ids, "embedding") == rows).all()


def test_missing_rows_are_an_error_not_zeros(store: Store) -> None:
    """A row that vanished is said, with the number of rows."""
    store.table(KEY).commit(digests(3), {"embedding": matrix(3)})
    with pytest.raises(StoreError, match="1 of 4 rows are missing"):
        store.table(KEY).read(digests(4), "embedding")


def test_rows_of_different_dimension_are_the_models_fault(store: Store) -> None:
    """A model whose output changes its size cannot be compared, and is refused by name."""
    store.table(KEY).commit(digests(3), {"embedding": matrix(3, 4)})
    store.table(KEY).commit(digests(3, start=3), {"embedding": matrix(3, 5)})
    with pytest.raises(ModelError, match="dimensions"):
        store.table(KEY).read(digests(6), "embedding")


def test_results_and_their_tables_round_trip(store: Store) -> None:
    """A result is there with its tables, or not at all."""
    roc = pa.table({"fpr": [0.1, 0.2], "tpr": [0.5, 1.0]})
    assert store.result(KEY) is None
    store.add_result(KEY, {"result": {"auroc": 0.5}}, {"roc": roc})
    found = store.result(KEY)
    assert found is not None
    assert found[0] == {"result": {"auroc": 0.5}}
    assert found[1]["roc"].to_pydict() == roc.to_pydict()


def test_damaged_result_is_made_again(store: Store) -> None:
    """A result whose table is truncated is no result."""
    store.add_result(KEY, {"result": {}}, {"roc": pa.table({"fpr": [0.1]})})
    table = next((store.root / "results").rglob("roc.arrow"))
    table.write_bytes(table.read_bytes()[:40])
    assert store.result(KEY) is None
    store.add_result(KEY, {"result": {}}, {"roc": pa.table({"fpr": [0.1]})})
    assert store.result(KEY) is not None


def test_failures_are_remembered_per_geometry(store: Store) -> None:
    """What cannot be decoded in one geometry is not held against another."""
    rows = pa.table([digests(1), ["damaged"], ["truncated file"]], schema=FAILURES)
    store.add_failures({"height": 8}, rows)
    assert store.failures({"height": 8}).to_pylist() == rows.to_pylist()
    assert store.failures({"height": 16}).num_rows == 0


def test_newer_store_is_refused(tmp_path: Path) -> None:
    """A layout of another version is named, not misread."""
    Store(tmp_path).open()
    (tmp_path / "evaljobs-store.json").write_text('{"version":99}')
    with pytest.raises(StoreError, match="version 99"):
        Store(tmp_path).open()


def test_store_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    """A file where the store's folder should be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Check the folder's permissions"):
        Store(tmp_path / "file" / "store").open()


def _commit_for_ever(root: Path) -> None:
    table, n = Store(root).table(KEY), 0
    while True:
        table.commit(digests(50, start=n), {"embedding": matrix(50, 512)})
        n += 50


@pytest.mark.slow
def test_killed_writer_leaves_whole_parts(tmp_path: Path) -> None:
    """SIGKILL in the middle of a commit: every part that has its name is whole."""
    Store(tmp_path).open()
    seen = 0
    for delay in (0.15, 0.3, 0.45):
        process = multiprocessing.get_context("spawn").Process(target=_commit_for_ever, args=(tmp_path,))
        process.start()
        deadline = time.monotonic() + 30
        while len(parts(Store(tmp_path))) <= seen and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(delay)
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        count = len(parts(Store(tmp_path)))
        assert count > seen
        assert len(Store(tmp_path).table(KEY).digests()) == 50 * count
        seen = count
