"""Small real ONNX models: a convolution, a ReLU, global average pooling, and heads; with an oracle in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from evaljobs import config
from evaljobs.models.options import Runtime
from evaljobs.models.resolve import Resolved, resolve
from evaljobs.models.session import Session

Shape = Sequence[int | str | None]

# The kernel has more elements than any shape: as external data it stays outside the graph.
FEATURES, WIDTH, CLASSES = 40, 5, 3
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def weights(channels: int) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(7)
    shapes = {
        "kernel": (FEATURES, channels, 3, 3),
        "head": (FEATURES, WIDTH),
        "bias": (WIDTH,),
        "classes": (FEATURES, CLASSES),
    }
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


class Network:
    """Writes variants of one network into a folder.

    Its tensors: ``features`` [N, 40, h/2, w/2], ``pooled`` [N, 40], ``embedding`` [N, 5], ``logits`` [N, 3],
    ``tokens`` [N, hw/4, 40], ``map_last`` [N, h/2, w/2, 40].
    """

    SHAPES: ClassVar[dict[str, Shape]] = {
        "features": (None, FEATURES, None, None),
        "pooled": (None, FEATURES),
        "embedding": (None, WIDTH),
        "logits": (None, CLASSES),
        "tokens": (None, None, FEATURES),
        "map_last": (None, None, None, FEATURES),
    }

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(
        self,
        name: str = "model.onnx",
        *,
        layout: Literal["nchw", "nhwc"] = "nchw",
        batch: int | str = "n",
        size: tuple[int | str, int | str] = (8, 6),
        channels: int = 3,
        input_name: str = "x",
        dtype: int = TensorProto.FLOAT,
        outputs: Sequence[str] = ("embedding",),
        metadata: dict[str, str] | None = None,
        external: str | None = None,
    ) -> Path:
        """Write the network with some of its tensors as outputs."""
        shape: Shape = (batch, channels, *size) if layout == "nchw" else (batch, *size, channels)
        nodes = self._nodes(input_name, layout, dtype)
        graph = helper.make_graph(
            nodes,
            "network",
            [helper.make_tensor_value_info(input_name, dtype, shape)],
            [helper.make_tensor_value_info(o, TensorProto.FLOAT, self.SHAPES[o]) for o in outputs],
            [numpy_helper.from_array(v, k) for k, v in weights(channels).items()]
            + [numpy_helper.from_array(np.array([0, FEATURES, -1], np.int64), "token_shape")],
        )
        return self.save(graph, name, metadata=metadata, external=external)

    def save(
        self, graph: onnx.GraphProto, name: str, *, metadata: dict[str, str] | None = None, external: str | None = None
    ) -> Path:
        """Write any graph."""
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        helper.set_model_props(model, metadata or {})
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if external:
            (path.parent / external).parent.mkdir(parents=True, exist_ok=True)
            onnx.save_model(model, str(path), save_as_external_data=True, location=external, size_threshold=0)
        else:
            path.write_bytes(model.SerializeToString())
        return path

    def _nodes(self, input_name: str, layout: str, dtype: int) -> list[onnx.NodeProto]:
        nodes = []
        last = input_name
        if dtype != TensorProto.FLOAT:
            nodes.append(helper.make_node("Cast", [last], ["cast"], to=TensorProto.FLOAT))
            last = "cast"
        if layout == "nhwc":
            nodes.append(helper.make_node("Transpose", [last], ["first"], perm=[0, 3, 1, 2]))
            last = "first"
        return [
            *nodes,
            helper.make_node("Conv", [last, "kernel"], ["conv"], strides=[2, 2], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["conv"], ["features"]),
            helper.make_node("GlobalAveragePool", ["features"], ["average"]),
            helper.make_node("Flatten", ["average"], ["pooled"]),
            helper.make_node("Gemm", ["pooled", "head", "bias"], ["embedding"]),
            helper.make_node("MatMul", ["pooled", "classes"], ["logits"]),
            helper.make_node("Reshape", ["features", "token_shape"], ["flat"]),
            helper.make_node("Transpose", ["flat"], ["tokens"], perm=[0, 2, 1]),
            helper.make_node("Transpose", ["features"], ["map_last"], perm=[0, 2, 3, 1]),
        ]

    def resolve(self, *models: dict[str, Any], **top: Any) -> Resolved:
        """Resolve entries of a config that lies in the folder."""
        run = config.validate(config.Config, {"images": {"folder": "images"}, "models": list(models), **top}, "test")
        return resolve(run, self.folder)

    def open(self, threads: int = 1, **entry: Any) -> Session:
        """Load the written model on the CPU."""
        resolved = self.resolve({"path": "model.onnx", **entry})
        assert [r.message for r in resolved.refused] == []
        return Session(resolved.models[0], Runtime("cpu", threads))

    def embed(self, block: NDArray[np.uint8], **entry: Any) -> NDArray[np.float32]:
        """Return the rows of a block, and check their form."""
        found = self.open(**entry).run(block)
        assert list(found) == ["embedding"]
        assert found["embedding"].dtype == np.float32
        assert len(found["embedding"]) == len(block)
        return found["embedding"]


@pytest.fixture
def network(tmp_path: Path) -> Network:
    return Network(tmp_path)


def normalised(block: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return what the network sees by default: [n, c, h, w]."""
    return ((block / 255 - MEAN) / STD).transpose(0, 3, 1, 2)


def forward(seen: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Compute every tensor of the network in float64, pixel by pixel."""
    w = weights(seen.shape[1])
    n, _, height, width = seen.shape
    padded = np.pad(seen, ((0, 0), (0, 0), (1, 1), (1, 1)))
    features = np.empty((n, FEATURES, (height + 1) // 2, (width + 1) // 2))
    for y in range(features.shape[2]):
        for x in range(features.shape[3]):
            patch = padded[:, :, 2 * y : 2 * y + 3, 2 * x : 2 * x + 3]
            features[:, :, y, x] = np.einsum("ncij,fcij->nf", patch, w["kernel"])
    features = np.maximum(features, 0)
    pooled = features.mean(axis=(2, 3))
    return {
        "features": features,
        "pooled": pooled,
        "embedding": pooled @ w["head"] + w["bias"],
        "logits": pooled @ w["classes"],
        "tokens": features.reshape(n, FEATURES, -1).transpose(0, 2, 1),
        "map_last": features.transpose(0, 2, 3, 1),
    }


class Oracle:
    """What the network gives for a block, computed another way."""

    forward = staticmethod(forward)
    normalised = staticmethod(normalised)

    def __call__(self, block: NDArray[np.uint8], tensor: str = "embedding") -> NDArray[np.float64]:
        """Return a tensor of the network for images with the default preprocessing."""
        return forward(normalised(block))[tensor]


@pytest.fixture
def oracle() -> Oracle:
    return Oracle()


@pytest.fixture
def block() -> NDArray[np.uint8]:
    """Seven images of 8 x 6, read-only as they come out of an object store."""
    images = np.random.default_rng(3).integers(0, 256, (7, 8, 6, 3), dtype=np.uint8)
    images.flags.writeable = False
    return images
