"""Whether a model drops values at random when it runs."""

from __future__ import annotations

import onnx
from onnx import NodeProto, numpy_helper

from evaljobs.models.graph import all_nodes, attribute_tensors, is_external
from evaljobs.models.model import Dropout

# From here on an input says whether it drops, before 7 an attribute; between them it never does.
BY_INPUT = 12
_BY_ATTRIBUTE = 7
_TRAINING_MODE = 2


def count_dropout(model: onnx.ModelProto) -> Dropout:
    """Count the Dropout nodes of a model, in bodies and functions too, and those in training mode.

    A mode that is computed when the model runs counts as training mode: nothing says that it is not.
    """
    constants = constants_of(model)
    dropouts = [node for node in all_nodes(model) if node.op_type == "Dropout"]
    return Dropout(len(dropouts), sum(is_live(node, opset_of(model), constants) for node in dropouts))


def silence_dropout(model: onnx.ModelProto) -> None:
    """Take all Dropout nodes out of training mode, in place: the model gives what it gives without dropout.

    onnxruntime does so for most of them by itself, and not for one that a graph begins with.
    """
    constants, opset = constants_of(model), opset_of(model)
    for node in all_nodes(model):
        if node.op_type != "Dropout" or not is_live(node, opset, constants):
            continue
        if opset < _BY_ATTRIBUTE:
            kept = [attribute for attribute in node.attribute if attribute.name != "is_test"]
            del node.attribute[:]
            node.attribute.extend([*kept, onnx.helper.make_attribute("is_test", 1)])
        else:
            del node.input[_TRAINING_MODE:]


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of ONNX's own operators in a model."""
    return next((o.version for o in model.opset_import if o.domain in {"", "ai.onnx"}), 1)


def constants_of(model: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """Return the tensors by name that a model holds itself: initializers of the main graph, and constants."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in all_nodes(model):
        if node.op_type == "Constant" and (tensors := list(attribute_tensors(node))):
            constants[node.output[0]] = tensors[0]
    return constants


def is_live(node: NodeProto, opset: int, constants: dict[str, onnx.TensorProto]) -> bool:
    """Say whether a Dropout node is in training mode: then it drops when the model runs."""
    if opset < _BY_ATTRIBUTE:
        return not any(attribute.name == "is_test" and attribute.i for attribute in node.attribute)
    mode = node.input[_TRAINING_MODE] if len(node.input) > _TRAINING_MODE else ""
    if opset < BY_INPUT or not mode:
        return False
    if mode not in constants or is_external(constants[mode]):
        return True
    return bool(numpy_helper.to_array(constants[mode]).any())
