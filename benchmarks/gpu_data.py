"""What the benchmark of a GPU runs on: synthetic JPEGs, and a ResNet-50 with random weights."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from PIL import Image

SIZE = 224
PER_LABEL = 10


def write_image(path: Path, number: int) -> None:
    """Write one JPEG: a smooth pattern of its label, shifted and noisy."""
    label = number // PER_LABEL
    pattern = np.random.default_rng(label).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    rng = np.random.default_rng((label, number))
    large = Image.fromarray(pattern).resize((320, 320), Image.Resampling.BICUBIC)
    x, y = rng.integers(0, 64, 2)
    pixels = np.asarray(large.crop((x, y, x + 256, y + 256))) + rng.normal(0, 30, (256, 256, 3))
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path / f"{label:05}_{number:06}.jpg", quality=90)


def write_images(folder: Path, count: int) -> None:
    """Write the images with all cores."""
    folder.mkdir()
    with ProcessPoolExecutor() as pool:
        list(pool.map(write_image, [folder] * count, range(count), chunksize=50))


class ResNet:
    """Builds the graph of a ResNet-50 with random weights, batch normalisation folded into the convolutions.

    Parameters
    ----------
    batch
        Of the graph; None for an open one.
    dtype
        Of images, weights and rows.
    """

    def __init__(self, seed: int, batch: int | None = None, dtype: type[np.floating[Any]] = np.float32) -> None:
        self._rng = np.random.default_rng(seed)
        self._batch, self._dtype = batch, dtype
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def build(self) -> onnx.ModelProto:
        """Return the model: images [n, 3, 224, 224] to embeddings [n, 2048]."""
        x = self._node("Relu", self._conv("images", (3, 64, 7), 2))
        x = self._node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        channels = 64
        for width, depth, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
            for block in range(depth):
                x = self._bottleneck(x, channels, width, stride if block == 0 else 1)
                channels = 4 * width
        x = self._node("Flatten", self._node("GlobalAveragePool", x))
        n, kind = self._batch or "n", helper.np_dtype_to_tensor_dtype(np.dtype(self._dtype))
        shapes: dict[str, list[str | int | None]] = {"images": [n, 3, SIZE, SIZE], x: [n, channels]}
        images, rows = (helper.make_tensor_value_info(name, kind, shape) for name, shape in shapes.items())
        graph = helper.make_graph(self._nodes, "resnet50", [images], [rows], self._weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def _bottleneck(self, x: str, channels: int, width: int, stride: int) -> str:
        y = self._node("Relu", self._conv(x, (channels, width, 1), 1))
        y = self._node("Relu", self._conv(y, (width, width, 3), stride))
        # Halved, so that the sum of 16 blocks does not grow without a normalisation.
        y = self._conv(y, (width, 4 * width, 1), 1, gain=0.5)
        if stride != 1 or channels != 4 * width:
            x = self._conv(x, (channels, 4 * width, 1), stride)
        return self._node("Relu", self._node("Add", y, x))

    def _conv(self, x: str, size: tuple[int, int, int], stride: int, gain: float = 1.0) -> str:
        inputs, outputs, kernel = size
        shape = (outputs, inputs, kernel, kernel)
        weight = self._rng.standard_normal(shape, np.float32) * np.float32(gain * np.sqrt(2 / (inputs * kernel**2)))
        bias = self._rng.standard_normal(outputs, np.float32) * np.float32(0.1)
        names = [f"w{len(self._weights)}", f"w{len(self._weights) + 1}"]
        self._weights += [
            numpy_helper.from_array(v.astype(self._dtype), n) for v, n in zip((weight, bias), names, strict=True)
        ]
        pads = [kernel // 2] * 4
        return self._node("Conv", x, *names, kernel_shape=[kernel, kernel], strides=[stride, stride], pads=pads)

    def _node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        output = f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output
