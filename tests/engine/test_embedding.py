"""What an actor does with a block: embeds it once, whoever asks again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from evaljobs.config import load
from evaljobs.engine.decoding import decode_shard
from evaljobs.engine.device import choose_device, runtime_of
from evaljobs.engine.embedding import Embedded, Embedder, ModelLoad
from evaljobs.engine.execution import Record
from evaljobs.engine.prepare import prepare
from evaljobs.progress import Quiet
from evaljobs.schemas import DIGEST


def test_rows_that_are_there_are_not_computed_again(bench: Any) -> None:
    """A copy of a call, or a second run, takes what the first has committed: not even the model is loaded for it."""
    bench.images(labels=2).model("a")
    path = bench.write()
    config = load(path)
    runtime = runtime_of(config.cluster, choose_device("cpu", None))
    prepared = prepare(config, path, Quiet(), runtime)
    digests = prepared.images.to_pylist()
    block, _, _ = decode_shard(prepared.uris.to_pylist(), digests, prepared.geometries[0])
    load_of = ModelLoad(prepared.models[0], prepared.keys["a"])
    record = Record("cpu")

    first = Embedder(prepared.store.location, runtime)(load_of, block)
    assert isinstance(first, Embedded)
    assert (first.rows, first.computed) == (12, 12)
    again = Embedder(prepared.store.location, runtime)
    second = again(load_of, block)
    assert isinstance(second, Embedded)
    assert (second.rows, second.computed) == (12, 0)
    assert again._session is None
    for embedded in (second, first, second):
        record.embedded("a", embedded)
    assert record.models["a"]["rows"] == 12
    assert record.models["a"]["provider"] == first.provider != ""

    # Other rows are another part, though each of them is there.
    half = type(block)(block.pixels[:5], block.digests[:5])
    third = again(load_of, half)
    assert isinstance(third, Embedded)
    assert (third.rows, third.computed) == (5, 5)
    rows = prepared.store.table(load_of.key).read(pa.array(digests, DIGEST), "embedding")
    np.testing.assert_allclose(rows, bench.embed(0, list(block.pixels)), rtol=1e-3, atol=1e-3)
