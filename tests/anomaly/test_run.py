"""An anomaly job in a run: its views are made, turned as numpy turns them, kept, and no other set's."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pyarrow.parquet as pq
import pytest

import evaljobs
from evaljobs.errors import UsageError
from evaljobs.report.text.remarks import remarks
from tests.engine.conftest import Bench, bench

__all__ = ["bench"]


def test_a_run_turns_the_images_itself(bench: Bench) -> None:
    """What it finds is what numpy finds of the turned pixels; a second job on the same rows embeds nothing."""
    bench.images(labels=3, each=8)
    path = bench.model("rotations", seed=1)
    bench.model("ten", seed=2, extra=[onnx.helper.make_node("Concat", ["y", "y"], ["z"], axis=1)], output="z")
    for name, classes in (("rotations", ["0", "90", "180", "270"]),):
        model = onnx.load(path)
        said = {"evaljobs.classes": json.dumps(classes), "evaljobs.scores_are": "logits"}
        onnx.helper.set_model_props(model, said)
        onnx.save(model, bench.folder / "models" / f"{name}.onnx")
    entry = {"kind": "anomaly", "normal": ["label0", "label2"], "groups": "3"}
    bench.config["jobs"] = [{"name": "odd", **entry}]
    bench.config["models"] = [{"path": "models/*.onnx", "scores_are": "logits"}]
    bench.run()
    found = bench.evaluation("rotations")
    views = {f"rotated {d}": f"main, rotate {d}" for d in (90, 180, 270)}
    assert (found["set"], found["sets"]) == ("main", {"set": "main", **views})
    pixels = [bench.pixels(label, number) for label in range(3) for number in range(8)]
    scores = np.stack([bench.embed(1, [np.rot90(image, k) for image in pixels]) for k in range(4)])
    expected = evaljobs.rotation_anomaly(scores, scores_are="logits")
    (table,) = [name for name in found["tables"] if name.endswith(".images.parquet")]
    rows = pq.read_table(bench.out / table).to_pylist()
    assert [row["id"] for row in rows] == [f"label{label}/{n:03d}.png" for label in range(3) for n in range(8)]
    np.testing.assert_allclose([row["score"] for row in rows], expected, rtol=1e-3)
    anomalous = np.repeat([False, True, False], 8)
    plain = evaljobs.detect_anomalies([row["score"] for row in rows], anomalous, ("1e-2", "0.1", "1"), groups=0)
    assert found["result"]["auroc"] == plain.auroc
    assert [point["threshold"] for point in found["result"]["points"]] == [p.threshold for p in plain.points]
    refused = bench.evaluation("ten")
    assert refused["status"] == "failed"
    assert "gives 8 class score(s), and there are 4 rotations" in refused["error"]["message"]
    assert {image_set["name"] for image_set in bench.results()["sets"]} == {"main", *views.values()}
    assert bench.computed() == (4 * 24, 2 * 4 * 24, 2)
    # What must be known of the set is not said of each of its views again.
    assert not any("rotate" in line for line in remarks(bench.results()))
    bench.config["jobs"] += [{"name": "again", **entry, "normal": "label0"}, {"name": "flat", **entry, "at": "input"}]
    bench.run(overwrite=True)
    # Rows of the first job are those of the second; square images turned at the input are other images.
    assert bench.computed() == (3 * 24, 2 * 3 * 24, 4)
    results = {e["job"]: e["result"] for e in bench.results()["evaluations"] if e["model"] == "rotations"}
    assert results["flat"]["auroc"] == results["odd"]["auroc"]
    bench.config["jobs"] = [{"name": "odd", **entry, "normal": "label7"}]
    with pytest.raises(UsageError, match="job 'odd': no image of the set has the normal label 'label7'"):
        bench.run(overwrite=True)
