"""The shape of every tensor of a graph for one given input, without its weights and without running it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, TypeProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from evaljobs.models.fused import as_standard
from evaljobs.models.graph import LARGEST_SHAPE, elements, has_values

Shape = tuple[int, ...]

STANDARD = frozenset({"", "ai.onnx"})

# Operators that graphs compute shapes with. None makes much out of little, but for the second ones.
_FOLDED = frozenset(
    (
        *("Abs", "Add", "And", "Cast", "CastLike", "Ceil", "Clip", "Concat", "ConstantOfShape", "Div"),
        *("Equal", "Expand", "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Greater"),
        *("GreaterOrEqual", "Identity", "Less", "LessOrEqual", "Max", "Min", "Mod", "Mul", "Neg"),
        *("NonZero", "Not", "Or", "Pow", "Range", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum"),
        *("Reshape", "ScatterElements", "ScatterND", "Sign", "Slice", "Split", "Sqrt", "Squeeze", "Sub"),
        *("Transpose", "Unsqueeze", "Where"),
    )
)
_GROWING = frozenset({"ConstantOfShape", "Expand", "Range"})


_NO_RULE = (
    onnx.checker.ValidationError,
    onnx.defs.SchemaError,
    onnx.shape_inference.InferenceError,
    RuntimeError,
    ValueError,
)


@dataclass
class Shapes:
    """What is known of the tensors of a graph.

    Attributes
    ----------
    types
        By name; a shape in it may be known in part.
    values
        Small tensors that follow from shapes and constants alone.
    variable
        The tensors that depend on the graph's inputs.
    gaps
        By name of a tensor whose shape is not known: the operator that made the first unknown shape behind it.
    """

    types: dict[str, TypeProto] = field(default_factory=dict)
    values: dict[str, TensorProto] = field(default_factory=dict)
    variable: set[str] = field(default_factory=set)
    gaps: dict[str, str] = field(default_factory=dict)

    def of(self, name: str) -> Shape | None:
        """Return the shape of a tensor; None unless every axis is known."""
        kind = self.types.get(name)
        if kind is None or not kind.tensor_type.HasField("shape"):
            return None
        dims = kind.tensor_type.shape.dim
        if any(dim.WhichOneof("value") != "dim_value" or dim.dim_value < 0 for dim in dims):
            return None
        return tuple(dim.dim_value for dim in dims)


def walk(model: onnx.ModelProto, inputs: Mapping[str, Shape]) -> Iterator[tuple[NodeProto, Shapes]]:
    """Yield every node of the main graph in order, with the shapes known so far, those of its outputs included.

    Each node is inferred by the rule that onnx has for it. Where a shape is computed in the graph (``Shape``,
    ``Gather``, ``Concat``, ``Reshape``), its few numbers are computed too. Fused operators of onnxruntime are taken for
    the standard ones that they replace. The weights' values are not needed, and may lie in files that are not there.

    Parameters
    ----------
    model
        Without functions of its own (`onnx.inliner` puts them into the graph).
    inputs
        By name: the shape of each graph input; those left out are unknown.
    """
    opset = next((o.version for o in model.opset_import if o.domain in STANDARD), 1)
    # Fused operators are replaced by those of the newest opset.
    newest = onnx.defs.onnx_opset_version()
    shapes = _start(model.graph, inputs)
    for node in model.graph.node:
        standard = as_standard(node, shapes.types)
        for part in standard:
            _take(shapes, part, opset if part is node else newest)
            _leave_open(shapes, part)
            yield part, shapes
        _leave_open(shapes, node)  # an unknown operator, and what fused ones make besides
        if not standard:
            yield node, shapes


def _start(graph: onnx.GraphProto, inputs: Mapping[str, Shape]) -> Shapes:
    shapes = Shapes()
    stored = {tensor.name for tensor in graph.initializer}
    for value in graph.input:
        if value.name not in stored:
            shapes.types[value.name] = value.type
            shapes.variable.add(value.name)
            if value.name in inputs:
                kind = value.type.tensor_type.elem_type
                shapes.types[value.name] = helper.make_tensor_type_proto(kind, inputs[value.name])
    for tensor in graph.initializer:
        _store(shapes, tensor.name, tensor)
    for sparse in graph.sparse_initializer:
        shapes.types[sparse.values.name] = helper.make_tensor_type_proto(sparse.values.data_type, list(sparse.dims))
    return shapes


def _store(shapes: Shapes, name: str, tensor: TensorProto) -> None:
    shapes.types[name] = helper.make_tensor_type_proto(tensor.data_type, list(tensor.dims))
    if elements(tensor) <= LARGEST_SHAPE and has_values(tensor):
        shapes.values[name] = tensor


def _take(shapes: Shapes, node: NodeProto, opset: int) -> None:
    """Find the types, and where they are few numbers the values, of a node's outputs."""
    if node.op_type == "Constant" and (tensor := _constant(node)) is not None:
        _store(shapes, node.output[0], tensor)
        return
    _mark_variable(shapes, node)
    shapes.types.update(_infer(shapes, node, opset))
    if node.op_type in {"Shape", "Size"}:
        _fold_shape(shapes, node)
    elif node.op_type in _FOLDED:
        _fold(shapes, node, opset)


def _mark_variable(shapes: Shapes, node: NodeProto) -> None:
    if any(name in shapes.variable for name in node.input):
        shapes.variable.update(node.output)


def _leave_open(shapes: Shapes, node: NodeProto) -> None:
    """Remember which operator an unknown shape goes back to."""
    _mark_variable(shapes, node)
    before = [shapes.gaps[name] for name in node.input if name in shapes.gaps]
    for name in node.output:
        if name and shapes.of(name) is None:
            shapes.gaps[name] = before[0] if before else node.op_type


def _constant(node: NodeProto) -> TensorProto | None:
    for attribute in node.attribute:
        value = helper.get_attribute_value(attribute)
        match attribute.name:
            case "value":
                tensor: TensorProto = value
                return tensor
            case "value_float" | "value_floats":
                return numpy_helper.from_array(np.array(value, np.float32))
            case "value_int" | "value_ints":
                return numpy_helper.from_array(np.array(value, np.int64))
    return None


def _infer(shapes: Shapes, node: NodeProto, opset: int) -> dict[str, TypeProto]:
    """Return what onnx infers of a node's outputs; nothing where it has no rule or its inputs contradict each other."""
    names = [name for name in node.input if name]
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, "")
        return onnx.shape_inference.infer_node_outputs(
            schema,
            node,
            {name: shapes.types.get(name, TypeProto()) for name in names},
            {name: shapes.values[name] for name in names if name in shapes.values},
            opset_imports=[helper.make_opsetid("", opset)],
        )
    except _NO_RULE:
        return {}


def _fold_shape(shapes: Shapes, node: NodeProto) -> None:
    shape = shapes.of(node.input[0])
    if shape is None:
        return
    given = {attribute.name: attribute.i for attribute in node.attribute}
    numbers = [math.prod(shape)] if node.op_type == "Size" else list(shape[given.get("start", 0) : given.get("end")])
    array = np.array(numbers[0] if node.op_type == "Size" else numbers, np.int64)
    _store(shapes, node.output[0], numpy_helper.from_array(array))


def _fold(shapes: Shapes, node: NodeProto, opset: int) -> None:
    """Compute a node whose inputs are few known numbers."""
    names = [name for name in node.input if name]
    if not names or not all(name in shapes.values for name in names):
        return
    if node.op_type in _GROWING and not _stays_small(shapes, node):
        return
    model = _alone(node, opset)
    try:
        found = ReferenceEvaluator(model).run(
            None, {name: numpy_helper.to_array(shapes.values[name]) for name in dict.fromkeys(names)}
        )
        arrays = [np.asarray(value) for value in found]
    except Exception:  # whatever a wrong graph makes of numpy; its shapes stay unknown
        return
    for name, array in zip([name for name in node.output if name], arrays, strict=True):
        if array.size <= LARGEST_SHAPE:
            _store(shapes, name, numpy_helper.from_array(array))


def _alone(node: NodeProto, opset: int) -> onnx.ModelProto:
    inputs = [onnx.ValueInfoProto(name=name) for name in dict.fromkeys(node.input) if name]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    graph = helper.make_graph([node], "one", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def _stays_small(shapes: Shapes, node: NodeProto) -> bool:
    if node.op_type == "Range":
        start, limit, delta = (float(numpy_helper.to_array(shapes.values[name])) for name in node.input)
        return delta != 0 and (limit - start) / delta <= LARGEST_SHAPE
    shape = shapes.of(node.output[0])
    return shape is not None and math.prod(shape) <= LARGEST_SHAPE
