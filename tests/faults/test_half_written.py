"""A process that is killed while it writes to the store leaves whole parts, and hidden files that nobody reads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from evaljobs.schemas import DIGEST
from evaljobs.store import Store

ROWS = 2000

WRITER = f"""
import sys
import numpy as np
import pyarrow as pa
from evaljobs.schemas import DIGEST
from evaljobs.store import Store

table = Store(sys.argv[1]).open().table({{"model": "m"}})
number = int(sys.argv[2])
while True:
    digests = pa.array([number.to_bytes(4) + row.to_bytes(4) + bytes(24) for row in range({ROWS})], DIGEST)
    table.commit(digests, {{"embedding": np.full(({ROWS}, 64), number, np.float32)}})
    number += 1
"""


@pytest.mark.slow
def test_kill_in_the_middle_of_a_write(tmp_path: Path) -> None:
    """SIGKILL as soon as a write is seen, five times: a part that has its name has all its rows, the rest is hidden."""
    store = tmp_path / "store"
    writer = [sys.executable, "-c", WRITER, str(tmp_path / "store")]
    for number in range(5):
        abandoned = set(store.rglob(".*.tmp"))
        with subprocess.Popen([*writer, str(1000 * number)]) as process:
            while len(list(store.rglob("part-*"))) <= number or set(store.rglob(".*.tmp")) == abandoned:
                assert process.poll() is None
            process.kill()
    files = [path for path in store.rglob("*") if path.is_file()]
    shown = {path.name for path in files if not path.name.startswith(".")}
    parts = [name for name in shown if name.startswith("part-") and name.endswith(".arrow")]
    assert shown == {*parts, "key.json", "evaljobs-store.json"}
    assert any(path.name.endswith(".tmp") for path in files), "no kill hit a write: this proves nothing"
    table = Store(str(tmp_path / "store")).table({"model": "m"})
    digests = table.digests()
    assert len(digests) == ROWS * len(parts) > 0
    numbers = [int.from_bytes(digest[:4]) for digest in digests.to_pylist()]
    assert np.array_equal(table.read(pa.array(digests, DIGEST), "embedding")[:, 0], np.array(numbers, np.float32))
