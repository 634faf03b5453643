"""The store: whole parts or none, damage found, nothing that stands there changed."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def damage(store: Store, how: str) -> None:
    """Damage the first part of the table."""
    victim = parts(store)[0]
    data = victim.read_bytes()
    with pa.ipc.open_file(victim) as file:
        digest = data.index(file.read_all()["image_digest"][0].as_py())
    changed = {
        "truncated": data[: len(data) // 2],
        "tail": data[:-1],
        "empty": b"",
        "zeros": bytes(len(data)),
        "flipped digest": flipped(data, digest),
        "flipped value": flipped(data, len(data) // 2),
    }
    victim.write_bytes(changed[how])


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


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
    damage(store, how)
    make_again(store, *halves)


def test_changed_value_is_found_when_it_is_read(store: Store, halves: tuple[pa.Array, np.ndarray]) -> None:
    """It never reaches a result: the reader ends, naming the remedy, and the part is gone, to be made again."""
    damage(store, "flipped value")
    with pytest.raises(StoreError, match=r"1 of 2 parts .* damaged and have been removed.* Run the same command again"):
        store.table(KEY).read(halves[0], "embedding")
    make_again(store, *halves)


def test_finding_out_what_is_there_reads_digests_alone(store: Store) -> None:
    """What a run costs before it starts does not grow with the length of its embeddings."""
    ids = digests(512)
    store.table(KEY).commit(ids, {"embedding": matrix(512, 4096)})
    before = bytes_read()
    assert store.table(KEY).digests().equals(ids)
    assert 512 * 32 <= bytes_read() - before < 200_000 < parts(store)[0].stat().st_size / 10


def bytes_read() -> int:
    """Return the bytes that this process has read by system calls so far."""
    return int(Path("/proc/self/io").read_text().split()[1])


@given(st.data())
def test_read_gives_the_first_part_that_has_a_row(data: st.DataObject) -> None:
    """Whatever overlap of parts, order and repeats are asked for: the rows of the first part by name, row by row."""
    names, rng = digests(12), np.random.default_rng(data.draw(st.integers(0, 99)))
    committed = data.draw(st.lists(st.sets(st.integers(0, 11), min_size=1), min_size=1, max_size=5))
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder)).open()
        for several in committed:
            rows = rng.standard_normal((len(several), 3), dtype=np.float32)
            store.table(KEY).commit(names.take(sorted(several)), {"logits": rows[:, :2], "embedding": rows})
        expected: dict[bytes, list[float]] = {}
        for path in parts(store):
            with pa.ipc.open_file(path) as file:
                for row in file.read_all().to_pylist():
                    expected.setdefault(row["image_digest"], row["embedding"])
        asked = data.draw(st.lists(st.sampled_from(list(expected)), min_size=1, max_size=20))
        read = store.table(KEY).read(pa.array(asked, DIGEST), "embedding")
    assert read.tolist() == [expected[digest] for digest in asked]


def test_table_says_what_it_belongs_to(store: Store) -> None:
    """A digest says nothing to people: the key stands beside the parts and in each of them, with the model's digest."""
    store.table(KEY).commit(digests(3), {"embedding": matrix(3)})
    (part,) = parts(store)
    with pa.ipc.open_file(part) as file:
        metadata = file.schema.metadata
    assert json.loads(metadata[b"evaljobs.model_key"]) == KEY
    assert metadata[b"evaljobs.model_digest"].decode() == KEY["model"]
    assert json.loads((part.parent / "key.json").read_text()) == KEY


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


@pytest.mark.parametrize("left", [b"", bytes(13)])
def test_marker_that_a_power_cut_emptied_is_written_again(tmp_path: Path, left: bytes) -> None:
    """It said nothing, so nothing is lost; one that says something else is not touched."""
    marker = tmp_path / "evaljobs-store.json"
    Store(tmp_path).open()
    whole = marker.read_bytes()
    marker.write_bytes(left)
    Store(tmp_path).open()
    assert marker.read_bytes() == whole
    marker.write_bytes(whole[:-2])
    with pytest.raises(StoreError, match="is damaged; delete that one file"):
        Store(tmp_path).open()
    assert marker.read_bytes() == whole[:-2]


def test_what_killed_writers_left_is_deleted_after_a_day(store: Store) -> None:
    """Old temporary files go wherever a run looks or writes; a file that may still be written stays."""
    table = store.table(KEY)
    table.commit(digests(3), {"embedding": matrix(3)})
    store.add_result(KEY, {}, {})
    store.add_rate("embed", KEY, 1.0, 1)
    folders = [store.root, store.root / "rates", parts(store)[0].parent, next((store.root / "results").iterdir())]
    old, new = ([folder / f".{age}.tmp" for folder in folders] for age in ("old", "new"))
    for path in [*old, *new]:
        path.write_bytes(b"half a file")
    for path in old:
        os.utime(path, (time.time() - 25 * 3600,) * 2)
    store.open()
    assert len(table.digests()) == 3
    store.add_result({**KEY, "model": "other"}, {}, {})
    store.add_result(KEY, {}, {})
    assert [path for path in old if path.exists()] == []
    assert [path for path in new if not path.exists()] == []


def test_file_is_on_the_disk_before_it_has_its_name(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power cut a name stands for whole bytes: they are flushed while the name is not there yet."""
    flushed: list[tuple[int, bool]] = []
    real = os.fsync

    def fsync(number: int) -> None:
        flushed.append((os.fstat(number).st_size, any(parts(store))))
        real(number)

    monkeypatch.setattr(os, "fsync", fsync)
    store.table(KEY).commit(digests(3), {"embedding": matrix(3)})
    assert flushed[-1] == (parts(store)[0].stat().st_size, False)


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
    (path,) = (store.root / "rates").iterdir()
    path.write_bytes(damaged)
    assert store.rate("embed", KEY) is None
    store.add_rate("embed", KEY, 4.0, 10)
    assert store.rate("embed", KEY) == 4.0


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
