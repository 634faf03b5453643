"""What the fused operators of onnxruntime compute, written as the standard operators that they replace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from onnx import NodeProto, TypeProto, helper

_RUNTIME = "com.microsoft"


class _Part(NamedTuple):
    """A standard operator: its name, which inputs of the fused one it takes, and which attributes."""

    op_type: str
    inputs: tuple[int, ...] = (0,)
    attributes: tuple[str, ...] = ()


_CONVOLUTION = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
_POOLING = ("auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides")
_GEMM = ("transA", "transB")

# Of their further outputs, such as means, nothing is known.
_SAME_SHAPE = (
    *("Gelu", "FastGelu", "QuickGelu", "BiasGelu", "BiasSoftmax", "QLinearSoftmax", "QLinearSigmoid"),
    *("QLinearLeakyRelu", "SkipLayerNormalization", "SkipSimplifiedLayerNormalization"),
)
_PARTS = {
    "FusedConv": _Part("Conv", (0, 1, 2), _CONVOLUTION),
    "FusedGemm": _Part("Gemm", (0, 1, 2), _GEMM),
    "QGemm": _Part("Gemm", (0, 3), _GEMM),
    "FusedMatMul": _Part("MatMul", (0, 1)),
    "DynamicQuantizeMatMul": _Part("MatMul", (0, 1)),
    "MatMulIntegerToFloat": _Part("MatMul", (0, 1)),
    "QLinearAdd": _Part("Add", (0, 3)),
    "QLinearMul": _Part("Mul", (0, 3)),
    "QLinearAveragePool": _Part("AveragePool", (0,), _POOLING),
    "QLinearGlobalAveragePool": _Part("GlobalAveragePool"),
    **dict.fromkeys(_SAME_SHAPE, _Part("Identity")),
}
# Where one of these is not zero, the axes are not those of the standard operator.
_OTHER_AXES = frozenset({"channels_last", "transA", "transB", "transBatchA", "transBatchB"})


def as_standard(node: NodeProto, types: Mapping[str, TypeProto]) -> Sequence[NodeProto]:
    """Return standard operators with the shapes and the products of a node, in order; none where they are not known.

    A standard node is returned as it is.

    Parameters
    ----------
    node
        Of any domain.
    types
        What is known of its inputs, by name.
    """
    if node.domain in {"", "ai.onnx"}:
        return (node,)
    if node.domain != _RUNTIME:
        return ()
    match node.op_type:
        case "MultiHeadAttention":
            return _multi_head_attention(node, types)
        case "Attention" | "QAttention":
            return _attention(node, types)
    part = _PARTS.get(node.op_type)
    given = {attribute.name: attribute for attribute in node.attribute}
    if part is None or any(given[name].i for name in _OTHER_AXES & given.keys() if name not in part.attributes):
        return ()
    names = [node.input[i] if i < len(node.input) else "" for i in part.inputs]
    made = NodeProto(op_type=part.op_type, input=names, output=node.output[:1])
    made.attribute.extend(given[name] for name in part.attributes if name in given)
    return (made,)


def _multi_head_attention(node: NodeProto, types: Mapping[str, TypeProto]) -> Sequence[NodeProto]:
    """Query, key and value given apart, [batch, length, width] each."""
    apart = [i for i, name in enumerate(node.input) if name][:3] == [0, 1, 2]
    if not apart or _has(node, range(6, 10)) or any(_rank(types, name) != 3 for name in node.input[:3]):
        return ()
    return (_core(node, node.input[:3]),)


def _attention(node: NodeProto, types: Mapping[str, TypeProto]) -> Sequence[NodeProto]:
    """Project the input to query, key and value of one width, and attend."""
    names = {attribute.name for attribute in node.attribute}
    past = 8 if node.op_type == "QAttention" else 4
    if "qkv_hidden_sizes" in names or _has(node, range(past, past + 1)) or _rank(types, node.input[0]) != 3:
        return ()
    # No name of a graph holds these characters by accident, and none is looked up again.
    both, *parts = [f"{node.output[0]}\0{part}" for part in ("qkv", "q", "k", "v")]
    return (
        helper.make_node("MatMul", node.input[:2], [both]),
        helper.make_node("Split", [both], parts, axis=-1, num_outputs=3),
        _core(node, parts),
    )


def _core(node: NodeProto, parts: Sequence[str]) -> NodeProto:
    heads = next(attribute.i for attribute in node.attribute if attribute.name == "num_heads")
    return helper.make_node("Attention", parts, node.output[:1], q_num_heads=heads, kv_num_heads=heads)


def _has(node: NodeProto, places: range) -> bool:
    return any(i in places for i, name in enumerate(node.input) if name)


def _rank(types: Mapping[str, TypeProto], name: str) -> int:
    return len(types[name].tensor_type.shape.dim) if name in types else 0
