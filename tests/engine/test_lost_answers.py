"""Blocks, answers and rows that get lost, or come late: the run ends right, and its counts say what it computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import ObjectLostError

from evaljobs.engine.decoding import decode_shard
from evaljobs.engine.embedding import Embedded, ModelLoad, build_embedder
from evaljobs.engine.evaluation import Unready
from evaljobs.errors import RowsMissingError
from evaljobs.images.geometry import Geometry
from evaljobs.images.views.chain import Change
from evaljobs.models.options import Runtime
from evaljobs.run import comparing, setup
from tests.engine.conftest import Bench


def test_image_that_changes_before_a_lost_block_is_made_again(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is excluded after evaluations were told of it: the run ends all the same, with the results of the others."""
    bench.images().model("a")
    changed, lost = bench.folder / "images" / "label2" / "003.png", tmp_path / "lost"

    def lose_the_first(
        uris: Sequence[str], digests: Sequence[bytes], geometry: Geometry, changes: Mapping[bytes, Change]
    ) -> tuple[Any, Any, bool]:
        block, report, empty = decode_shard(uris, digests, geometry, changes)
        if lost.exists():
            return block, report, empty
        lost.touch()
        changed.write_bytes(changed.read_bytes() + b"more")
        return ObjectLostError("00" * 28, None, ""), report, empty

    monkeypatch.setattr(setup, "decode_shard", lose_the_first)
    bench.run()
    assert bench.excluded() == {"label2/003.png": "unreadable"}
    twin = Bench(tmp_path / "twin")
    twin.images().model("a")
    (twin.folder / "images" / "label2" / "003.png").unlink()
    monkeypatch.undo()
    twin.run()
    assert bench.evaluation("a")["result"] == twin.evaluation("a")["result"]
    assert bench.evaluation("a")["result"]["n_samples"] == 29
    assert bench.computed() == (30, 29, 1)


@pytest.mark.parametrize("whose", ["own", "another's"])
def test_rows_are_counted_once_whoever_answers(bench: Bench, whose: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer that said what was computed is lost; the next one finds the rows, which this run has made, or not."""
    bench.images()
    for seed, name in enumerate("ab"):
        bench.model(name, seed)

    def build(store: str, runtime: Runtime, nonce: str | None, run: str) -> Any:
        first = build_embedder(store, runtime, nonce, run if whose == "own" else "another run")
        second = build_embedder(store, runtime, nonce, run)

        def process(load: ModelLoad, block: Any) -> Any:
            first(load, block)
            answer = second(load, block)
            assert isinstance(answer, Embedded)
            assert answer.computed == 0
            return answer

        return process

    monkeypatch.setattr(setup, "build_embedder", build)
    bench.run()
    assert bench.computed() == (30, 60 if whose == "own" else 0, 2)
    models = bench.results()["execution"]["models"]
    assert {name: model["rows"] for name, model in models.items()} == ({"a": 30, "b": 30} if whose == "own" else {})


def test_rows_that_are_never_there_end_the_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second pass may make them; whoever lacks them again says so, and there is no third."""
    bench.images().model("a")
    bench.run()
    asked = bench.folder / "asked"

    def never(*_: Any) -> Unready:
        with asked.open("a") as file:
            file.write("x")
        return Unready("rows are missing")

    monkeypatch.setattr(comparing, "evaluate", never)
    bench.config["fpr"] = ["0.5"]
    with pytest.raises(RowsMissingError, match="rows are missing"):
        bench.run(overwrite=True)
    assert asked.read_text() == "xx"
