"""Small networks as ONNX files: a chain of steps from an image to an embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

OPSET = 17
IR_VERSION = 8
EPSILON = 1e-5


@dataclass(frozen=True)
class Step:
    """One node: its operator, its float32 weights, its attributes."""

    op: str
    weights: tuple[NDArray[np.float32], ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)


def flatten() -> Step:
    """Return [n, ...] -> [n, d]."""
    return Step("Flatten")


def affine(weight: ArrayLike, bias: ArrayLike | None = None) -> Step:
    """Return x @ weight + bias, with a weight of shape [d_in, d_out]."""
    matrix = np.asarray(weight, np.float32)
    offset = np.zeros(matrix.shape[1], np.float32) if bias is None else np.asarray(bias, np.float32)
    return Step("Gemm", (matrix, offset))


def relu() -> Step:
    """Return max(x, 0)."""
    return Step("Relu")


def square_root() -> Step:
    """Return the square root of x >= 0."""
    return Step("Sqrt")


def conv(kernels: ArrayLike) -> Step:
    """Return the convolution with kernels of shape [c_out, c_in, 3, 3], size kept."""
    return Step("Conv", (np.asarray(kernels, np.float32),), {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]})


def average_pool(size: int, stride: int) -> Step:
    """Return the means of size x size pixels, every ``stride`` pixels, without padding."""
    return Step("AveragePool", (), {"kernel_shape": [size, size], "strides": [stride, stride]})


def shift(mean: ArrayLike) -> Step:
    """Return x - mean."""
    return Step("Sub", (np.asarray(mean, np.float32),))


def scale(std: ArrayLike) -> Step:
    """Return x / std."""
    return Step("Div", (np.asarray(std, np.float32),))


def layer_norm(dim: int) -> Step:
    """Return each row with mean 0 and variance 1 (plus 1e-5)."""
    return Step("LayerNormalization", (np.ones(dim, np.float32),), {"axis": -1, "epsilon": EPSILON})


def to_onnx(name: str, steps: Sequence[Step], dim: int, metadata: Mapping[str, str]) -> bytes:
    """Return an ONNX file: input ``image`` float32 [n, 1, 8, 8] of any n, output ``embedding`` float32 [n, dim].

    The bytes are the same for the same steps.
    """
    nodes, weights, at = [], [], "image"
    for place, step in enumerate(steps):
        names = [f"weight_{place}_{i}" for i in range(len(step.weights))]
        weights += [numpy_helper.from_array(w, n) for w, n in zip(step.weights, names, strict=True)]
        after = "embedding" if place == len(steps) - 1 else f"step_{place}"
        nodes.append(helper.make_node(step.op, [at, *names], [after], name=f"node_{place}", **step.attributes))
        at = after
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 1, 8, 8])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", dim])],
        weights,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="evaljobs demo"
    )
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def evaluate(model: bytes, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what an ONNX file makes of images float32 [n, 1, 8, 8], by ONNX's own reference in NumPy; [n, d]."""
    (embedding,) = ReferenceEvaluator(onnx.load_model_from_string(model)).run(None, {"image": images})
    return np.asarray(embedding, np.float32)
