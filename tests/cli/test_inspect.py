"""`evaljobs inspect` says of a model what a run would do with it, in words, as tables and as JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow.parquet as pq
import pytest
from onnx import TensorProto, helper, numpy_helper

from evaljobs.config import load
from evaljobs.models.resolve import resolve
from evaljobs.remote import objects

Command = Callable[..., Any]

PREPROCESSING = '{"size": [12, 10], "color": "bgr", "mean": 0.5, "std": 0.5}'
CONV, HEAD = 6 * 3 * 3 * 3, 6 * 5


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, with a cache of one's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


def write(
    path: Path, *, metadata: dict[str, str] | None = None, training: bool = False, output: str = "embedding"
) -> Path:
    """Write a convolution, dropout, global pooling and a linear layer, for inputs of any size."""
    weights = {
        "kernel": np.ones((6, 3, 3, 3), np.float32),
        "head": np.ones((6, 5), np.float32),
        "ratio": np.float32(0.3),
        "training": np.array(training),
    }
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["map"], pads=[1, 1, 1, 1]),
        helper.make_node("Dropout", ["map", "ratio", "training"], ["dropped"]),
        helper.make_node("GlobalAveragePool", ["dropped"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "head"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, None, None])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, metadata or {})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


def sized(path: Path, **options: Any) -> Path:
    return write(path, metadata={"evaljobs.preprocessing": PREPROCESSING, "note": "made here"}, **options)


def test_one_model_is_a_page(command: Command, folder: Path) -> None:
    """Inputs, outputs, weight, work, dropout, metadata, and every decision with where it came from."""
    path = sized(folder / "net.onnx", training=True)
    done = command("inspect", "net.onnx")
    assert done.code == 0
    for part in (
        f"{path}",
        f"{CONV + HEAD + 1:,} parameters, opset 17",
        "x float32 [n, 3, ?, ?]",
        f"{(120 * CONV + HEAD) / 1e9:.4g} GMACs = {2 * (120 * CONV + HEAD) / 1e9:.4g} GFLOPs for one image",
        "1, 1 in training mode",
        "made here",
        "NCHW float32, batches of 32",
        "12x10 bgr stretch bilinear",
        "(x / 255 - 0.5) / 0.5",
        "size, color, mean, std: metadata",
        "embedding: [N, 5]",
    ):
        assert part in done.out


def test_json_says_all(command: Command, folder: Path) -> None:
    """Standard output is one document, with numbers in full and null where there is none."""
    sized(folder / "net.onnx")
    done = command("inspect", "net.onnx", "--json")
    found = json.loads(done.out)
    assert found["version"] == 1
    (model,) = found["models"]
    macs = 120 * CONV + HEAD
    size_mb = (folder / "net.onnx").stat().st_size / 1e6
    assert model["cost"] == {
        "size_mb": size_mb,
        "params": CONV + HEAD + 1,
        "gmacs": macs / 1e9,
        "gflops": 2 * macs / 1e9,
    }
    assert model["dropout"] == {"nodes": 1, "active": 0}
    assert model["inputs"] == [{"name": "x", "dtype": "float32", "shape": ["n", 3, None, None]}]
    assert model["decided"]["output"] == {"tensor": "embedding", "pooling": None, "dimension": 5}
    assert model["decided"]["batch_size"] == 32
    assert model["decided"]["preprocessing"]["sources"]["size"] == "metadata"
    assert (model["status"], model["error"]) == ("ok", None)


def test_several_are_a_table_and_bad_ones_stand_in_it(command: Command, folder: Path) -> None:
    """A row each; below it why a model is refused and what to do; exit code 1."""
    sized(folder / "a.onnx")
    write(folder / "no-size.onnx")
    (folder / "bad.onnx").write_bytes(b"no model")
    done = command("inspect", "*.onnx")
    assert done.code == 1
    assert "Traceback" not in done.err
    assert "12x10 bgr" in done.out
    flat = " ".join(done.out.split())
    assert "bad (refused): bad.onnx is no ONNX model, or damaged" in flat
    assert "no-size (refused): the input 'x' leaves its size open" in flat
    assert "add `preprocessing: {size: [height, width]}`" in flat


def test_what_cannot_be_counted_is_said(command: Command, folder: Path) -> None:
    """A number is never wrong: without one there is a note that says why."""
    model = onnx.load(sized(folder / "net.onnx"))
    model.graph.node[0].op_type, model.graph.node[0].domain = "Mystery", "test"
    model.opset_import.append(helper.make_opsetid("test", 1))
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    (found,) = json.loads(command("inspect", "net.onnx", "--json").out)["models"]
    assert (found["cost"]["gmacs"], found["cost"]["gflops"]) == (None, None)
    assert any("MACs are not known: the operator test.Mystery is not known" in note for note in found["notes"])
    assert "GMACs" not in command("inspect", "net.onnx").out


def test_a_configuration_shows_what_its_run_does(command: Command, folder: Path) -> None:
    """With the run's settings, and by the same code: each decision is the one that the run makes."""
    write(folder / "ckpt" / "one.onnx", output="map")
    write(folder / "ckpt" / "two.onnx")
    config = folder / "benchmark.yaml"
    config.write_text(
        "images: {folder: nowhere}\npreprocessing: {size: 6}\nmodels:\n"
        "  - {path: ckpt/one.onnx, pooling: mean, batch_size: 4}\n  - {path: ckpt/two.onnx, output: flat}\n"
    )
    done = command("inspect", "--config", config, "--json")
    assert done.code == 0
    found = json.loads(done.out)["models"]
    resolved = resolve(load(config), folder).models
    assert [m["name"] for m in found] == ["one", "two"] == [m.name for m in resolved]
    for shown, model in zip(found, resolved, strict=True):
        assert shown["digest"] == model.digest
        assert shown["decided"]["batch_size"] == model.batch_size
        assert shown["decided"]["preprocessing"]["height"] == model.pixels.geometry.height == 6
        assert shown["decided"]["preprocessing"]["sources"] == model.pixels.sources
        assert shown["cost"]["gmacs"] == model.cost.gmacs == 36 * CONV / 1e9
        assert shown["decided"]["output"]["dimension"] == 6
        assert shown["notes"] == list(model.notes)
    changed = json.loads(command("inspect", "--config", config, "--set", "preprocessing.size=8", "--json").out)
    assert [m["decided"]["preprocessing"]["width"] for m in changed["models"]] == [8, 8]


def test_tables_are_written(command: Command, folder: Path) -> None:
    """The same rows as CSV, Parquet and Markdown."""
    sized(folder / "a.onnx")
    (folder / "bad.onnx").write_bytes(b"no model")
    for name in ("m.csv", "m.parquet", "m.md"):
        assert command("inspect", "*.onnx", "--out", name).code == 1
    with (folder / "m.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["model"] for row in rows] == ["a", "bad"]
    assert [(row["status"], row["error"]) for row in rows] == [("ok", ""), ("refused", "corrupt")]
    assert float(rows[0]["gmacs"]) == (120 * CONV + HEAD) / 1e9
    assert rows[0]["embedded_preprocessing"] == PREPROCESSING
    table = pq.read_table(folder / "m.parquet")
    assert table["dimension"].to_pylist() == [5, None]
    page = (folder / "m.md").read_text(encoding="utf-8")
    assert "| a |" in page
    assert "bad (refused)" in page


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "takes models or a configuration"),
        (["a.onnx", "--config", "c.yaml"], "takes models or a configuration"),
        (["a.onnx", "--set", "fpr=1e-3"], "takes models or a configuration"),
        (["gone.onnx"], "there is no file"),
        (["*.onnx"], "matches no .onnx file"),
        (["a.onnx", "--out", "m.xlsx"], "expected .csv, .parquet, .md"),
        (["a.onnx", "--out", "gone/m.csv"], "no folder gone"),
    ],
)
def test_mistakes_are_usage_errors(command: Command, folder: Path, arguments: list[str], expected: str) -> None:
    """Exit code 2, what was found and what to do, and nothing is written."""
    command("inspect", *arguments).refused(expected)
    assert list(folder.iterdir()) == []


def test_models_on_s3(command: Command, folder: Path, s3: Any) -> None:
    """An uri or a glob of uris is as good as a path; it is copied to this machine once."""
    bucket = s3.bucket()
    for name in ("a.onnx", "b.onnx"):
        objects.replace(f"{bucket}/ckpt/{name}", sized(folder / name).read_bytes())
    local = json.loads(command("inspect", "a.onnx", "--json").out)["models"][0]
    done = command("inspect", f"{bucket}/ckpt/*.onnx", "--json")
    assert done.code == 0
    first, second = json.loads(done.out)["models"]
    assert (first["location"], second["name"]) == (f"{bucket}/ckpt/a.onnx", "b")
    assert {**first, "location": None} == {**local, "location": None}
    command("inspect", f"{bucket}/ckpt/c.onnx").refused(f"there is no object {bucket}/ckpt/c.onnx", "a.onnx, b.onnx")
