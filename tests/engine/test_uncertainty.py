"""Uncertainty in a run: passes with dropout are rows like others, made once, the same on any number of workers."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from evaljobs.errors import RunFailedError
from raycluster.connection.connect import Cluster
from tests.engine.conftest import Bench
from tests.uncertainty.conftest import Classifier

CLASSES = '["label0", "label1", "label2"]'


@pytest.fixture
def two(bench: Bench, cluster: Cluster) -> Bench:
    """Return a run of two classifiers, one of which has live dropout, on three sets, one of them a view."""
    del cluster
    bench.images(labels=3, each=8)
    folder = bench.folder / "foreign" / "x"
    folder.mkdir(parents=True)
    for number in range(10):
        pixels = np.random.default_rng([9, number]).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    Classifier(0).write(bench.folder / "models" / "live.onnx", names=CLASSES)
    Classifier(1).write(bench.folder / "models" / "still.onnx", names=CLASSES, live=False)
    del bench.config["images"]
    bench.config["sets"] = {
        "main": {"images": {"folder": "images"}},
        "noisy": {"of": "main", "view": {"steps": [{"noise": "0.8"}], "first": 6}},
        "foreign": {"images": {"folder": "foreign"}},
    }
    bench.config["jobs"] = [
        {"name": "entropy", "kind": "uncertainty", "set": "main", "corrupted": "noisy", "foreign": "foreign"},
        {"name": "dropout", "kind": "uncertainty", "set": "main", "foreign": "foreign", "passes": 7},
        {"name": "classes", "kind": "classification", "set": "main"},
    ]
    return bench


def found(bench: Bench, job: str, model: str) -> dict[str, Any]:
    """Return an evaluation."""
    (entry,) = [e for e in bench.results()["evaluations"] if (e["job"], e["model"]) == (job, model)]
    return dict(entry)


def stored(bench: Bench) -> list[int]:
    """Return how many rows each table of the store has."""
    tables = (bench.folder / "store" / "tables").iterdir()
    return sorted(
        sum(pa.ipc.open_file(pa.memory_map(str(part))).read_all().num_rows for part in table.glob("part-*.arrow"))
        for table in tables
    )


def test_a_run_finds_every_measure(two: Bench) -> None:
    """Entropy of both; passes of the one that has dropout, the other is refused with the way to get it."""
    two.run()
    for model in ("live", "still"):
        entropy = found(two, "entropy", model)
        assert entropy["sets"] == {"set": "main", "corrupted 1": "noisy", "foreign 1": "foreign"}
        of_noisy = entropy["result"]["measures"]["entropy"]["sets"]["corrupted 1"]
        assert of_noisy["n_samples"] == 24
        assert of_noisy["changed"]["n_sure"] + of_noisy["changed"]["n_unsure"] == 6
        # The classification of the same rows.
        accuracy = found(two, "classes", model)["result"]["accuracy"]
        assert entropy["result"]["measures"]["entropy"]["sets"]["set"]["coverage"]["n_wrong"] == round(
            24 * (1 - accuracy)
        )
    dropout = found(two, "dropout", "live")
    assert dropout["result"]["passes"] == {"count": 7, "seed": 0}
    assert dropout["result"]["measures"]["mutual_information"]["sets"]["set"]["mean"] > 0
    without = [found(two, job, "live")["result"]["measures"]["entropy"] for job in ("dropout", "entropy")]
    assert without[0]["sets"]["set"]["mean"] == pytest.approx(without[1]["sets"]["set"]["mean"], rel=1e-4)
    refused = found(two, "dropout", "still")
    assert (refused["status"], refused["error"]["kind"]) == ("failed", "no_dropout")
    assert "evaljobs export --keep-dropout" in refused["error"]["message"]
    assert [model["name"] for model in two.results()["models"]] == ["live", "still"]
    # 24 images, 6 of them changed, and 10 foreign ones, of two models; and passes of one on two sets.
    assert stored(two) == [24 + 10, 24 + 6 + 10, 24 + 6 + 10]
    (table,) = [name for name in dropout["tables"] if name.endswith(".images.parquet")]
    rows = pq.read_table(two.out / table).to_pylist()
    assert len(rows) == 34
    assert {row["id"].split("/")[0] for row in rows if row["role"] == "foreign 1"} == {"x"}
    assert all(row["image_digest"] and row["format"] == "PNG" for row in rows)


def test_nothing_is_computed_twice(two: Bench) -> None:
    """Other passes are other rows; those without dropout stay; and the same command finds everything there."""
    two.run()
    first = two.results()
    two.run()
    assert two.computed() == (0, 0, 0)
    two.config["jobs"][1]["passes"] = 8
    two.run(overwrite=True)
    assert stored(two) == [34, 34, 40, 40]
    two.config["jobs"][1]["passes"] = 7
    shutil.rmtree(two.folder / "store")
    two.config["cluster"] = {"workers": 1}
    two.run(overwrite=True)
    again = two.results()
    assert [e["result"] for e in again["evaluations"]] == [e["result"] for e in first["evaluations"]]


def test_dropout_that_drops_nothing_fails_in_its_job_alone(two: Bench) -> None:
    """Live by its mode, and of ratio 0: found when it is loaded; the other jobs have their results."""
    path = two.folder / "models" / "live.onnx"
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.name in {"r0", "r1"}:
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.array(0.0, np.float32), tensor.name))
    onnx.save(model, path)
    two.config["jobs"] = two.config["jobs"][1:]
    two.run()
    refused = found(two, "dropout", "live")
    assert (refused["status"], refused["error"]["kind"]) == ("failed", "no_dropout")
    assert found(two, "classes", "live")["status"] == "ok"


def test_a_run_of_models_without_dropout_has_no_result(two: Bench) -> None:
    """It is not a run in which everything is certain."""
    (two.folder / "models" / "live.onnx").unlink()
    two.config["jobs"] = two.config["jobs"][1:2]
    with pytest.raises(RunFailedError, match="passes with dropout"):
        two.run()
