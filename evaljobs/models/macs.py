"""Multiply-accumulate operations of one operator, from the shapes of its tensors."""

from __future__ import annotations

import math
from collections.abc import Callable

from onnx import NodeProto

from evaljobs.models.graph import subgraphs
from evaljobs.models.shapes import STANDARD, Shape, Shapes


class UncountableError(Exception):
    """What a node multiplies is not known; the message says why."""


def node_macs(node: NodeProto, shapes: Shapes) -> int:
    """Return the multiply-accumulates of a node: of its convolution, matrix product, recurrence or attention; else 0.

    Counted is what the definition of the operator multiplies, products with padding and masked scores included: the
    count that ``torch.utils.flop_counter`` makes, which has two FLOPs for each. Bias, activations, normalisation and
    pooling have none.

    Parameters
    ----------
    node
        A node as `evaljobs.models.shapes.walk` yields it.
    shapes
        What is known when it is yielded.

    Raises
    ------
    UncountableError
        If its products cannot be known.
    """
    if node.domain not in STANDARD:
        raise UncountableError(f"the operator {node.domain}.{node.op_type} is not known")
    bodies = list(subgraphs(node))
    if bodies or node.op_type in _UNKNOWN:
        if any(_multiplies(inner) for body in bodies for inner in body.node) or not bodies:
            raise UncountableError(f"how often {node.op_type} multiplies is known when it runs alone")
        return 0
    count = _COUNTS.get(node.op_type)
    # Products of weights with weights are computed once, when a session is made.
    if count is None or not any(name in shapes.variable for name in node.input):
        return 0
    return count(node, shapes)


def _multiplies(node: NodeProto) -> bool:
    inside = any(_multiplies(inner) for body in subgraphs(node) for inner in body.node)
    return inside or node.op_type in _COUNTS or node.op_type in _UNKNOWN or node.domain not in STANDARD


def _shape(node: NodeProto, shapes: Shapes, name: str) -> Shape:
    shape = shapes.of(name)
    if shape is None:
        gap = shapes.gaps.get(name)
        behind = f", as that of the result of {gap} is not" if gap and gap != node.op_type else ""
        raise UncountableError(f"the shape of {name!r} is not known{behind}")
    return shape


def _convolution(weight: int) -> Callable[[NodeProto, Shapes], int]:
    """For each element of the output one product with each weight of its filter [channels / group, kernel...]."""

    def count(node: NodeProto, shapes: Shapes) -> int:
        out = _shape(node, shapes, node.output[0])
        return math.prod(out) * math.prod(_shape(node, shapes, node.input[weight])[1:])

    return count


def _transposed(node: NodeProto, shapes: Shapes) -> int:
    """For each element of the input one product with each weight of its filter [channels / group, kernel...]."""
    found = _shape(node, shapes, node.input[0])
    return math.prod(found) * math.prod(_shape(node, shapes, node.input[1])[1:])


def _gemm(node: NodeProto, shapes: Shapes) -> int:
    out, a = _shape(node, shapes, node.output[0]), _shape(node, shapes, node.input[0])
    return math.prod(out) * a[0 if _attribute(node, "transA", 0) else 1]


def _product(node: NodeProto, shapes: Shapes) -> int:
    return math.prod(_shape(node, shapes, node.output[0])) * _shape(node, shapes, node.input[0])[-1]


def _einsum(node: NodeProto, shapes: Shapes) -> int:
    """Product of all indices, of two operands where each index is shared or kept."""
    equation = "".join(next(a.s for a in node.attribute if a.name == "equation").decode().split())
    terms, arrow, kept = equation.partition("->")
    operands = terms.split(",")
    if len(operands) == 1:
        return 0
    letters = "".join(operands)
    plain = arrow and len(operands) == 2 and all(len(set(term)) == len(term) for term in (*operands, kept))
    summed_alone = [c for c in letters if letters.count(c) == 1 and c not in kept]
    if not plain or "." in equation or summed_alone:
        raise UncountableError(f"Einsum {equation!r}: expected two operands, each index shared or kept")
    sizes: dict[str, int] = {}
    for term, name in zip(operands, node.input, strict=True):
        for letter, size in zip(term, _shape(node, shapes, name), strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))  # one is broadcast
    return math.prod(sizes.values())


def _recurrent(node: NodeProto, shapes: Shapes) -> int:
    """At each of T steps for each of B sequences, all weights of input and state: W [D, G H, I], R [D, G H, H]."""
    steps = math.prod(_shape(node, shapes, node.input[0])[:2])
    return steps * sum(math.prod(_shape(node, shapes, name)) for name in node.input[1:3])


def _attention(node: NodeProto, shapes: Shapes) -> int:
    """Query times keys, and scores times values: B heads S L (width of a key + width of a value)."""
    query, key, value = (_shape(node, shapes, name) for name in node.input[:3])
    length = key[-2]
    if len(node.input) > 4 and node.input[4]:
        length += _shape(node, shapes, node.input[4])[-2]
    if len(query) == 4:
        return math.prod(query[:3]) * length * (query[3] + value[3])
    heads, of_keys = _attribute(node, "q_num_heads", 1), _attribute(node, "kv_num_heads", 1)
    return query[0] * query[1] * length * (query[2] + value[2] // of_keys * heads)


def _attribute(node: NodeProto, name: str, default: int) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == name), default)


_COUNTS: dict[str, Callable[[NodeProto, Shapes], int]] = {
    "Attention": _attention,
    "Conv": _convolution(1),
    "ConvInteger": _convolution(1),
    "ConvTranspose": _transposed,
    "DeformConv": _convolution(1),
    "Einsum": _einsum,
    "GRU": _recurrent,
    "Gemm": _gemm,
    "LSTM": _recurrent,
    "MatMul": _product,
    "MatMulInteger": _product,
    "QLinearConv": _convolution(3),
    "QLinearMatMul": _product,
    "RNN": _recurrent,
}
# Transforms, and what holds a body of other nodes.
_UNKNOWN = frozenset({"DFT", "If", "Loop", "STFT", "Scan", "SequenceMap"})
