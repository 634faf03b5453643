"""A graph whose dropout is fed from outside: each live Dropout becomes a product with a mask that is an input."""

from __future__ import annotations

from typing import NamedTuple

import onnx
import onnx.inliner
from onnx import NodeProto, TensorProto, helper, numpy_helper

from evaljobs.errors import ModelError, ModelErrorKind
from evaljobs.models.dropout import BY_INPUT, constants_of, is_live, opset_of
from evaljobs.models.graph import all_nodes, drop_values, is_external

_DEFAULT_RATIO = 0.5
_RATIO = 1


class Drop(NamedTuple):
    """One live Dropout: the input that its mask is fed to, the tensor that it drops from, its ratio."""

    mask: str
    tensor: str
    ratio: float


def feed_masks(model: onnx.ModelProto) -> tuple[onnx.ModelProto, tuple[Drop, ...]]:
    """Return a model with a mask input for each live Dropout, in the order of the nodes.

    A mask of float32 is of any shape that can be multiplied with the tensor: the number 1 drops nothing.

    Raises
    ------
    ModelError
        UNSUPPORTED_OUTPUT, if a live Dropout stands in the body of a loop or condition, has a ratio that is computed
        when the model runs, or gives its own mask to other nodes.
    """
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    opset, constants = opset_of(model), constants_of(model)
    graph = model.graph
    _refuse_hidden(model, opset, constants)
    taken = {name for node in all_nodes(model) for name in (*node.input, *node.output)}
    taken |= {value.name for value in (*graph.output, *graph.input)} | {tensor.name for tensor in graph.initializer}
    types = _types(model)
    nodes: list[NodeProto] = []
    drops: list[Drop] = []
    for node in graph.node:
        if node.op_type != "Dropout" or not is_live(node, opset, constants):
            nodes.append(NodeProto.FromString(node.SerializeToString()))
        elif ratio := _ratio(node, constants):
            drops.append(Drop(_fresh(f"dropout_mask_{len(drops)}", taken), node.input[0], ratio))
            nodes += _product(node, drops[-1].mask, types.get(node.input[0], TensorProto.FLOAT), taken)
        else:
            nodes.append(helper.make_node("Identity", [node.input[0]], [node.output[0]]))
    del graph.node[:]
    graph.node.extend(nodes)
    anything = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    graph.input.extend(onnx.ValueInfoProto(name=drop.mask, type=anything) for drop in drops)
    return model, tuple(drops)


def _refuse_hidden(model: onnx.ModelProto, opset: int, constants: dict[str, TensorProto]) -> None:
    """Refuse live dropout whose mask cannot be told from outside, and how dropout was written long ago."""
    if opset < BY_INPUT:
        raise _cannot(f"its opset {opset} is older than {BY_INPUT}")
    live = [node for node in all_nodes(model) if node.op_type == "Dropout" and is_live(node, opset, constants)]
    main = sum(node.op_type == "Dropout" and is_live(node, opset, constants) for node in model.graph.node)
    if len(live) > main:
        raise _cannot(f"{len(live) - main} of {len(live)} live Dropout nodes stand in the body of a loop or condition")
    used = {name for node in all_nodes(model) for name in node.input} | {value.name for value in model.graph.output}
    for node in live:
        if len(node.output) > 1 and node.output[1] in used:
            raise _cannot(f"the mask of the Dropout {node.name or node.output[0]!r} is used by other nodes")


def _product(node: NodeProto, mask: str, kind: int, taken: set[str]) -> list[NodeProto]:
    """Return the nodes that multiply with a mask, of the type that is dropped from."""
    if kind == TensorProto.FLOAT:
        return [helper.make_node("Mul", [node.input[0], mask], [node.output[0]])]
    cast = _fresh(f"{mask}_cast", taken)
    return [
        helper.make_node("Cast", [mask], [cast], to=kind),
        helper.make_node("Mul", [node.input[0], cast], [node.output[0]]),
    ]


def _fresh(name: str, taken: set[str]) -> str:
    """Return a name that no tensor has, and take it."""
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _ratio(node: NodeProto, constants: dict[str, TensorProto]) -> float:
    name = node.input[_RATIO] if len(node.input) > _RATIO else ""
    if name and (name not in constants or is_external(constants[name])):
        raise _cannot(f"the ratio {name!r} of a Dropout is computed when the model runs")
    ratio = float(numpy_helper.to_array(constants[name]).reshape(-1)[0]) if name else _DEFAULT_RATIO
    if not 0 <= ratio < 1:
        raise _cannot(f"a Dropout has the ratio {ratio:g}: nothing would be left")
    return ratio


def _types(model: onnx.ModelProto) -> dict[str, int]:
    """Return the element types of tensors, as far as they can be inferred."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    drop_values(bare)
    try:
        graph = onnx.shape_inference.infer_shapes(bare).graph
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        graph = model.graph  # operators that onnx does not know: what the file says itself
    known = ((value.name, value.type.tensor_type.elem_type) for value in (*graph.input, *graph.value_info))
    return {name: kind for name, kind in known if kind != TensorProto.UNDEFINED}


def _cannot(what: str) -> ModelError:
    return ModelError(
        ModelErrorKind.UNSUPPORTED_OUTPUT,
        f"{what}, so that no mask can be fed to it; export the model with dropout in its main graph "
        "(evaljobs export --keep-dropout)",
    )
