"""Jobs that need different outputs of a model: both are computed in one pass, each once, and each job gets its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pytest
from onnx import TensorProto, helper, numpy_helper

from evaljobs.errors import ExitCode

LABELS, EACH = 5, 8
NAMES = [f"label{label}" for label in range(LABELS)]


def fitted(bench: Any) -> np.ndarray:
    """Return the weights of a classifier: ridge regression of the labels on four values of every other image."""
    pixels = flat([bench.pixels(label, number) for label in range(LABELS) for number in range(0, EACH, 2)])
    pixels[:, 4:] = 0
    wanted = np.repeat(np.eye(LABELS), EACH // 2, axis=0)
    gram = pixels.T @ pixels + 0.1 * np.eye(pixels.shape[1])
    weights: np.ndarray = np.linalg.solve(gram, pixels.T @ wanted).astype(np.float32)
    return weights


def flat(images: list[np.ndarray]) -> np.ndarray:
    return np.stack([image.transpose(2, 0, 1).reshape(-1) for image in images]).astype(np.float64) / 255


def classifier(bench: Any, name: str, *, softmax: bool = False, both: bool = True, classes: list[str] = NAMES) -> Path:
    """Write the classifier, with its features (twice the pixels in eight random directions) as an embedding."""
    rng = np.random.default_rng(5)
    tensors = {"w": fitted(bench), "r": rng.standard_normal((bench.side * bench.side * 3, 8)).astype(np.float32)}
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["logits"]),
        helper.make_node("MatMul", ["flat", "r"], ["features"]),
        helper.make_node("Softmax", ["logits"], ["chances"], axis=1),
    ]
    scores = "chances" if softmax else "logits"
    outputs = [scores, "features"] if both else [scores]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, bench.side, bench.side])],
        [helper.make_tensor_value_info(o, TensorProto.FLOAT, ["n", 8 if o == "features" else LABELS]) for o in outputs],
        [numpy_helper.from_array(value, key) for key, value in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"evaljobs.classes": json.dumps(classes)})
    path: Path = bench.folder / "models" / f"{name}.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


@pytest.fixture
def bench(bench: Any) -> Any:
    bench.images(LABELS, EACH)
    bench.config["jobs"] = [
        {"name": "pairs", "kind": "verification", "groups": "0"},
        {"name": "classes", "kind": "classification", "groups": "0", "top_k": ["1"]},
    ]
    return bench


def entries(bench: Any) -> dict[tuple[str, str], dict[str, Any]]:
    return {(e["job"], e["model"]): e for e in bench.results()["evaluations"]}


def right(bench: Any) -> float:
    """Return the share of images whose class has the highest score, computed by numpy."""
    images = [bench.pixels(label, number) for label in range(LABELS) for number in range(EACH)]
    predicted = (flat(images) @ fitted(bench)).argmax(axis=1)
    share: float = float((predicted == np.repeat(np.arange(LABELS), EACH)).mean())
    assert 0.3 < share < 1, "a classifier that is neither blind nor perfect"
    return share


def test_embeddings_and_class_scores_of_one_pass(bench: Any) -> None:
    """A classifier with two outputs is run once an image; both jobs find what numpy finds of the same pixels."""
    classifier(bench, "a")
    bench.config["models"] = [{"path": "models/a.onnx", "output": "features", "scores": "logits"}]
    assert bench.run().exit_code == ExitCode.OK
    assert bench.computed() == (LABELS * EACH, LABELS * EACH, 2)
    found = entries(bench)
    assert found["classes", "a"]["result"]["accuracy"] == right(bench)
    assert found["pairs", "a"]["result"]["n_samples"] == LABELS * EACH
    model = bench.model_entry("a")
    assert [(o["role"], o["tensor"]) for o in model["outputs"]] == [("embedding", "features"), ("scores", "logits")]
    assert model["scores"]["are"] == "logits"
    assert model["classes"]["names"] == NAMES


def test_one_output_serves_both_jobs_and_is_stored_once(bench: Any) -> None:
    """Where a run compared a classifier's scores as embeddings, classifying them costs no image."""
    classifier(bench, "a", both=False)
    jobs = bench.config["jobs"]
    bench.config["jobs"] = [jobs[0]]
    bench.run()
    assert bench.computed() == (LABELS * EACH, LABELS * EACH, 1)
    bench.config["jobs"] = [jobs[1]]
    bench.run(overwrite=True)
    assert bench.computed() == (0, 0, 1)
    assert entries(bench)["classes", "a"]["result"]["accuracy"] == right(bench)
    bench.config["jobs"] = jobs
    bench.run(overwrite=True)
    assert bench.computed()[:2] == (0, 0)
    (part,) = (bench.folder / "store" / "tables").glob("*/part-*.arrow")
    with pa.OSFile(str(part)) as file:
        assert pa.ipc.open_file(file).schema.names == ["image_digest", "embedding"]


def test_probabilities_and_logits_classify_alike(bench: Any) -> None:
    """Whether a softmax ends the graph is found in it; the right class is the same one."""
    classifier(bench, "logits", both=False)
    classifier(bench, "chances", both=False, softmax=True)
    bench.config["jobs"] = bench.config["jobs"][1:]
    assert bench.run().exit_code == ExitCode.OK
    are = {model["name"]: model["scores"]["are"] for model in bench.results()["models"]}
    assert are == {"logits": "logits", "chances": "probabilities"}
    first, second = (entry["result"] for entry in entries(bench).values())
    assert first["accuracy"] == second["accuracy"] == right(bench)


def test_a_model_without_class_scores_fails_in_that_job_alone(bench: Any) -> None:
    """It says how to get them, and goes on in the other job; nothing is computed for what cannot be."""
    classifier(bench, "a")
    classifier(bench, "b")
    bench.config["models"] = [
        {"path": "models/a.onnx", "output": "features", "scores": "logits"},
        {"path": "models/b.onnx", "output": "features"},
    ]
    assert bench.run().exit_code == ExitCode.SOME_FAILED
    found = entries(bench)
    assert {key: entry["status"] for key, entry in found.items()} == {
        ("pairs", "a"): "ok", ("pairs", "b"): "ok", ("classes", "a"): "ok", ("classes", "b"): "failed",
    }  # fmt: skip
    assert found["classes", "b"]["error"]["kind"] == "no_scores"
    assert "with `scores`" in found["classes", "b"]["error"]["message"]
    assert bench.model_entry("b")["status"] == "failed"
    assert bench.computed() == (LABELS * EACH, 2 * LABELS * EACH, 3)
    # The embedding alone stands under the key that it has without any class scores.
    bench.config["models"] = [{"path": "models/b.onnx", "output": "features"}]
    bench.config["jobs"] = bench.config["jobs"][:1]
    bench.run(overwrite=True)
    assert bench.computed() == (0, 0, 0)


def test_other_names_of_classes_are_another_result(bench: Any) -> None:
    """Names are no part of rows, but of what is right: changing them embeds nothing and counts anew."""
    classifier(bench, "a", both=False)
    bench.config["jobs"] = bench.config["jobs"][1:]
    bench.run()
    bench.config["models"] = [{"path": "models/a.onnx", "classes": NAMES[1:] + NAMES[:1]}]
    bench.run(overwrite=True)
    assert bench.computed() == (0, 0, 1)
    shifted = entries(bench)["classes", "a"]["result"]["accuracy"]
    assert shifted < right(bench)


def test_the_most_accurate_model_goes_on(bench: Any) -> None:
    """A later job takes the best model of a classification by its accuracy."""
    classifier(bench, "good", both=False)
    classifier(bench, "bad", both=False, classes=NAMES[::-1])
    bench.config["jobs"] = [bench.config["jobs"][1], {"name": "pairs", "after": "classes", "models": "best"}]
    assert bench.run().exit_code == ExitCode.OK
    assert [key for key in entries(bench) if key[0] == "pairs"] == [("pairs", "good")]
