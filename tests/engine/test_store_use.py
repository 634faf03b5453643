"""What a run asks of the store, and leaves there for the next one and for `plan`."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pytest

from evaljobs.config import load
from evaljobs.engine import execution, shards
from evaljobs.engine.forecast import forecast
from evaljobs.progress import Quiet
from evaljobs.store import Store


def plan(bench: Any) -> Any:
    path = bench.write()
    return forecast(load(path), path, Quiet())


def test_changed_value_is_made_again(bench: Any, without_execution: Any) -> None:
    """A flipped bit among the embeddings is never evaluated; its part is removed, and made again by the same run."""
    bench.images().model("a")
    bench.run()
    first = without_execution(bench.results())
    shutil.rmtree(bench.folder / "store" / "results")
    (part,) = (bench.folder / "store" / "tables").rglob("part-*.arrow")
    data = bytearray(part.read_bytes())
    with pa.ipc.open_file(part) as file:
        values = file.read_all()["embedding"].combine_chunks().flatten().to_numpy().tobytes()
    data[data.index(values)] ^= 1
    part.write_bytes(data)
    bench.run()
    assert bench.computed() == (30, 30, 1)
    assert without_execution(bench.results()) == first


def test_few_pairs_are_no_measurement(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small run mostly compiles: it says nothing of the time of a pair. A later run of many does."""
    bench.images().model("a")
    bench.run()
    store = Store(bench.folder / "store")
    assert store.rate("evaluate", {"kind": "verification"}) is None
    monkeypatch.setattr(execution, "MEASURED_PAIRS", 435)
    bench.model("b", seed=2)
    bench.run()
    counts = bench.results()["execution"]["computed"]
    assert counts["pairs"] == 435
    assert store.rate("evaluate", {"kind": "verification"}) == counts["evaluation_seconds"] / 435


def test_forecast_adds_up_what_was_measured(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that are missing, each at its own rate; each rate is looked up once, however many shards there are."""
    bench.images().model("a")
    bench.model("b", seed=2)
    asked: Counter[str] = Counter()
    rates = {"decode": 0.5, "embed": 0.25, "evaluate": 0.125}

    def rate(_: Store, kind: str, key: Mapping[str, Any]) -> float | None:
        asked[kind] += 1
        return rates.get(kind) if key else None

    monkeypatch.setattr(Store, "rate", rate)
    monkeypatch.setattr(shards, "SHARD_IMAGES", 8)
    found = plan(bench)
    assert (found.decodes, found.embeddings, found.pairs) == (30, 60, 870)
    assert found.seconds == (30 * 0.5 + 60 * 0.25 + 870 * 0.125) / (os.cpu_count() or 1)
    assert asked == {"decode": 1, "embed": 2, "evaluate": 1}
    del rates["embed"]
    assert plan(bench).seconds is None
