"""Networks that look where everybody can see it: their channels are colours, and their images coloured squares."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from evaljobs import config
from evaljobs.models.model import Model
from evaljobs.models.resolve import resolve

# The one that needs PyTorch and grad-cam.
collect_ignore = [] if importlib.util.find_spec("pytorch_grad_cam") else ["test_grad_cam.py"]

SIDE, PLACES, CHANNELS = 32, 8, 8
# Below, a colour is nothing.
DARK = np.float32(0.2)
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
# Each row a channel: what it takes of red, green and blue.
_TAKEN = np.array(
    [[1, -1, -1], [-1, 1, -1], [-1, -1, 1], [1, 1, -1], [-1, 1, 1], [1, -1, 1], [1, 1, 1], [-1, -1, -1]], np.float32
)
# Of the classes; so large that a square of 4 of the 64 places makes the model certain. Nothing at all is the last one.
HEAD = 40 * np.array(
    [
        [2, -1, -1, 0],
        [-1, 2, -1, 0],
        [-1, -1, 2, 0],
        [1, 1, -1, 0],
        [-1, 1, 1, 0],
        [1, -1, 1, 0],
        [0.1, 0.2, 0.1, 0],
        [0, 0, 0, 0],
    ],
    np.float32,
)
BIAS = np.array([0, 0, 0, 3], np.float32)
CLASSES = ["red", "green", "blue", "other"]


def kernel() -> NDArray[np.float32]:
    """Return ``[8, 3, 4, 4]``: the mean of a place's pixels in each channel's colour."""
    return np.repeat(np.repeat(_TAKEN[:, :, None, None], 4, axis=2), 4, axis=3).astype(np.float32) / 16


def picture(**squares: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a black image with 8 x 8 squares, ``[32, 32, 3]``: by colour, the place of the upper left corner."""
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    for colour, (top, left) in squares.items():
        pixels[4 * top : 4 * top + 8, 4 * left : 4 * left + 8] = COLOURS[colour]
    return pixels


def features(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return what the network's layer holds, ``[8, 8, 8]``, computed place by place."""
    found = np.zeros((CHANNELS, PLACES, PLACES))
    for row in range(PLACES):
        for column in range(PLACES):
            mean = pixels[4 * row : 4 * row + 4, 4 * column : 4 * column + 4].reshape(-1, 3).mean(axis=0) / 255
            found[:, row, column] = np.maximum(0, _TAKEN @ mean - DARK)
    return found


class Networks:
    """Writes variants of one network into a folder.

    Its layer ``features`` [N, 8, 8, 8] has a channel for each mixture of colours; ``logits`` are red, green and blue.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(
        self,
        nodes: Sequence[onnx.NodeProto] = (),
        outputs: Sequence[str] = ("logits",),
        *,
        name: str = "model.onnx",
        batch: int | str = "n",
        **more: NDArray[Any],
    ) -> Path:
        """Write the network, its head replaced by nodes if there are any; `more` are weights for them."""
        head = nodes or (
            helper.make_node("GlobalAveragePool", ["features"], ["average"]),
            helper.make_node("Flatten", ["average"], ["pooled"]),
            helper.make_node("Gemm", ["pooled", "head", "bias"], ["logits"]),
        )
        body = (
            helper.make_node("Conv", ["image", "kernel", "dark"], ["conv"], strides=[4, 4]),
            helper.make_node("Relu", ["conv"], ["features"]),
        )
        weights = {"kernel": kernel(), "dark": np.full(CHANNELS, -DARK, np.float32), "head": HEAD, "bias": BIAS, **more}
        used = {name for node in (*body, *head) for name in node.input}
        graph = helper.make_graph(
            [*body, *head],
            "colours",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, SIDE, SIDE])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None) for output in outputs],
            [numpy_helper.from_array(np.asarray(v), k) for k, v in weights.items() if k in used],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        helper.set_model_props(model, {"evaljobs.preprocessing": '{"mean": [0.0], "std": [1.0]}'})
        path = self.folder / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(model.SerializeToString())
        return path

    def model(self, path: Path, role: str = "embedding", **entry: Any) -> Model:
        """Return a written model as a run resolves it."""
        given = config.validate(config.Models, {"path": str(path), **entry}, "test")
        run = config.Config(models=(given,), images=config.Images(folder="."))
        found = resolve(run, self.folder, needs={role})
        assert [refused.message for refused in found.refused] == []
        return found.models[0]

    def image(self, name: str, **squares: tuple[int, int]) -> Path:
        """Write an image: the folder is its label."""
        path = self.folder / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(**squares)).save(path)
        return path


@pytest.fixture
def networks(tmp_path: Path) -> Networks:
    return Networks(tmp_path)
