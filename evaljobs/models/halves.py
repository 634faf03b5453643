"""A model cut in two at a layer: the trunk, from the image to the layer, and the head, from the layer to an output."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import onnx.inliner
from onnx import TensorProto, helper, numpy_helper

from evaljobs.models.dropout import silence_dropout
from evaljobs.models.graph import cut, elements, embed_shapes, follow_links, is_external, tensors
from evaljobs.models.grid import Layer
from evaljobs.models.inspect import read_proto
from evaljobs.models.model import Model

# Below, a tensor holds shapes, axes or scales, and no weights.
_LEAST_WEIGHTS = 16
_WEIGHTS = frozenset(
    (
        *(TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE),
        *(TensorProto.INT8, TensorProto.UINT8),  # quantised
    )
)
# Weights of any number of elements.
_ALL = 2**40


class Halves(NamedTuple):
    """Two models, serialised.

    Attributes
    ----------
    folder
        That their external data are relative to.
    needs_image
        Whether the head takes the image beside the layer, of which it uses the size alone.
    """

    trunk: bytes
    head: bytes
    folder: Path
    needs_image: bool


def halves(model: Model, layer: Layer, output: str, shuffled: int | None = None) -> Halves:
    """Cut a model in two, without dropout.

    Parameters
    ----------
    model
        Its files are read.
    layer
        That `output` follows from alone (`evaljobs.models.spatial.follows_from`), and is not.
    shuffled
        Shuffle the values of each weight within it, seeded by this number: what the network was taught is lost, and
        the distribution of its weights is kept. Then they all lie in both halves.

    Raises
    ------
    ModelError
        CORRUPT, if the file cannot be read.
    OSError, ValueError
        If its external data cannot be read.
    """
    whole = read_proto(model.path)
    folder = model.path.parent
    embed_shapes(whole, folder, *([_ALL] if shuffled is not None else []))
    folder = follow_links(whole, folder)
    if model.dropout.active:
        silence_dropout(whole)
    if whole.functions:
        whole = onnx.inliner.inline_local_functions(whole)
    if shuffled is not None:
        shuffle_weights(whole, shuffled)
    trunk = onnx.ModelProto()
    trunk.CopyFrom(whole)
    cut(trunk, [layer.tensor])
    needs_image = _behead(whole, layer, output, model.input.name)
    return Halves(trunk.SerializeToString(), whole.SerializeToString(), folder, needs_image)


def _behead(model: onnx.ModelProto, layer: Layer, output: str, image: str) -> bool:
    """Make a layer the input of a model, in place; return whether it needs the image too."""
    graph = model.graph
    for node in graph.node:
        for number, name in enumerate(node.output):
            if name == layer.tensor:
                node.output[number] = f"{name} made"  # nobody wants it, so it goes
    known = [value for value in graph.value_info if value.name != layer.tensor]
    del graph.value_info[:]
    graph.value_info.extend(known)
    graph.input.append(helper.make_tensor_value_info(layer.tensor, layer.dtype, ["rows of the layer", *layer.shape]))
    cut(model, [output])
    used = {name for node in graph.node for name in node.input}
    if image in used:
        return True
    kept = [value for value in graph.input if value.name != image]
    del graph.input[:]
    graph.input.extend(kept)
    return False


def shuffle_weights(model: onnx.ModelProto, seed: int) -> None:
    """Shuffle the values of each weight tensor within it, in place."""
    for number, tensor in enumerate(tensors(model)):
        if tensor.data_type not in _WEIGHTS or elements(tensor) < _LEAST_WEIGHTS or is_external(tensor):
            continue
        values = numpy_helper.to_array(tensor)
        mixed = np.random.default_rng([seed, number]).permutation(values.ravel()).reshape(values.shape)
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(mixed), name))
