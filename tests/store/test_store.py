"""The store, in a local folder and on S3: whole parts or none, damage found, nothing that stands there changed."""

from __future__ import annotations

import json
import re

import numpy as np
import pyarrow as pa
import pytest

from evaljobs.errors import ModelError, StoreError
from evaljobs.schemas import FAILURES
from evaljobs.store import Store
from evaljobs.store.layout import MARKER
from tests.store.rows import KEY, content, damage, digests, matrix, names, opened, parts


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


@pytest.fixture
def halves(store: Store) -> tuple[pa.Array, np.ndarray]:
    """Commit 64 rows as two parts."""
    rows, ids = matrix(64, d=64), digests(64)
    store.table(KEY).commit(ids.slice(0, 32), {"embedding": rows[:32]})
    store.table(KEY).commit(ids.slice(32, 32), {"embedding": rows[32:]})
    return ids, rows


def make_again(store: Store, ids: pa.Array, rows: np.ndarray) -> None:
    """Commit the half that is missing, which must be one of the two, and read all."""
    left = set(store.table(KEY).digests().to_pylist())
    assert len(left) == 32
    start = 32 if ids[0].as_py() in left else 0
    assert store.table(KEY).commit(ids.slice(start, 32), {"embedding": rows[start : start + 32]})
    assert (store.table(KEY).read(ids, "embedding") == rows).all()


@pytest.mark.parametrize("how", ["truncated", "tail", "empty", "zeros", "flipped digest"])
def test_damaged_part_is_missing_and_can_be_made_again(
    store: Store, halves: tuple[pa.Array, np.ndarray], how: str
) -> None:
    """A part that is not whole is found out before anything is computed; the rest stays."""
    damage(store, parts(store)[0], how)
    make_again(store, *halves)


def test_changed_value_is_found_when_it_is_read(store: Store, halves: tuple[pa.Array, np.ndarray]) -> None:
    """It never reaches a result: the reader ends, naming the remedy, and the part is gone, to be made again."""
    damage(store, parts(store)[0], "flipped value")
    with pytest.raises(StoreError, match=r"1 of 2 parts .* damaged and have been removed.* Run the same command again"):
        store.table(KEY).read(halves[0], "embedding")
    make_again(store, *halves)


def test_table_says_what_it_belongs_to(store: Store) -> None:
    """A digest says nothing to people: the key stands beside the parts and in each of them, with the model's digest."""
    store.table(KEY).commit(digests(3), {"embedding": matrix(3)})
    (part,) = parts(store)
    metadata = opened(store, part).schema.metadata
    assert json.loads(metadata[b"evaljobs.model_key"]) == KEY
    assert metadata[b"evaljobs.model_digest"].decode() == KEY["model"]
    assert json.loads(content(store, part.rpartition("/")[0] + "/key.json")) == KEY


def test_rows_are_known_by_the_run_that_committed_them(store: Store) -> None:
    """Each row once, though two parts of a run hold it; a part that another has committed before stays that one's."""
    table = store.table(KEY)
    assert table.rows_of_run("one") == 0
    assert table.commit(digests(3), {"embedding": matrix(3)}, "one")
    assert table.commit(digests(3, start=2), {"embedding": matrix(3)}, "one")
    assert not table.commit(digests(3), {"embedding": matrix(3)}, "two")
    assert table.commit(digests(2, start=9), {"embedding": matrix(2)}, "two")
    assert [table.rows_of_run(run) for run in ("one", "two", "three")] == [5, 2, 0]
    for part in parts(store):
        store.folder.replace(part, content(store, part)[:100])
    assert [table.rows_of_run(run) for run in ("one", "two")] == [0, 0]


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
    (table,) = names(store, "results", "roc.arrow")
    store.folder.replace(table, content(store, table)[:40])
    assert store.result(KEY) is None
    store.add_result(KEY, {"result": {}}, {"roc": pa.table({"fpr": [0.1]})})
    assert store.result(KEY) is not None


def test_failures_are_remembered_per_geometry(store: Store) -> None:
    """What cannot be decoded in one geometry is not held against another."""
    rows = pa.table([digests(1), ["damaged"], ["truncated file"]], schema=FAILURES)
    store.add_failures({"height": 8}, rows)
    assert store.failures({"height": 8}).to_pylist() == rows.to_pylist()
    assert store.failures({"height": 16}).num_rows == 0


def test_newer_store_is_refused(store: Store) -> None:
    """A layout of another version is named, not misread."""
    store.folder.replace(MARKER, b'{"version":99}')
    with pytest.raises(StoreError, match=f"{re.escape(store.location)} has version 99"):
        Store(store.location).open()


@pytest.mark.parametrize("left", [b"", bytes(13)])
def test_marker_that_a_power_cut_emptied_is_written_again(store: Store, left: bytes) -> None:
    """It said nothing, so nothing is lost; one that says something else is not touched."""
    whole = content(store, MARKER)
    store.folder.replace(MARKER, left)
    store.open()
    assert content(store, MARKER) == whole
    store.folder.replace(MARKER, whole[:-2])
    with pytest.raises(StoreError, match="is damaged; delete that one file"):
        store.open()
    assert content(store, MARKER) == whole[:-2]


def test_rate_follows_the_last_measurement_worth_it(store: Store) -> None:
    """A rate is that of the last run, of this work alone, and not of a run that had hardly any of it."""
    assert store.rate("embed", KEY) is None
    store.add_rate("embed", KEY, 5.0, 1)
    store.add_rate("embed", KEY, 0.5, 1000)
    assert store.rate("embed", KEY) == 0.5
    store.add_rate("embed", KEY, 0.25, 100)
    assert store.rate("embed", KEY) == 0.25
    store.add_rate("embed", KEY, 9.0, 9)
    assert store.rate("embed", KEY) == 0.25
    assert store.rate("decode", KEY) is None
    assert store.rate("embed", {**KEY, "batch_size": 1}) is None


@pytest.mark.parametrize("damaged", [b"", b"{", b"[]", b'"seconds"', b'{"seconds": null}'])
def test_damaged_rate_is_unknown_and_replaced(store: Store, damaged: bytes) -> None:
    """It costs an estimate, never a run."""
    store.add_rate("embed", KEY, 5.0, 10)
    (name,) = names(store, "rates", ".json")
    store.folder.replace(name, damaged)
    assert store.rate("embed", KEY) is None
    store.add_rate("embed", KEY, 4.0, 10)
    assert store.rate("embed", KEY) == 4.0
