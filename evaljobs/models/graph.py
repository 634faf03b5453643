"""Walking and cutting ONNX graphs."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx

# No shape has more elements; initializers up to here may be needed to know shapes.
LARGEST_SHAPE = 1024
# Resize has factors for its axes, Range its ends: few numbers that are no integers.
_LARGEST_SCALES = 16
# Attributes that hold neither a tensor nor a graph; old files name no types.
_PLAIN = frozenset(
    getattr(onnx.AttributeProto, name) for name in ("FLOAT", "INT", "STRING", "FLOATS", "INTS", "STRINGS")
)
_VALUES = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")
_INTEGERS = frozenset({onnx.TensorProto.INT32, onnx.TensorProto.INT64, onnx.TensorProto.BOOL})


def attribute_tensors(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    """Yield the tensors that a node holds itself."""
    for attribute in node.attribute:
        if attribute.type in _PLAIN:
            continue
        if attribute.HasField("t"):
            yield attribute.t
        if attribute.HasField("sparse_tensor"):
            yield attribute.sparse_tensor.values
        yield from attribute.tensors


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Yield the bodies of a node: branches of an If, the body of a Loop or Scan."""
    for attribute in node.attribute:
        if attribute.type in _PLAIN:
            continue
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor stored in a model, those of bodies and functions included."""
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        yield from _node_tensors(function.node)


def all_nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Yield every node of a model, those of bodies and functions included."""
    yield from _with_bodies(model.graph.node)
    for function in model.functions:
        yield from _with_bodies(function.node)


def _with_bodies(nodes: Sequence[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for body in subgraphs(node):
            yield from _with_bodies(body.node)


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    yield from (sparse.values for sparse in graph.sparse_initializer)
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Sequence[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        yield from attribute_tensors(node)
        for body in subgraphs(node):
            yield from _graph_tensors(body)


def is_external(tensor: onnx.TensorProto) -> bool:
    """Return whether a tensor's data lie in another file."""
    return tensor.data_location == onnx.TensorProto.EXTERNAL


def has_values(tensor: onnx.TensorProto) -> bool:
    """Return whether a tensor's values are in the model, all of them."""
    if is_external(tensor):
        return False
    stored = len(tensor.raw_data) or sum(len(getattr(tensor, name)) for name in _VALUES)
    return stored > 0 or elements(tensor) == 0


def elements(tensor: onnx.TensorProto) -> int:
    """Return the number of elements."""
    return math.prod(tensor.dims)


def embed_shapes(model: onnx.ModelProto, folder: Path, most: int = LARGEST_SHAPE) -> None:
    """Read small external tensors into the model, in place: those of at most so many elements.

    Exporters that put everything outside put the shapes for Reshape there as well, where onnxruntime does not see them
    in time: it refuses such a file.

    Raises
    ------
    OSError, ValueError
        If the data cannot be read.
    """
    for tensor in tensors(model):
        if is_external(tensor) and elements(tensor) <= most:
            # onnx's own loader refuses links, which is how download caches hold such files.
            tensor.raw_data = _read_external(tensor, folder)
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]


def _read_external(tensor: onnx.TensorProto, folder: Path) -> bytes:
    where = {entry.key: entry.value for entry in tensor.external_data}
    itemsize: int = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    length = int(where.get("length", elements(tensor) * itemsize))
    with (folder / where["location"]).open("rb") as file:
        file.seek(int(where.get("offset", 0)))
        data: bytes = file.read(length)
    if len(data) != length:
        raise ValueError(f"{where['location']} ends within the tensor {tensor.name!r}: {len(data)} of {length} bytes")
    return data


def drop_values(model: onnx.ModelProto) -> None:
    """Drop the values of all tensors that no shape follows from, in place: their types and shapes stay."""
    for tensor in tensors(model):
        limit = LARGEST_SHAPE if tensor.data_type in _INTEGERS else _LARGEST_SCALES
        if elements(tensor) > limit:
            tensor.CopyFrom(onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims))


def follow_links(model: onnx.ModelProto, folder: Path) -> Path:
    """Point the external data of a model to the files behind links, in place; return the folder they are relative to.

    Download caches keep data elsewhere and link to them; onnxruntime refuses links that leave the folder.
    """
    entries = [e for t in tensors(model) if is_external(t) for e in t.external_data if e.key == "location"]
    if not entries:
        return folder
    real = [(folder / entry.value).resolve() for entry in entries]
    root = Path(os.path.commonpath([file.parent for file in real]))
    for entry, file in zip(entries, real, strict=True):
        entry.value = file.relative_to(root).as_posix()
    return root


def cut(model: onnx.ModelProto, outputs: Sequence[str]) -> None:
    """Make the named tensors the outputs of a model, in place, and drop what no output needs any more.

    An intermediate tensor becomes an output without a type: the runtime infers it.
    """
    graph = model.graph
    declared = {value.name: value for value in graph.output}
    kept = [declared.get(name) or onnx.ValueInfoProto(name=name) for name in outputs]
    del graph.output[:]
    graph.output.extend(kept)
    needed = _drop_dead_nodes(graph)
    used = [t for t in graph.initializer if t.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(used)


def _drop_dead_nodes(graph: onnx.GraphProto) -> set[str]:
    """Drop the nodes that no output needs; return the names of the tensors that are needed.

    Nodes of a valid graph stand in topological order, so one pass from the end suffices.
    """
    needed = {value.name for value in graph.output}
    alive = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            alive.append(node)
            needed |= used_names(node)
    del graph.node[:]
    graph.node.extend(reversed(alive))
    return needed


def used_names(node: onnx.NodeProto) -> set[str]:
    """Return the names of the tensors that a node needs, those that its bodies use included."""
    names = set(node.input)
    for body in subgraphs(node):
        names |= {value.name for value in body.output}
        for inner in body.node:
            names |= used_names(inner)
    return names
