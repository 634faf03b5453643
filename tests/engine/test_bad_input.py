"""Bad images and models on a real Ray: each is named and ends itself alone, the others give what they would without."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from onnx import TensorProto, helper

from evaljobs.config import load
from evaljobs.errors import ExitCode, RunFailedError, UsageError
from evaljobs.progress import Quiet
from evaljobs.report.text.remarks import remarks
from evaljobs.run import Options, run

Settle = Callable[[dict[str, Any]], dict[str, Any]]


def test_image_that_kills_its_decoder_is_found_and_excluded(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that decodes it dies every time: it alone is excluded, and the run ends with results."""
    bench.images(labels=4, each=2).model("a")  # each halving of the shard costs a process
    victim = str(bench.folder / "images/label1/001.png")

    def deadly(uris: list[str], digests: list[bytes], geometry: Any, changes: Any) -> Any:
        from evaljobs.engine.decoding import decode_shard

        if victim in uris:
            os.kill(os.getpid(), 9)
        return decode_shard(uris, digests, geometry, changes)

    monkeypatch.setattr("evaljobs.run.setup.decode_shard", deadly)
    monkeypatch.setattr("raycluster.pool.pool._ATTEMPTS", 1)  # each further one is a process that starts
    assert bench.run().exit_code == ExitCode.OK
    assert bench.excluded() == {"label1/001.png": "unreadable"}
    assert bench.evaluation("a")["result"]["n_samples"] == 7
    monkeypatch.undo()
    bench.run()
    assert bench.excluded() == {}, "what a process died of may have been other than the bytes"
    assert bench.evaluation("a")["result"]["n_samples"] == 8


def test_decoder_that_is_short_of_memory_gets_smaller_shards(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard dies whole, and its parts do not: nothing is excluded, and the run ends."""
    bench.images().model("a")

    def greedy(uris: list[str], digests: list[bytes], geometry: Any, changes: Any) -> Any:
        from evaljobs.engine.decoding import decode_shard

        if len(uris) > 16:
            os.kill(os.getpid(), 9)
        return decode_shard(uris, digests, geometry, changes)

    monkeypatch.setattr("evaljobs.run.setup.decode_shard", greedy)
    monkeypatch.setattr("raycluster.pool.pool._ATTEMPTS", 1)
    assert bench.run().exit_code == ExitCode.OK
    assert bench.excluded() == {}
    assert bench.evaluation("a")["result"]["n_samples"] == 30


def test_result_is_asked_for_anew_where_an_image_fails_meanwhile(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model whose rows are gone had a result, until an image fails for another model: it is embedded."""
    bench.images().model("a")
    bench.run()
    (table,) = (bench.folder / "store" / "tables").iterdir()
    shutil.rmtree(table)
    bench.model("b", seed=1)
    victim = str(bench.folder / "images/label1/003.png")

    def failing(uris: list[str], digests: list[bytes], geometry: Any, changes: Any) -> Any:
        from evaljobs.engine.decoding import decode_shard

        block, report, _ = decode_shard(uris, digests, geometry, changes)
        if victim not in uris:
            return block, report, not block.digests
        place = uris.index(victim)
        block = type(block)(np.delete(block.pixels, place, axis=0), [d for d in block.digests if d != digests[place]])
        report = dataclasses.replace(report, unreadable=[(digests[place], "unreadable", "not now")])
        return block, report, not block.digests

    monkeypatch.setattr("evaljobs.run.setup.decode_shard", failing)
    assert bench.run(overwrite=True).exit_code == ExitCode.OK
    assert bench.excluded() == {"label1/003.png": "unreadable"}
    assert [bench.evaluation(name)["result"]["n_samples"] for name in "ab"] == [29, 29]


def test_model_that_cannot_be_used_is_not_tried_again(bench: Any) -> None:
    """What is wrong with a model is remembered like a result: the next run starts nothing."""
    bench.images().model("good")
    bench.model("ragged", extra=[helper.make_node("NonZero", ["y"], ["i"]), _float("i", "z")], output="z")
    bench.run()
    first = bench.model_entry("ragged")
    bench.run()
    assert bench.computed() == (0, 0, 0)
    assert bench.model_entry("ragged") == first
    assert first["error"]["kind"] == "unsupported_output"


def test_bad_images_are_excluded_for_every_model_alike(bench: Any) -> None:
    """Each is listed with its reason; the others give what they would give without them."""
    bench.images().model("a")
    bench.model("b", seed=2)
    bench.run()
    clean = {name: bench.evaluation(name)["result"] for name in "ab"}
    folder = bench.folder / "images" / "label0"
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("no image")
    (folder / "cut.png").write_bytes((folder / "000.png").read_bytes()[:60])
    (folder / "gone.png").symlink_to(folder / "nowhere")
    finished = bench.run()
    assert {name: bench.evaluation(name)["result"] for name in "ab"} == clean
    found = bench.excluded()
    assert found["label0/empty.png"] == "empty"
    assert found["label0/text.jpg"] == "not_an_image"
    assert found["label0/cut.png"] == "damaged"
    assert bench.results()["sets"][0]["excluded"] == len(found) >= 3
    assert any("excluded" in line for line in remarks(finished.results))
    bench.run()
    assert bench.computed() == (0, 0, 0)
    assert bench.excluded() == found


def test_an_audit_of_images_alone_names_bad_ones_however_many(bench: Any) -> None:
    """They are what it is asked for: no limit ends it. Files that cannot be read at all do."""
    bench.images(labels=3, each=4)
    bench.config |= {"jobs": [{"name": "audit", "kind": "audit"}], "max_failed_images": "0.1"}
    del bench.config["models"]
    bad = [bench.folder / "images" / f"label{label}" / "000.png" for label in range(3)]
    for path in bad:
        path.write_bytes(path.read_bytes()[:60])
    assert bench.run().exit_code == ExitCode.OK
    (evaluation,) = bench.results()["evaluations"]
    (named,) = [name for name in evaluation["tables"] if name.endswith("damaged.parquet")]
    table = pa.parquet.read_table(bench.out / named)
    assert table["id"].to_pylist() == [f"label{label}/000.png" for label in range(3)]
    for path in bad:
        path.unlink()
        path.symlink_to(bench.folder / "nowhere")
    with pytest.raises(RunFailedError, match=r"3 of 12 images .* more than the 10.00% allowed"):
        bench.run()


def test_too_many_bad_images_end_the_run_and_keep_what_was_computed(bench: Any) -> None:
    """Over the limit there is no result, and failures.csv says why."""
    bench.images().model("a")
    for number in range(3):
        (bench.folder / f"images/label0/bad{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    bench.config["max_failed_images"] = "0.05"
    with pytest.raises(RunFailedError, match=r"3 of 33 images .* more than the 5.00% allowed"):
        bench.run()
    assert len(bench.excluded()) == 3
    assert not (bench.out / "results.json").exists()
    bench.config["max_failed_images"] = "0.5"
    bench.run()
    assert bench.computed()[2] == 1


def test_every_image_bad(bench: Any) -> None:
    """Nothing left to compare is an error, even where all may fail."""
    bench.model("a")
    folder = bench.folder / "images" / "x"
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(b"")
    bench.config["max_failed_images"] = "1"
    with pytest.raises(RunFailedError, match="1 of 1 images"):
        bench.run()


@pytest.mark.parametrize(
    ("labels", "each", "flag", "null"), [(1, 8, "no_impostors", "fpr"), (8, 1, "no_genuine", "tpr")]
)
def test_sets_without_one_kind_of_pair(bench: Any, labels: int, each: int, flag: str, null: str) -> None:
    """One label in all, and all labels different: a valid result that says what is undefined."""
    bench.images(labels, each).model("a")
    assert bench.run().exit_code == ExitCode.OK
    points = bench.evaluation("a")["result"]["points"]
    assert len(points) == 3
    assert all(flag in point["flags"] and point[null] is None for point in points)
    assert bench.evaluation("a")["result"]["auroc"] is None


def test_label_with_one_image_is_counted(bench: Any) -> None:
    """It has impostor pairs and no genuine one: it takes part, and the results say how many there are."""
    bench.images()
    bench.image(label=77, number=0)
    bench.model("a")
    bench.run()
    assert bench.results()["sets"][0]["n_single_labels"] == 1
    assert bench.evaluation("a")["result"]["n_samples"] == 31


class Counted(Quiet):
    """Adds up what progress is told."""

    def __init__(self) -> None:
        self.totals: dict[str, int] = {}
        self.done: Counter[str] = Counter()

    def start(self, stage: str, total: int) -> None:
        self.totals[stage] = total

    def advance(self, stage: str, steps: int = 1) -> None:
        self.done[stage] += steps


def test_progress_ends_whatever_is_lost(bench: Any) -> None:
    """A model that fails at work leaves embeddings and an evaluation that nobody will do: no step is left."""
    bench.images().model("good")
    bench.image(label=0, number=1).write_bytes(b"no image")
    # An index beyond the end, which only the numbers tell.
    beyond = [
        helper.make_node("Cast", ["y"], ["i"], to=TensorProto.INT64),
        helper.make_node("Gather", ["i", "i"], ["j"]),
    ]
    bench.model("lost", extra=[*beyond, helper.make_node("Cast", ["j"], ["z"], to=TensorProto.FLOAT)], output="z")
    path, counted = bench.write(), Counted()
    assert run(load(path), path, counted, Options()).exit_code == ExitCode.SOME_FAILED
    assert bench.model_entry("lost")["status"] == "failed"
    assert counted.totals == dict(counted.done)
    assert counted.totals["evaluations"] == 2
    assert counted.totals["embedding"] == 2 * 30


def test_bad_models_are_refused_by_name_and_the_others_go_on(bench: Any) -> None:
    """Corrupt files, and models that give what cannot be compared, end themselves alone."""
    bench.images().model("good")
    (bench.folder / "models" / "corrupt.onnx").write_bytes(b"not a model")
    (bench.folder / "models" / "empty.onnx").write_bytes(b"")
    bench.model("nan", extra=[helper.make_node("Log", ["y"], ["z"])], output="z")
    bench.model("zero", extra=[helper.make_node("Sub", ["y", "y"], ["z"])], output="z")
    bench.model("infinite", extra=[helper.make_node("Div", ["y", "zero"], ["z"]), _zero()], output="z")
    bench.model("ragged", extra=[helper.make_node("NonZero", ["y"], ["i"]), _float("i", "z")], output="z")
    finished = bench.run()
    assert finished.exit_code == ExitCode.SOME_FAILED
    kinds = {m["name"]: (m["status"], (m["error"] or {}).get("kind")) for m in bench.results()["models"]}
    assert kinds.pop("good") == ("ok", None)
    assert kinds.pop("corrupt") == kinds.pop("empty") == ("refused", "corrupt")
    assert kinds.pop("nan") == kinds.pop("zero") == kinds.pop("infinite") == ("failed", "non_finite")
    assert kinds.pop("ragged")[0] in {"failed", "refused"}
    assert not kinds
    message = bench.model_entry("zero")["error"]["message"]
    assert "30 of 30 embeddings" in message
    assert "label0/000.png" in message
    assert bench.evaluation("good")["status"] == "ok"
    assert bench.evaluation("zero")["result"] is None
    assert len([line for line in remarks(finished.results) if "(failed)" in line or "(refused)" in line]) == 6


def _zero() -> Any:
    return helper.make_node("Constant", [], ["zero"], value_float=0.0)


def _float(source: str, name: str) -> Any:
    return helper.make_node("Cast", [source], [name], to=1)


def test_no_model_left_is_no_result(bench: Any) -> None:
    """Every model failed: exit code 4, with each reason."""
    bench.images()
    (bench.folder / "models").mkdir()
    (bench.folder / "models" / "corrupt.onnx").write_bytes(b"x")
    with pytest.raises(RunFailedError, match="corrupt"):
        bench.run()
    bench.model("zero", extra=[helper.make_node("Sub", ["y", "y"], ["z"])], output="z")
    with pytest.raises(RunFailedError, match="30 of 30"):
        bench.run()


@pytest.mark.parametrize("key", ["out", "store"])
def test_own_folders_are_no_images(bench: Any, key: str) -> None:
    """An output folder or a store among the images would be evaluated in the next run: it is refused."""
    bench.images().model("a")
    bench.config[key] = "images/here"
    with pytest.raises(UsageError, match="lies in the image folder"):
        bench.run()
    assert not (bench.folder / "images" / "here").exists()


def test_metadata_that_is_no_text_loses_no_run(bench: Any) -> None:
    """A file made by another tool may hold bytes that are not UTF-8; they are shown as far as they can be."""
    path = bench.images().model("a")
    data = path.read_bytes()
    entry = b"\x0a\x06author\x12\x07M\xfcller."
    path.write_bytes(data + b"\x72" + bytes([len(entry)]) + entry)
    bench.run()
    assert bench.model_entry("a")["metadata"] == {"author": "M�ller."}
