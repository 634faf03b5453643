"""The main job on a real Ray: right numbers, nothing computed twice, what is written can be read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from evaljobs.errors import ExitCode, RunFailedError, UsageError

Settle = Callable[[dict[str, Any]], dict[str, Any]]


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
    result = bench.evaluation("a")["result"]
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
    bench.config["report"] = True
    bench.run()
    assert bench.computed() == (30, 60, 2)
    names = [
        *("results.csv", "results.parquet", "results.md", "samples.arrow", "failures.csv"),
        *("differences.csv", "differences.parquet", "figures/roc.png", "figures/roc.svg", "summary/leaderboard.tex"),
    ]
    first = bench.results(), {name: (bench.out / name).read_bytes() for name in names}
    (bench.out / "figures" / "roc.png").unlink()  # a file is missing: all of them are written anew
    bench.run()
    assert bench.computed() == (0, 0, 0)
    assert without_execution(bench.results()) == without_execution(first[0])
    assert {name: (bench.out / name).read_bytes() for name in names} == first[1]


def test_report_is_made_again_where_something_changed(bench: Any) -> None:
    """Whole files of the same inputs stay as they are; where one is damaged, or a sample id changes, they are new."""
    bench.images().model("a")
    bench.config["report"] = True
    bench.run()
    written = (bench.out / "report.html").stat().st_mtime_ns, bench.results()["execution"]
    bench.run()
    assert (bench.out / "report.html").stat().st_mtime_ns == written[0]
    assert bench.results()["execution"]["seconds"] != written[1]["seconds"]
    page = (bench.out / "report.html").read_bytes()
    os.truncate(bench.out / "report.html", len(page) // 2)
    bench.run()
    assert bench.computed() == (0, 0, 0)
    assert (bench.out / "report.html").read_bytes().endswith(page[-100:])
    (bench.folder / "images" / "label0" / "000.png").rename(bench.folder / "images" / "label0" / "00.png")
    before = (bench.out / "report.html").stat().st_mtime_ns
    bench.run()
    assert bench.computed() == (0, 0, 0)
    assert (bench.out / "report.html").stat().st_mtime_ns != before
    (bench.folder / "images" / "label0" / "00.png").rename(bench.folder / "images" / "label0" / "0.png")
    bench.config["report"] = False
    bench.run()
    assert not (bench.out / "report.html").exists()
    assert not list((bench.out / "figures").glob("*"))


def test_added_model_costs_that_model_alone(bench: Any) -> None:
    """The images are decoded again, for one model; the others are not run."""
    bench.images().model("a")
    bench.run()
    before = bench.evaluation("a")["result"]
    bench.model("b", seed=2)
    bench.run()
    assert bench.computed() == (30, 30, 1)
    assert bench.evaluation("a")["result"] == before


def test_added_image_costs_that_image_alone(bench: Any) -> None:
    """One new image is decoded once and embedded by each model."""
    bench.images().model("a")
    bench.model("b", seed=2)
    bench.run()
    bench.image(label=0, number=99)
    bench.run()
    assert bench.computed() == (1, 2, 2)
    assert bench.evaluation("b")["result"]["n_samples"] == 31


def test_changed_label_costs_no_embedding(bench: Any) -> None:
    """Rows belong to bytes: a moved file is compared anew and embedded never."""
    bench.images().model("a")
    bench.run()
    before = bench.evaluation("a")["result"]
    shutil.move(bench.folder / "images/label0/000.png", bench.folder / "images/label1/zzz.png")
    bench.run()
    assert bench.computed() == (0, 0, 1)
    assert bench.evaluation("a")["result"]["n_genuine"] != before["n_genuine"]


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
    assert bench.computed() == (60, 90, 3)


def test_windows_and_workers_change_no_byte(large_bench: Any, without_execution: Settle) -> None:
    """An image set of many windows, one worker or more than there are cores: decoded once, and the same results."""
    bench = large_bench
    bench.images(labels=8, each=20).model("a")
    bench.model("b", seed=2)
    bench.run()
    first = bench.results()
    for cluster in ({"memory_mb": "1", "workers": "1"}, {"memory_mb": "1", "workers": "4"}):
        shutil.rmtree(bench.folder / "store")
        bench.config["cluster"] = cluster
        bench.run()
        assert bench.computed() == (160, 320, 2)
        assert len(list((bench.folder / "store").glob("tables/*/part-*.arrow"))) > 2 * 8, "more than two windows"
        assert without_execution(bench.results()) == without_execution(first)


@pytest.mark.parametrize("threads", ["2", "9"])
def test_threads_that_the_machine_has_not(bench: Any, threads: str) -> None:
    """As many as there are run; more are refused at once, and nothing waits for ever."""
    bench.images().model("a")
    bench.config["cluster"] = {"threads": threads}
    if threads == "2":
        assert bench.run().exit_code == ExitCode.OK
    else:
        with pytest.raises((UsageError, RunFailedError), match="9"):
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
    assert bench.evaluation("a")["result"]["points"][0]["target"] == 0.2


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
    assert bench.computed() == (30, 30, 2)
    first, second = bench.results()["evaluations"]
    assert (first["set"], first["result"]["n_samples"], len(first["result"]["points"])) == ("all", 30, 3)
    assert (second["set"], second["result"]["n_samples"], len(second["result"]["points"])) == ("half", 15, 1)


def test_what_is_written_can_be_read(bench: Any) -> None:
    """Samples as Arrow, results as Parquet and CSV, tables where results.json says, pictures that are pictures."""
    bench.images().model("a-d4")
    bench.config["models"] = [{"path": "models/*.onnx", "tag_pattern": "{letter}-d{dim}"}]
    bench.config["report"] = True
    bench.run()
    with pa.ipc.open_file(bench.out / "samples.arrow") as file:
        samples = file.read_all()
    assert samples.num_rows == 30
    assert set(samples["format"].to_pylist()) == {"PNG"}
    rows = pq.read_table(bench.out / "results.parquet")
    assert rows.num_rows == 3
    assert set(rows["tag.dim"].to_pylist()) == {"4"}
    assert (bench.out / "figures" / "roc.png").read_bytes().startswith(b"\x89PNG")
    entry = bench.evaluation("a-d4")
    tables = {name.split(".")[-2]: pq.read_table(bench.out / name) for name in entry["tables"]}
    assert set(tables) == {"roc", "scores", "hardest", "labels", "label_pairs"}
    assert tables["roc"].column_names == ["threshold", "fpr", "tpr"]
    assert tables["hardest"].column_names[-4:] == ["id_a", "image_digest_a", "id_b", "image_digest_b"]
    assert all(table.num_rows for table in tables.values())
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
    assert bench.computed() == (30, 30, 1)
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
