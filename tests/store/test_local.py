"""The store in a local folder: what a disk, a power cut and a killed writer may do to it."""

from __future__ import annotations

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

from evaljobs.errors import StoreError
from evaljobs.schemas import DIGEST
from evaljobs.store import Store
from tests.store.rows import KEY, digests, matrix, opened, parts


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store").open()


def test_finding_out_what_is_there_reads_digests_alone(store: Store) -> None:
    """What a run costs before it starts does not grow with the length of its embeddings."""
    ids = digests(512)
    store.table(KEY).commit(ids, {"embedding": matrix(512, 4096)})
    before = bytes_read()
    assert store.table(KEY).digests().equals(ids)
    assert 512 * 32 <= bytes_read() - before < 200_000 < store.folder.walk("tables")[-1].size / 10


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
        for name in parts(store):
            for row in opened(store, name).read_all().to_pylist():
                expected.setdefault(row["image_digest"], row["embedding"])
        asked = data.draw(st.lists(st.sampled_from(list(expected)), min_size=1, max_size=20))
        read = store.table(KEY).read(pa.array(asked, DIGEST), "embedding")
    assert read.tolist() == [expected[digest] for digest in asked]


def test_store_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    """A file where the store's folder should be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Check the folder's permissions"):
        Store(tmp_path / "file" / "store").open()


def test_what_killed_writers_left_is_deleted_after_a_day(store: Store) -> None:
    """Old temporary files go wherever a run looks or writes; a file that may still be written stays."""
    table = store.table(KEY)
    table.commit(digests(3), {"embedding": matrix(3)})
    store.add_result(KEY, {}, {})
    store.add_rate("embed", KEY, 1.0, 1)
    root = Path(store.location)
    folders = [root, root / "rates", next((root / "tables").iterdir()), next((root / "results").iterdir())]
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
    assert flushed[-1] == (store.folder.walk("tables")[-1].size, False)


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
        deadline = time.monotonic() + 120
        while len(parts(Store(tmp_path))) <= seen and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(delay)
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        count = len(parts(Store(tmp_path)))
        assert count > seen
        assert len(Store(tmp_path).table(KEY).digests()) == 50 * count
        seen = count
