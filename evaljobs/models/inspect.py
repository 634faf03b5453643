"""What an ONNX file holds, without running it: inputs, outputs, metadata, size."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # onnx types its messages, protobuf does not

from evaljobs.errors import ModelError, ModelErrorKind
from evaljobs.models.dropout import count_dropout
from evaljobs.models.graph import LARGEST_SHAPE, all_nodes, attribute_tensors, elements, is_external, tensors
from evaljobs.models.model import Dropout

Dim = int | str | None

# What counts as a parameter: no shapes, indices or texts.
_NO_PARAMETERS = {onnx.TensorProto.INT64, onnx.TensorProto.BOOL, onnx.TensorProto.STRING}
# Operators that leave each number what it is, or round it.
_PASSES_ON = frozenset(
    {
        "Cast",
        "DequantizeLinear",
        "Dropout",
        "Flatten",
        "Identity",
        "QuantizeLinear",
        "Reshape",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    }
)
# What stands in place of a file that Git LFS has not fetched.
_LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class Tensor:
    """A tensor of a graph.

    ``dtype`` is numpy's name (``float32``), or ``unknown``, or the kind of a value that is no tensor (``sequence``).
    ``shape`` is None where the rank is unknown; an axis is a number, a symbol, or None.
    """

    name: str
    dtype: str
    shape: tuple[Dim, ...] | None

    def describe(self) -> str:
        """Return name, dtype and shape for a message."""
        axes = "of unknown rank" if self.shape is None else f"[{', '.join(str(d or '?') for d in self.shape)}]"
        return f"{self.name!r} {self.dtype} {axes}"

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Tensor:
        """Return the tensor that was written as JSON."""
        return cls(data["name"], data["dtype"], None if data["shape"] is None else tuple(data["shape"]))


@dataclass(frozen=True)
class Graph:
    """The facts of an ONNX file.

    Attributes
    ----------
    inputs
        The real ones: initializers, which old files list among the inputs, left out.
    parameters
        Elements of all stored weights (initializers and constants), apart from int64, bool and text.
    external
        The files of its external data, as locations relative to the file's folder, in it or below, sorted.
    external_bytes
        How many bytes each of them has at least, by where its tensors are said to end.
    op_types
        Of all nodes, those of bodies and functions included.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    metadata: dict[str, str]
    opset: int
    parameters: int
    external: tuple[str, ...]
    external_bytes: tuple[int, ...]
    op_types: frozenset[str]
    dropout: Dropout

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` takes."""
        return {**asdict(self), "op_types": sorted(self.op_types)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Graph:
        """Return the facts that were written as JSON."""
        return cls(
            inputs=tuple(map(Tensor.from_json, data["inputs"])),
            outputs=tuple(map(Tensor.from_json, data["outputs"])),
            metadata=data["metadata"],
            opset=data["opset"],
            parameters=data["parameters"],
            external=tuple(data["external"]),
            external_bytes=tuple(data["external_bytes"]),
            op_types=frozenset(data["op_types"]),
            dropout=Dropout(*data["dropout"]),
        )


def inspect(path: Path) -> Graph:
    """Read the facts of an ONNX file; its external data is not looked for.

    Raises
    ------
    ModelError
        CORRUPT, if it cannot be read, is no ONNX model, or names external data outside its folder.
    """
    proto = read_proto(path)
    stored_tensors, nodes = list(tensors(proto)), list(all_nodes(proto))
    weights = [t for t in stored_tensors if t.data_type not in _NO_PARAMETERS]
    stored = {t.name for t in proto.graph.initializer} | {t.values.name for t in proto.graph.sparse_initializer}
    external = _external_files(path, stored_tensors)
    return Graph(
        inputs=tuple(_tensor(v) for v in proto.graph.input if v.name not in stored),
        outputs=tuple(_tensor(v) for v in proto.graph.output),
        metadata={_text(entry.key): _text(entry.value) for entry in proto.metadata_props},
        opset=next((o.version for o in proto.opset_import if o.domain in {"", "ai.onnx"}), 0),
        parameters=sum(elements(t) for t in weights),
        external=tuple(external),
        external_bytes=tuple(external.values()),
        op_types=frozenset(node.op_type for node in nodes),
        dropout=count_dropout(proto),
    )


def read_proto(path: Path) -> onnx.ModelProto:
    """Parse an ONNX file without its external data.

    Raises
    ------
    ModelError
        CORRUPT, if it cannot be read or is no ONNX model.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _corrupt(f"{path.name} cannot be read: {error.strerror or error}") from None
    if not data:
        raise _corrupt(f"{path.name} is empty (0 bytes); export the model again")
    if data.startswith(_LFS_POINTER):
        raise _corrupt(f"{path.name} is a pointer of Git LFS and not the file itself; run `git lfs pull` in its folder")
    try:
        proto: onnx.ModelProto = onnx.ModelProto.FromString(data)
    except DecodeError:
        raise _corrupt(f"{path.name} is no ONNX model, or damaged ({len(data):,} bytes); export it again") from None
    # Other files may parse too, into fields that no model lacks.
    if not proto.graph.node or not proto.graph.output or not (proto.opset_import or proto.functions):
        raise _corrupt(
            f"{path.name} is no ONNX model: found no graph with nodes, outputs and an opset; export it again"
        )
    return proto


def infer_tensor(path: Path, name: str) -> Tensor:
    """Look up any tensor of the main graph with its inferred shape.

    Where inference finds nothing the dtype is ``unknown`` and the shape None.

    Raises
    ------
    ModelError
        CORRUPT, if the file cannot be read; UNSUPPORTED_OUTPUT, if no node makes such a tensor.
    """
    proto = read_proto(path)
    made = {made for node in proto.graph.node for made in node.output if made}
    if name not in made:
        raise _no_tensor(name, [output.name for output in proto.graph.output], sorted(made))
    _drop_weights(proto.graph)
    try:
        inferred = onnx.shape_inference.infer_shapes(proto).graph
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError):
        inferred = proto.graph  # operators that onnx does not know: what the file says itself
    for value in (*inferred.output, *inferred.value_info):
        if value.name == name:
            return _tensor(value)
    return Tensor(name, "unknown", None)


def find_maker(path: Path, name: str) -> str:
    """Return the operator that makes the values of a tensor: what only moves or converts them is passed over.

    Empty where no node makes it.

    Raises
    ------
    ModelError
        CORRUPT, if the file cannot be read.
    """
    makers = {made: node for node in read_proto(path).graph.node for made in node.output if made}
    # A graph is in topological order and without circles, or it cannot run.
    for _ in range(len(makers)):
        if name not in makers or makers[name].op_type not in _PASSES_ON or not makers[name].input:
            break
        name = makers[name].input[0]
    return str(makers[name].op_type) if name in makers else ""


def _no_tensor(name: str, outputs: Sequence[str], made: Sequence[str]) -> ModelError:
    near = difflib.get_close_matches(name, dict.fromkeys([*outputs, *made]), n=3, cutoff=0.5)
    hint = (
        f"the nearest names are {', '.join(map(repr, near))}"
        if near
        else f"its outputs are {', '.join(map(repr, outputs))}"
    )
    return ModelError(
        ModelErrorKind.UNSUPPORTED_OUTPUT,
        f"there is no tensor {name!r} among the {len(made)} of the graph; {hint}",
    )


def _corrupt(message: str) -> ModelError:
    return ModelError(ModelErrorKind.CORRUPT, message)


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return Tensor(value.name, kind.removesuffix("_type") if kind else "unknown", None)
    tensor = value.type.tensor_type
    shape = tuple(_dim(d) for d in tensor.shape.dim) if tensor.HasField("shape") else None
    return Tensor(value.name, dtype_name(tensor.elem_type), shape)


def _dim(dim: onnx.TensorShapeProto.Dimension) -> Dim:
    # Some exporters write -1 or 0 for an open axis.
    if dim.WhichOneof("value") == "dim_value":
        return dim.dim_value if dim.dim_value > 0 else None
    return dim.dim_param or None


def dtype_name(elem_type: int) -> str:
    """Return numpy's name of an ONNX element type: ``float32``, ``bfloat16``; ``unknown`` where there is none."""
    if elem_type == onnx.TensorProto.UNDEFINED or elem_type not in onnx.TensorProto.DataType.values():
        return "unknown"
    if elem_type == onnx.TensorProto.STRING:
        return "string"
    return str(onnx.helper.tensor_dtype_to_np_dtype(elem_type))


def _external_files(path: Path, stored: Sequence[onnx.TensorProto]) -> dict[str, int]:
    """Return the files of external data by location, sorted, with the byte before which the last tensor ends.

    Files outside the model's folder are refused. The length of a tensor may be left out, and then only says where it
    begins.
    """
    ends: dict[str, int] = {}
    for tensor in filter(is_external, stored):
        place = {entry.key: _text(entry.value) for entry in tensor.external_data}
        if "location" in place:
            location = place["location"]
            ends[location] = max(ends.get(location, 0), _end(path, tensor.name, place))
    return {_external_location(path, location): ends[location] for location in sorted(ends)}


def _end(path: Path, name: str, place: dict[str, str]) -> int:
    offset, length = place.get("offset", "0"), place.get("length", "0")
    if not offset.isdecimal() or not length.isdecimal():
        raise _corrupt(f"{path.name}: the external data of {name!r} are said to be {length!r} bytes from {offset!r}")
    return int(offset) + int(length)


def _text(value: str | bytes) -> str:
    """Return text; protobuf hands bytes over where a file holds what is not UTF-8."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _external_location(path: Path, location: str) -> str:
    relative = PurePosixPath(location.replace("\\", "/"))
    if not location or relative.is_absolute() or ":" in location or ".." in relative.parts:
        raise _corrupt(f"{path.name} points to external data outside its folder ({location!r}); it is not opened")
    return relative.as_posix()


def _drop_weights(graph: onnx.GraphProto) -> None:
    """Replace large weights by inputs of the same shape, so that inference copies no weights."""
    known = {value.name for value in graph.input}
    kept = []
    for t in graph.initializer:
        if elements(t) <= LARGEST_SHAPE and not is_external(t):
            kept.append(t)
        elif t.name not in known:
            graph.input.append(onnx.helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)))
    del graph.initializer[:]
    graph.initializer.extend(kept)
    for node in graph.node:
        for tensor in attribute_tensors(node):
            if elements(tensor) > LARGEST_SHAPE and node.op_type == "Constant":
                graph.input.append(
                    onnx.helper.make_tensor_value_info(node.output[0], tensor.data_type, list(tensor.dims))
                )
                node.Clear()
    nodes = [node for node in graph.node if node.op_type]
    del graph.node[:]
    graph.node.extend(nodes)
