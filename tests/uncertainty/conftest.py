"""A small classifier with dropout as an ONNX file, and as numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SIDE, WIDTH, CLASSES = 6, 12, 3
Float32 = NDArray[np.float32]


class Classifier:
    """Two matrices with a ReLU between them, and dropout before each: of 0.25 of the pixels, of 0.5 of the features."""

    RATIOS = (0.25, 0.5)

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        pixels = SIDE * SIDE * 3
        self.first = (rng.standard_normal((pixels, WIDTH)) / np.sqrt(pixels) * 6).astype(np.float32)
        self.second = rng.standard_normal((WIDTH, CLASSES)).astype(np.float32)

    def logits(self, images: Float32, masks: tuple[Float32 | float, Float32 | float] = (1.0, 1.0)) -> Float32:
        """Return class scores of ``[n, 3, h, w]``, in numpy."""
        pixels = (images * np.float32(1)) * masks[0]
        features = np.maximum(pixels.reshape(len(images), -1) @ self.first, 0) * masks[1]
        found: Float32 = (features @ self.second).astype(np.float32)
        return found

    def write(self, path: Path, *, live: bool = True, names: str | None = None, batch: int | str = "n") -> Path:
        """Write it; `live` says whether its dropout drops when it runs."""
        nodes = [
            helper.make_node("Dropout", ["x", "r0", "on"], ["d0"]),
            helper.make_node("Flatten", ["d0"], ["flat"]),
            helper.make_node("MatMul", ["flat", "w0"], ["m0"]),
            helper.make_node("Relu", ["m0"], ["features"]),
            helper.make_node("Dropout", ["features", "r1", "on"], ["d1"]),
            helper.make_node("MatMul", ["d1", "w1"], ["logits"]),
        ]
        held = {
            "w0": self.first,
            "w1": self.second,
            "r0": np.array(self.RATIOS[0], np.float32),
            "r1": np.array(self.RATIOS[1], np.float32),
            "on": np.array(live),
        }
        graph = helper.make_graph(
            nodes,
            "classifier",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, SIDE, SIDE])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, CLASSES])],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        if names is not None:
            helper.set_model_props(model, {"evaljobs.classes": names})
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, str(path))
        return path


@pytest.fixture
def classifier() -> Classifier:
    """Return the classifier."""
    return Classifier()
