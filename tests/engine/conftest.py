"""A small benchmark on disk: real PNG files, real ONNX models, a real configuration."""

from __future__ import annotations

import copy
import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from evaljobs.config import load
from evaljobs.progress import Quiet
from evaljobs.run import Finished, Options, run
from raycluster.connection.connect import Cluster

SIDE, WIDTH = 6, 4


class Bench:
    """A folder with images, models and a configuration; `run` carries it out on the shared Ray."""

    def __init__(self, folder: Path, side: int = SIDE) -> None:
        self.folder = folder
        self.side = side
        self.config: dict[str, Any] = {
            "images": {"folder": "images"},
            "models": [{"path": "models/*.onnx"}],
            "preprocessing": {"size": [side, side], "mean": [0.0], "std": [1.0]},
            "fpr": ["1e-2", "0.1", "1"],
            "jobs": [{"name": "verification"}],
            "store": "store",
            "out": "out",
            "report": False,  # drawing takes longer than all else here; tests that look at it ask for it
            "max_failed_images": "0.5",
        }

    def pixels(self, label: int, number: int) -> np.ndarray:
        """Return an image: a pattern of its label under noise of its own."""
        pattern = np.random.default_rng(label).integers(0, 256, (self.side, self.side, 3))
        noise = np.random.default_rng([label, number]).integers(0, 256, (self.side, self.side, 3))
        return ((2 * pattern + noise) // 3).astype(np.uint8)

    def image(self, label: int, number: int) -> Path:
        path = self.folder / "images" / f"label{label}" / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(self.pixels(label, number)).save(path)
        return path

    def images(self, labels: int = 5, each: int = 6) -> Bench:
        for label in range(labels):
            for number in range(each):
                self.image(label, number)
        return self

    def model(self, name: str, seed: int = 0, extra: Sequence[onnx.NodeProto] = (), output: str = "y") -> Path:
        """Write a model: flattened pixels times a random matrix, then whatever nodes a test adds."""
        rng = np.random.default_rng(seed)
        weights = rng.standard_normal((self.side * self.side * 3, WIDTH)).astype(np.float32)
        graph = helper.make_graph(
            [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["y"]), *extra],
            "linear",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, self.side, self.side])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
            [numpy_helper.from_array(weights, "w")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        path = self.folder / "models" / f"{name}.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(model.SerializeToString())
        return path

    def embed(self, seed: int, images: Sequence[np.ndarray]) -> np.ndarray:
        """Return what the model of a seed gives, computed by numpy in float64."""
        weights = np.random.default_rng(seed).standard_normal((self.side * self.side * 3, WIDTH)).astype(np.float32)
        flat = np.stack([image.transpose(2, 0, 1).reshape(-1) for image in images]).astype(np.float64) / 255
        return flat @ weights

    def write(self) -> Path:
        path = self.folder / "benchmark.yaml"
        path.write_text(yaml.safe_dump(self.config), encoding="utf-8")
        return path

    def run(self, **options: Any) -> Finished:
        path = self.write()
        return run(load(path), path, Quiet(), Options(**options))

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def results(self) -> dict[str, Any]:
        """Return results.json, which must be JSON as the standard has it."""
        results = json.loads((self.out / "results.json").read_text(encoding="utf-8"), parse_constant=_refuse)
        assert isinstance(results, dict)
        return results

    def computed(self) -> tuple[int, int, int]:
        """Return what the last run computed: images decoded, rows embedded, evaluations."""
        counts = self.results()["execution"]["computed"]
        return counts["images_decoded"], counts["rows_embedded"], counts["evaluations"]

    def evaluation(self, model: str) -> dict[str, Any]:
        (found,) = [e for e in self.results()["evaluations"] if e["model"] == model]
        return dict(found)

    def model_entry(self, name: str) -> dict[str, Any]:
        (found,) = [m for m in self.results()["models"] if m["name"] == name]
        return dict(found)

    def excluded(self) -> dict[str, str]:
        """Return the kind of failure by sample id."""
        with (self.out / "failures.csv").open(encoding="utf-8") as file:
            return {row["sample_id"]: row["kind"] for row in csv.DictReader(file)}


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def settled(results: dict[str, Any]) -> dict[str, Any]:
    """Return results without what may differ between equal runs."""
    results = copy.deepcopy(results)
    del results["execution"]
    return results


@pytest.fixture
def bench(tmp_path: Path, cluster: Cluster) -> Bench:
    assert cluster.cpus == 2
    return Bench(tmp_path)


@pytest.fixture
def large_bench(tmp_path: Path, cluster: Cluster) -> Bench:
    """Images of 12 KB: with a memory of 1 MB, more than two windows of them."""
    assert cluster.cpus == 2
    return Bench(tmp_path, side=64)


@pytest.fixture
def without_execution() -> Any:
    return settled
