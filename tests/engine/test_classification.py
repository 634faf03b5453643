"""Classification end to end: classes of the configuration, images by name, and what cannot be judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from onnx import helper

import evaljobs
from evaljobs.errors import ExitCode

NAMES = ["label0", "label1", "label2", "label3"]
EACH = 12


@pytest.fixture
def bench(bench: Any) -> Any:
    bench.images(4, EACH)
    bench.config["models"] = [{"path": "models/*.onnx", "classes": NAMES}]
    bench.config["jobs"] = [{"name": "classes", "kind": "classification", "top_k": ["1", "2"], "mistakes": "5"}]
    bench.config["report"] = True
    return bench


def table(bench: Any, name: str, model: str) -> list[dict[str, Any]]:
    (path,) = [path for path in bench.evaluation(model)["tables"] if path.endswith(f".{name}.parquet")]
    rows: list[dict[str, Any]] = pq.read_table(bench.out / path).to_pylist()
    return rows


def files(out: Path) -> dict[str, bytes]:
    """Return the files that two equal runs have in common, byte for byte."""
    varying = {"report.html", "results.json", "samples.arrow"}  # rates; seconds; times of change
    return {p.name: p.read_bytes() for p in out.rglob("*") if p.is_file() and p.name not in varying}


def test_classes_of_the_configuration_decide(bench: Any, without_execution: Any) -> None:
    """Counts are those of numpy, mistakes are named by image; other names of classes cost no image again."""
    bench.model("a")
    assert bench.run().exit_code == ExitCode.OK
    result = bench.evaluation("a")["result"]
    images = [bench.pixels(label, number) for label in range(4) for number in range(EACH)]
    found = evaljobs.classify(bench.embed(0, images), np.repeat(NAMES, EACH), NAMES, scores_are="logits", mistakes=5)
    assert (result["n_samples"], result["n_correct"]) == (4 * EACH, found.n_correct)
    assert found.calibration is not None
    assert result["calibration"]["nll"] == pytest.approx(found.calibration.nll, rel=1e-4)
    mistakes = table(bench, "mistakes", "a")
    assert [row["confidence"] for row in mistakes] == sorted((row["confidence"] for row in mistakes), reverse=True)
    assert len(mistakes) == 5
    assert all(row["id"].startswith(f"{row['label']}/") and row["predicted"] != row["label"] for row in mistakes)
    before, settled = files(bench.out), without_execution(bench.results())
    (bench.out / "results.md").unlink()  # a file is missing: all of them are written anew
    bench.run()
    assert bench.computed() == (0, 0, 0)
    assert files(bench.out) == before
    assert without_execution(bench.results()) == settled
    bench.config["models"][0]["classes"] = NAMES[::-1]
    bench.run(overwrite=True)
    assert bench.computed() == (0, 0, 1)
    assert bench.evaluation("a")["result"]["calibration"]["nll"] != result["calibration"]["nll"]


def test_what_cannot_be_judged_is_named(bench: Any) -> None:
    """A model without the label, one with a score that is not finite: each fails by itself, and says which image."""
    bench.model("good")
    bench.model("nan", extra=[helper.make_node("Log", ["y"], ["z"])], output="z")
    bench.model("other")
    bench.config["models"] = [
        {"path": "models/good.onnx", "classes": NAMES},
        {"path": "models/nan.onnx", "classes": NAMES},
        {"path": "models/other.onnx", "classes": ["label0", "label1", "label2", "lable3"]},
    ]
    assert bench.run().exit_code == ExitCode.SOME_FAILED
    errors = {model: bench.evaluation(model)["error"] for model in ("good", "nan", "other")}
    assert errors["good"] is None
    assert errors["nan"]["kind"] == "non_finite"
    assert "class scores that are NaN or infinite; the first: label" in errors["nan"]["message"]
    assert "'label3' (nearest: 'lable3')" in errors["other"]["message"]
    page = (bench.out / "results.md").read_text(encoding="utf-8")
    assert "| - | other |" in page
    assert "lable3" in page
