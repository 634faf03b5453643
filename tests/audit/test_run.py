"""The article's set-up rebuilt: a format leak is caught in a whole run, and the same images saved alike pass.

Real images (handwritten digits, scaled up), real files, a real model that hears JPEG's rounding, on a real Ray.
"""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow.parquet as pq
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from evaljobs.config import load
from evaljobs.demo.images import load as load_digits
from evaljobs.errors import ExitCode, UsageError
from evaljobs.progress import Quiet
from evaljobs.report.runs.joining import join
from evaljobs.report.runs.reading import read_results, read_run
from evaljobs.report.text.audit_words import audit_lines
from evaljobs.run import Options, run
from raycluster.connection.connect import Cluster

N, SIDE = 160, 24
CONFIG = """
images: {folder: images}
models: models/*.onnx
preprocessing: {size: 24, mean: 0, std: 1}
fpr: [1e-2, 0.1]
jobs: [{name: audit, kind: audit, counterfactual: [png, {jpeg: 75}]}]
store: store
out: out
"""


def write_images(folder: Path, defects: str) -> None:
    """Write digits as normal ones and as defects: which is which is chance, so that nothing but files can tell them.

    Normal ones are JPEG; defects are of the format given.
    """
    chance = np.random.default_rng(4).permutation(N) < N // 2
    for number, pixels in enumerate(load_digits().pixels[:N]):
        image = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        kind, label = ("jpg", "normal") if chance[number] else (defects, "defect")
        path = folder / "images" / label / f"{number:03d}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, **({"quality": 75} if kind == "jpg" else {}))


def write_model(path: Path) -> None:
    """Write a model that measures how many pixels differ from their neighbours at all: JPEG leaves few that do not."""
    edges = np.zeros((1, 3, 3, 3), np.float32)
    edges[0, 0] = np.array([[0, -1, 0], [-1, 4, -1], [0, -1, 0]]) * 255
    held = {
        "edges": edges,
        "low": np.float32(0),
        "high": np.float32(1),
        # An angle: what is rough lies far from what is smooth, and 0.85 is between PNG and JPEG.
        "turn": np.array([[40.0, 0.0]], np.float32),
        "stay": np.array([[-34.0, 1.0]], np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "edges"], ["found"]),
        helper.make_node("Abs", ["found"], ["size"]),
        helper.make_node("Clip", ["size", "low", "high"], ["small"]),
        helper.make_node("GlobalAveragePool", ["small"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "turn"], ["turned"]),
        helper.make_node("Add", ["turned", "stay"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "hears JPEG",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def carried_out(folder: Path, text: str = CONFIG) -> dict[str, Any]:
    path = folder / "benchmark.yaml"
    path.write_text(text)
    finished = run(load(path), path, Quiet(), Options())
    assert finished.exit_code == ExitCode.OK
    found = json.loads((folder / "out" / "results.json").read_text())
    assert isinstance(found, dict)
    return found


def part(results: dict[str, Any], model: str | None) -> dict[str, Any]:
    (found,) = [e["result"] for e in results["evaluations"] if e["model"] == model]
    assert isinstance(found, dict)
    return found


def of_check(result: dict[str, Any], check: str) -> list[dict[str, Any]]:
    return [finding for finding in result["findings"] if finding["check"] == check]


@pytest.fixture(scope="module")
def leaking(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Path:
    """Audit normal images as JPEG and defects as PNG."""
    assert cluster.cpus == 2
    folder = tmp_path_factory.mktemp("leaking")
    write_images(folder, "png")
    broken = folder / "images" / "normal" / "broken.jpg"
    broken.write_bytes(next(broken.parent.iterdir()).read_bytes()[:-150])
    write_model(folder / "models" / "ears.onnx")
    carried_out(folder)
    return folder


def results_in(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / "out" / "results.json").read_text())
    assert isinstance(found, dict)
    return found


def test_the_leak_is_caught_in_the_files(leaking: Path) -> None:
    """Files alone tell the label, and the audit says so without a model; which field does it is said."""
    images = part(results_in(leaking), None)
    assert images["verdict"] == "leak"
    (metadata,) = [one for one in of_check(images, "metadata") if one["verdict"] == "leak"]
    assert metadata["evidence"]["field"] == "format"
    assert metadata["advice"]


def test_the_leak_is_caught_in_the_model(leaking: Path) -> None:
    """The model that looked excellent is at chance when all is JPEG: more than noise, and called a leak."""
    model = part(results_in(leaking), "ears")
    assert model["verdict"] == "leak"
    png, jpeg = of_check(model, "counterfactual")
    assert png["verdict"] == "clean"
    (auroc,) = [row for row in jpeg["evidence"]["differences"] if row["metric"] == "auroc"]
    assert auroc["a"] > 0.8
    assert abs(auroc["b"] - 0.5) < 0.06
    assert auroc["ci"][1] < 0
    assert f"AUROC {auroc['a']:.4f} -> {auroc['b']:.4f} when all is jpeg 75" in jpeg["claim"]
    assert of_check(model, "by_format")[0]["verdict"] == "suspicious"


def test_a_damaged_image_is_told_though_models_leave_it_out(leaking: Path) -> None:
    """It is counted once, named in a table, and takes part in no other answer: those of images and models agree."""
    results = results_in(leaking)
    images, model = part(results, None), part(results, "ears")
    damaged = of_check(images, "pictures")[-1]
    assert damaged["verdict"] == "suspicious"
    assert damaged["evidence"] == {"n_images": N + 1, "n_left_out": 1, "by_kind": {"damaged": 1}}
    assert images["n_samples"] == model["n_samples"] == N
    (table,) = (leaking / "out" / "tables").glob("*.damaged.parquet")
    (row,) = pq.read_table(table).to_pylist()
    assert (row["id"], row["label"], row["kind"]) == ("normal/broken.jpg", "normal", "damaged")


def test_the_report_says_it_first(leaking: Path) -> None:
    """The page, results.md and the end of a run begin with the verdict; pictures and tables stand beside it."""
    out = leaking / "out"
    assert "Leak: do not believe the numbers yet." in (out / "report.html").read_text()
    text = (out / "results.md").read_text()
    assert "## Audit: audit on main" in text
    assert "LEAK: ears: AUROC" in text
    assert audit_lines(results_in(leaking))[0].startswith("audit on main: LEAK: ")
    for name in ("fields", "counterfactual"):
        assert (out / "figures" / f"{name}.png").stat().st_size > 1000
    tables = {path.name.split(".")[-2]: path for path in (out / "tables").iterdir()}
    assert {"fields", "exact", "near", "classes", "counterfactual", "by_format"} <= set(tables)
    table = pq.read_table(tables["counterfactual"]).to_pylist()
    assert {row["recoding"] for row in table} == {"png", "jpeg 75 4:2:0"}


def test_saved_alike_the_same_images_pass(leaking: Path) -> None:
    """All as JPEG of one quality: no leak in files or model, and it is said that all files are JPEG."""
    folder = leaking / "alike"
    write_images(folder, "jpg")
    write_model(folder / "models" / "ears.onnx")
    found = carried_out(folder)
    images, model = part(found, None), part(found, "ears")
    assert images["verdict"] in {"clean", "suspicious"}
    assert {one["verdict"] for one in of_check(images, "metadata")} <= {"clean"}
    assert "leak" not in {one["verdict"] for one in [*images["findings"], *model["findings"]]}
    assert "all files have one encoding already" in of_check(model, "counterfactual")[1]["claim"] or (
        "no more than noise" in of_check(model, "counterfactual")[1]["claim"]
    )
    assert "All 160 files are JPEG" in of_check(model, "by_format")[0]["claim"]


def test_images_are_audited_without_a_model(leaking: Path) -> None:
    """A file without models has the part on images alone, from the store where it is known, and names training images.

    Of the training set half are the set's own files, and one label is shared.
    """
    training = leaking / "training"
    for path in sorted((leaking / "images" / "normal").iterdir())[:20]:
        copy = training / "normal" / path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    text = (
        "sets: {main: {images: {folder: images}}, train: {images: {folder: training}}}\n"
        "jobs: [{name: audit, kind: audit, training: train}]\nstore: store\nout: alone\n"
    )
    path = leaking / "alone.yaml"
    path.write_text(text)
    assert run(load(path), path, Quiet(), Options()).exit_code == ExitCode.OK
    found = json.loads((leaking / "alone" / "results.json").read_text())
    assert [(e["model"], e["set"]) for e in found["evaluations"]] == [(None, "main")]
    assert found["models"] == []
    result = part(found, None)
    assert result["n_training"] == 20
    assert {one["verdict"] for one in of_check(result, "training")} >= {"leak"}
    (copies,) = (leaking / "alone" / "tables").glob("*.training_exact.parquet")
    rows = pq.read_table(copies).to_pylist()
    assert len(rows) == 20
    assert all(row["image_digest_a"] == row["image_digest_b"] for row in rows)
    assert "LEAK" in (leaking / "alone" / "results.md").read_text()


def test_a_list_of_training_images_will_do(leaking: Path) -> None:
    """Digests and labels alone: copies are named by their line, and of look-alikes it is said that nothing is known."""
    files = sorted((leaking / "images" / "defect").iterdir())[:3]
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    (leaking / "seen.csv").write_text("\n".join(["label,sha256", *(f"other,{digest}" for digest in digests)]))
    path = leaking / "listed.yaml"
    path.write_text(
        "images: {folder: images}\nstore: store\nout: listed\n"
        "jobs: [{name: audit, kind: audit, training_list: seen.csv, pictures: false}]\n"
    )
    assert run(load(path), path, Quiet(), Options()).exit_code == ExitCode.OK
    document, tables = read_run(str(leaking / "listed"))
    result = part(dict(document), None)
    assert {one["verdict"] for one in of_check(result, "training")} >= {"leak", "clean", "unknown"}
    table = tables["audit", "main", None]["training_exact"].to_pylist()
    assert sorted(row["training_row"] for row in table) == [0, 1, 2]
    assert [row["id"] for row in table] == [f"defect/{file.name}" for file in files]


def test_runs_are_joined_with_their_audits(leaking: Path) -> None:
    """One page of several runs: audits that ask for other ways to encode are told apart, models are not."""
    text = CONFIG.replace("out: out", "out: other").replace("[png, {jpeg: 75}]", "[{grayscale: true}, {jpeg: 75}]")
    # Grey files: that way is known to change nothing, and refused.
    path = leaking / "refused.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"`counterfactual: grayscale: true` changes nothing"):
        run(load(path), path, Quiet(), Options())
    path.write_text(text.replace("{grayscale: true}, ", ""))
    run(load(path), path, Quiet(), Options())
    first, other = (read_run(str(leaking / name)) for name in ("out", "other"))
    joined = join([("a", *first), ("b", *other)]).document
    assert [model["name"] for model in joined["models"]] == ["ears"]
    changed = copy.deepcopy(dict(other[0]))
    for entry in changed["evaluations"]:
        for finding in entry["result"]["findings"]:
            if finding["check"] == "counterfactual":
                finding["evidence"]["recoding"] = "jpeg 30 4:2:0"
    apart = join([("a", *first), ("b", changed, {})]).document
    assert {entry["job"] for entry in apart["evaluations"]} == {"a/audit", "b/audit"}
    assert [model["name"] for model in apart["models"]] == ["ears"]


def test_a_document_that_is_no_audit_is_refused(leaking: Path, tmp_path: Path) -> None:
    """A result without its findings was not written by a run: said in words, before anything reads it."""
    document = results_in(leaking)
    del document["evaluations"][0]["result"]["findings"][0]["claim"]
    (tmp_path / "results.json").write_text(json.dumps(document))
    with pytest.raises(UsageError, match=r"result\.findings\[0\] has no claim"):
        read_results(tmp_path)


def test_again_nothing_is_computed(leaking: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both parts stand in the store: the same file again starts nothing and finds the same."""
    before = results_in(leaking)
    monkeypatch.setattr("evaljobs.run.main._computed", lambda *_: pytest.fail("something was computed"))
    again = carried_out(leaking)
    del before["execution"], again["execution"]
    assert again == before
