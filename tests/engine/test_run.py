"""The main job on a real Ray: right numbers, nothing computed twice, bad input named."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from onnx import helper
from sklearn.metrics import roc_auc_score, roc_curve

from evaljobs.errors import ExitCode, RunFailedError, UsageError
from evaljobs.report.remarks import remarks

Settle = Callable[[dict[str, Any]], dict[str, Any]]


def computed(bench: Any) -> tuple[int, int, int]:
    """Return what the last run computed: images decoded, rows embedded, evaluations."""
    counts = bench.results()["execution"]["computed"]
    return counts["images_decoded"], counts["rows_embedded"], counts["evaluations"]


def evaluation(bench: Any, model: str) -> dict[str, Any]:
    (found,) = [e for e in bench.results()["evaluations"] if e["model"] == model]
    return dict(found)


def model_entry(bench: Any, name: str) -> dict[str, Any]:
    (found,) = [m for m in bench.results()["models"] if m["name"] == name]
    return dict(found)


def excluded(bench: Any) -> dict[str, str]:
    with (bench.out / "failures.csv").open(encoding="utf-8") as file:
        return {row["sample_id"]: row["kind"] for row in csv.DictReader(file)}


def test_numbers_are_those_of_scikit_learn(bench: Any) -> None:
    """From PNG files to operating points: the same as numpy and roc_curve on the same pixels."""
    bench.images(labels=6, each=7).model("a", seed=1)
    assert bench.run().exit_code == ExitCode.OK
    images = [bench.pixels(label, number) for label in range(6) for number in range(7)]
    labels = np.repeat(np.arange(6), 7)
    rows = bench.embed(1, images)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    i, j = np.triu_indices(len(rows), 1)
    scores, genuine = np.einsum("nd,nd->n", rows[i], rows[j]), labels[i] == labels[j]
    fpr, tpr, thresholds = roc_curve(genuine, scores, drop_intermediate=False)
    result = evaluation(bench, "a")["result"]
    assert (result["n_samples"], result["n_genuine"]) == (42, int(genuine.sum()))
    assert [p["target"] for p in result["points"]] == [0.01, 0.1, 1.0]
    for point in result["points"]:
        at = int(np.flatnonzero(fpr <= point["target"])[-1])
        assert point["false_positives"] == round(fpr[at] * result["n_impostor"])
        assert point["tpr"] == pytest.approx(tpr[at], abs=1e-12)
        assert point["threshold"] == pytest.approx(thresholds[at], abs=1e-5)
    assert result["auroc"] == pytest.approx(roc_auc_score(genuine, scores), abs=1e-9)


def test_second_run_computes_nothing_and_writes_the_same(bench: Any, without_execution: Settle) -> None:
    """A result is a function of images, labels, models and configuration."""
    bench.images().model("a")
    bench.model("b", seed=2)
    bench.run()
    assert computed(bench) == (30, 60, 2)
    names = ["results.csv", "results.parquet", "results.md", "roc.png", "roc.svg", "samples.arrow", "failures.csv"]
    first = bench.results(), {name: (bench.out / name).read_bytes() for name in names}
    bench.run()
    assert computed(bench) == (0, 0, 0)
    assert without_execution(bench.results()) == without_execution(first[0])
    assert {name: (bench.out / name).read_bytes() for name in names} == first[1]


def test_added_model_costs_that_model_alone(bench: Any) -> None:
    """The images are decoded again, for one model; the others are not run."""
    bench.images().model("a")
    bench.run()
    before = evaluation(bench, "a")
    bench.model("b", seed=2)
    bench.run()
    assert computed(bench) == (30, 30, 1)
    assert evaluation(bench, "a") == before


def test_added_image_costs_that_image_alone(bench: Any) -> None:
    """One new image is decoded once and embedded by each model."""
    bench.images().model("a")
    bench.model("b", seed=2)
    bench.run()
    bench.image(label=0, number=99)
    bench.run()
    assert computed(bench) == (1, 2, 2)
    assert evaluation(bench, "b")["result"]["n_samples"] == 31


def test_changed_label_costs_no_embedding(bench: Any) -> None:
    """Rows belong to bytes: a moved file is compared anew and embedded never."""
    bench.images().model("a")
    bench.run()
    before = evaluation(bench, "a")["result"]
    shutil.move(bench.folder / "images/label0/000.png", bench.folder / "images/label1/zzz.png")
    bench.run()
    assert computed(bench) == (0, 0, 1)
    assert evaluation(bench, "a")["result"]["n_genuine"] != before["n_genuine"]


def test_images_are_decoded_once_per_geometry(bench: Any) -> None:
    """Three models and two geometries: two decodes an image."""
    bench.images()
    for seed, name in enumerate("abc"):
        bench.model(name, seed)
    bench.config["models"] = [
        {"path": "models/a.onnx"},
        {"path": "models/b.onnx"},
        {"path": "models/c.onnx", "preprocessing": {"interpolation": "nearest"}},
    ]
    bench.run()
    assert computed(bench) == (60, 90, 3)


@pytest.mark.parametrize("memory_mb", [64])
def test_windows_change_no_byte(bench: Any, memory_mb: int, without_execution: Settle) -> None:
    """Workers, threads of the pool and windows are not part of any result."""
    bench.images(labels=8, each=20).model("a")
    bench.model("b", seed=2)
    bench.run()
    first = bench.results()
    shutil.rmtree(bench.folder / "store")
    bench.config["cluster"] = {"memory_mb": str(memory_mb), "workers": "1"}
    bench.run()
    assert computed(bench) == (160, 320, 2)
    assert without_execution(bench.results()) == without_execution(first)


def test_bad_images_are_excluded_for_every_model_alike(bench: Any) -> None:
    """Each is listed with its reason; the others give what they would give without them."""
    bench.images().model("a")
    bench.model("b", seed=2)
    bench.run()
    clean = {name: evaluation(bench, name)["result"] for name in "ab"}
    folder = bench.folder / "images" / "label0"
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.jpg").write_text("no image")
    (folder / "cut.png").write_bytes((folder / "000.png").read_bytes()[:60])
    (folder / "gone.png").symlink_to(folder / "nowhere")
    finished = bench.run()
    assert {name: evaluation(bench, name)["result"] for name in "ab"} == clean
    found = excluded(bench)
    assert found["label0/empty.png"] == "empty"
    assert found["label0/text.jpg"] == "not_an_image"
    assert found["label0/cut.png"] == "damaged"
    assert bench.results()["sets"][0]["excluded"] == len(found) >= 3
    assert any("excluded" in line for line in remarks(finished.results))
    bench.run()
    assert computed(bench) == (0, 0, 0)
    assert excluded(bench) == found


def test_too_many_bad_images_end_the_run_and_keep_what_was_computed(bench: Any) -> None:
    """Over the limit there is no result, and failures.csv says why."""
    bench.images().model("a")
    for number in range(3):
        (bench.folder / f"images/label0/bad{number}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    bench.config["max_failed_images"] = "0.05"
    with pytest.raises(RunFailedError, match=r"3 of 33 images .* more than the 5.00% allowed"):
        bench.run()
    assert len(excluded(bench)) == 3
    assert not (bench.out / "results.json").exists()
    bench.config["max_failed_images"] = "0.5"
    bench.run()
    assert computed(bench)[2] == 1


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
    points = evaluation(bench, "a")["result"]["points"]
    assert len(points) == 3
    assert all(flag in point["flags"] and point[null] is None for point in points)
    assert evaluation(bench, "a")["result"]["auroc"] is None


def test_label_with_one_image_is_counted(bench: Any) -> None:
    """It has impostor pairs and no genuine one: it takes part, and the results say how many there are."""
    bench.images()
    bench.image(label=77, number=0)
    bench.model("a")
    bench.run()
    assert bench.results()["sets"][0]["n_single_labels"] == 1
    assert evaluation(bench, "a")["result"]["n_samples"] == 31


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
    message = model_entry(bench, "zero")["error"]["message"]
    assert "30 of 30 embeddings" in message
    assert "label0/000.png" in message
    assert evaluation(bench, "good")["status"] == "ok"
    assert evaluation(bench, "zero")["result"] is None
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


@pytest.mark.parametrize("obstacle", ["file", "results"])
def test_output_folder_that_cannot_be_used(bench: Any, obstacle: str) -> None:
    """Found out before anything is started, and said what to do."""
    bench.images().model("a")
    if obstacle == "file":
        bench.out.write_text("a file")
    else:
        bench.out.mkdir()
        (bench.out / "results.json").write_text("something else")
    with pytest.raises(UsageError, match="--out"):
        bench.run()
    assert not (bench.folder / "store").exists()


def test_results_of_another_configuration_are_not_replaced(bench: Any) -> None:
    """Unless that is asked for."""
    bench.images().model("a")
    bench.run()
    before = (bench.out / "results.json").read_bytes()
    bench.config["fpr"] = ["0.2"]
    with pytest.raises(UsageError, match="another configuration"):
        bench.run()
    assert (bench.out / "results.json").read_bytes() == before
    bench.run(overwrite=True)
    assert evaluation(bench, "a")["result"]["points"][0]["target"] == 0.2


def test_two_sets_and_two_jobs(bench: Any) -> None:
    """Each job has its set and targets; rows are shared, an image in both sets is embedded once."""
    bench.images().model("a")
    rows = [f"images/label{label}/{number:03d}.png,{label % 2}" for label in range(5) for number in range(3)]
    (bench.folder / "half.csv").write_text("\n".join(["uri,label", *rows]) + "\n")
    del bench.config["images"]
    bench.config["sets"] = {
        "all": {"images": {"folder": "images"}},
        "half": {"images": {"manifest": "half.csv"}},
    }
    bench.config["jobs"] = [
        {"name": "by identity", "set": "all"},
        {"name": "by parity", "set": "half", "fpr": ["0.5"]},
    ]
    bench.run()
    assert computed(bench) == (30, 30, 2)
    first, second = bench.results()["evaluations"]
    assert (first["set"], first["result"]["n_samples"], len(first["result"]["points"])) == ("all", 30, 3)
    assert (second["set"], second["result"]["n_samples"], len(second["result"]["points"])) == ("half", 15, 1)


def test_what_is_written_can_be_read(bench: Any) -> None:
    """Samples as Arrow, results as Parquet and CSV, tables where results.json says, pictures that are pictures."""
    bench.images().model("a-d4")
    bench.config["models"] = [{"path": "models/*.onnx", "tag_pattern": "{letter}-d{dim}"}]
    bench.run()
    with pa.ipc.open_file(bench.out / "samples.arrow") as file:
        samples = file.read_all()
    assert samples.num_rows == 30
    assert set(samples["format"].to_pylist()) == {"PNG"}
    rows = pq.read_table(bench.out / "results.parquet")
    assert rows.num_rows == 3
    assert set(rows["tag.dim"].to_pylist()) == {"4"}
    assert (bench.out / "roc.png").read_bytes().startswith(b"\x89PNG")
    entry = evaluation(bench, "a-d4")
    assert entry["tables"]
    for name in entry["tables"]:
        table = pq.read_table(bench.out / name)
        assert table.column_names == ["threshold", "fpr", "tpr"]
    assert entry["figures"]
    for name in entry["figures"]:
        assert (bench.out / name).stat().st_size > 0


def test_damaged_store_heals(bench: Any, without_execution: Settle) -> None:
    """Truncated parts and results are found out and made again, with the same bytes."""
    bench.images().model("a")
    bench.run()
    first = bench.results()
    files = [
        p for p in (bench.folder / "store").rglob("*") if p.suffix in {".arrow", ".json"} and p.parent.name != "store"
    ]
    assert len(files) > 4
    for path in files:
        os.truncate(path, path.stat().st_size // 2)
    bench.run()
    assert computed(bench) == (30, 30, 1)
    assert without_execution(bench.results()) == without_execution(first)


def test_hostile_names_break_nothing(bench: Any) -> None:
    """Labels, files and models named to confuse tables, terminals and pictures."""
    bench.images()
    hostile = bench.folder / "images" / "=cmd|' $x_{1}$ [bold]<script>"
    hostile.mkdir()
    for number in range(3):
        shutil.copy(bench.image(9, number), hostile / f'a,"b\n{number}.png')
    bench.model("$\\frac{[red]|a|<b>", seed=3)
    assert bench.run().exit_code == ExitCode.OK
    assert "<script>" not in Path(bench.out / "results.md").read_text(encoding="utf-8")
