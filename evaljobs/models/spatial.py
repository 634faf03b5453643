"""Where a graph still knows places: its spatial layers that all of an output goes through, the last one first."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

import onnx
import onnx.inliner

from evaljobs.errors import ModelError, ModelErrorKind
from evaljobs.models.graph import cut, drop_values, embed_shapes, used_names
from evaljobs.models.grid import Form, Layer, grid_of, has_one_stride
from evaljobs.models.inspect import read_proto
from evaljobs.models.model import Model
from evaljobs.models.shapes import Shape, Shapes, walk

# What has its channels on axis 1, and what on the last one: by these the form of a tensor of four axes is known.
_FIRST = frozenset(
    (
        *("Conv", "ConvTranspose", "FusedConv", "QLinearConv", "ConvInteger", "BatchNormalization"),
        *("InstanceNormalization", "GroupNormalization", "MaxPool", "AveragePool", "LpPool", "LRN"),
        *("QLinearAveragePool", "DepthToSpace", "SpaceToDepth", "PRelu"),
    )
)
_LAST = frozenset({"Gemm", "LayerNormalization", "MatMul", "SkipLayerNormalization"})
# What moves numbers to other axes: behind it a tensor of three axes need not have a token in each row.
_MOVES = frozenset({"Expand", "Flatten", "Reshape", "Squeeze", "Unsqueeze"})
_FORMS: dict[tuple[int, ...], Form] = {(0, 2, 3, 1): "nhwc", (0, 3, 1, 2): "nchw"}
_JOINED: dict[int, Form] = {1: "nchw", -3: "nchw", 3: "nhwc", -1: "nhwc"}
_EITHER: tuple[Form, ...] = ("nchw", "nhwc")
_LISTED = 6


class Outline(NamedTuple):
    """A graph without weights, and what is known of its tensors for one shape of the image."""

    proto: onnx.ModelProto
    shapes: Shapes
    image: str
    image_shape: Shape
    places: tuple[int, int]
    output: str


def outline_of(model: Model, output: str) -> Outline:
    """Read the part of a model that one of its tensors needs, and infer its shapes.

    Raises
    ------
    ModelError
        CORRUPT, if the file cannot be read.
    """
    proto = read_proto(model.path)
    embed_shapes(proto, model.path.parent)
    drop_values(proto)
    if proto.functions:
        proto = onnx.inliner.inline_local_functions(proto)
    cut(proto, [output])
    geometry = model.pixels.geometry
    places = geometry.height, geometry.width
    axes = (geometry.channels, *places) if model.input.layout == "nchw" else (*places, geometry.channels)
    shape = (model.input.batch or 1, *axes)
    shapes = Shapes()
    for _, shapes in walk(proto, {model.input.name: shape}):  # noqa: B007 - what is known at the end
        pass
    return Outline(proto, shapes, model.input.name, shape, places, output)


def spatial_layers(known: Outline) -> Iterator[Layer]:
    """Yield the layers that the output follows from alone, the last one first; of dropout what it is given."""
    makers = _makers(known)
    for node in reversed(known.proto.graph.node):
        if node.op_type == "Dropout":
            continue
        for name in node.output:
            layer = _layer(known, name, makers) if name in known.shapes.variable else None
            if layer is not None and follows_from(known.proto.graph, known.output, name, known.image):
                yield layer


def named_layer(known: Outline, name: str) -> Layer:
    """Return a layer by its name.

    Raises
    ------
    ModelError
        UNSUPPORTED_OUTPUT, if there is no such tensor, it has no places, or the output follows not from it alone.
    """
    makers = _makers(known)
    if name not in makers:
        near = difflib.get_close_matches(name, makers, n=3, cutoff=0.5)
        hint = f"The nearest names are {', '.join(map(repr, near))}" if near else _advice(known)
        raise _unusable(
            f"there is no tensor {name!r} among the {len(makers)} that the output {known.output!r} needs. {hint}"
        )
    shape, layer = known.shapes.of(name), _layer(known, name, makers)
    if layer is None:
        found = "has a shape that is not known" if shape is None else f"has the shape {list(shape)}"
        raise _unusable(
            f"the tensor {name!r} {found}; expected places: [N, C, H, W] or [N, H, W, C] with H, W > 1, or "
            f"[N, T, C] with T tokens in a grid, in the proportions of the image, {known.places[0]} x "
            f"{known.places[1]}. {_advice(known)}"
        )
    if not follows_from(known.proto.graph, known.output, name, known.image):
        raise _unusable(
            f"the output {known.output!r} does not follow from the tensor {name!r} alone: another path passes it by. "
            f"{_advice(known)}"
        )
    return layer


def no_layer(known: Outline) -> ModelError:
    """Return what is said of a model without any layer that can be explained."""
    shapes = ((name, known.shapes.of(name)) for node in reversed(known.proto.graph.node) for name in node.output)
    told = [f"{name!r} {list(shape) if shape else 'of unknown shape'}" for name, shape in islice(shapes, _LISTED)]
    return _unusable(
        f"found no spatial layer: no tensor of four axes [N, C, H, W] with H, W > 1, or of tokens in a grid, that the "
        f"output {known.output!r} follows from alone. Its last tensors are {', '.join(told) or 'none'}. A model that "
        "sees the image as one vector cannot say where it looks; leave it out with `models`"
    )


def follows_from(graph: onnx.GraphProto, output: str, name: str, image: str) -> bool:
    """Say whether an output needs a tensor, and nothing else that depends on the image, sizes aside."""
    makers = {made: node for node in graph.node for made in node.output if made}
    if output == name:
        return True
    waiting, seen, reached = [output], {name}, False
    while waiting:
        wanted = waiting.pop()
        if wanted == image:
            return False
        node = makers.get(wanted)
        # How large a tensor is depends on no pixel.
        if node is None or node.op_type in {"Shape", "Size"}:
            continue
        used = used_names(node)
        reached = reached or name in used
        waiting += used - seen
        seen |= used
    return reached


def _makers(known: Outline) -> dict[str, onnx.NodeProto]:
    return {made: node for node in known.proto.graph.node for made in node.output if made}


def _layer(known: Outline, name: str, makers: Mapping[str, onnx.NodeProto]) -> Layer | None:
    shape = known.shapes.of(name)
    if shape is None or len(shape) not in {3, 4} or shape[0] != known.image_shape[0] or min(shape) < 1:
        return None
    if len(shape) == 3:
        return _tokens(known, name, shape, makers)
    node = _source(known, name, makers)
    sure = node is not None and node.op_type in _FIRST
    for form in _forms(known, node):
        channels, height, width = shape[1:] if form == "nchw" else (shape[3], *shape[1:3])
        # Four axes may be the heads of an attention as well; what convolves has places, whatever their proportions.
        if min(channels, height, width) > 1 and (sure or has_one_stride(height, width, known.places)):
            return Layer(name, form, channels, height, width, dtype=_dtype(known, name))
    return None


def _dtype(known: Outline, name: str) -> int:
    return int(known.shapes.types[name].tensor_type.elem_type)


def _tokens(known: Outline, name: str, shape: Shape, makers: Mapping[str, onnx.NodeProto]) -> Layer | None:
    """Return a layer of tokens, where their number is that of a grid with the image's proportions."""
    node = _source(known, name, makers)
    if node is None or node.op_type in _MOVES:
        return None
    grid = grid_of(shape[1], known.places)
    if grid is None or shape[2] < 2:
        return None
    return Layer(name, "tokens", shape[2], grid.height, grid.width, grid.skipped, _dtype(known, name))


def _forms(known: Outline, node: onnx.NodeProto | None) -> tuple[Form, ...]:
    """Return where a tensor of four axes may have its channels, by the operator that its axes come from."""
    kind = "" if node is None else node.op_type
    given = {} if node is None else {attribute.name: attribute for attribute in node.attribute}
    found: Form | None = None
    if kind in _FIRST:
        found = "nchw"
    elif kind == "Transpose":
        # Other orders exchange height and width, or tokens and heads.
        found = _FORMS.get(tuple(given["perm"].ints)) if "perm" in given else None
        return () if found is None else (found,)
    elif kind == "Concat":
        found = _JOINED.get(given["axis"].i)
    elif kind == "LayerNormalization":
        found = "nhwc" if "axis" not in given or given["axis"].i in {-1, 3} else None
    elif kind == "MatMul" and node is not None and all(name in known.shapes.variable for name in node.input):
        return ()  # of an attention
    elif kind in _LAST:
        found = "nhwc"
    return _EITHER if found is None else (found,)


def _source(known: Outline, name: str, makers: Mapping[str, onnx.NodeProto]) -> onnx.NodeProto | None:
    """Return the operator that a tensor's axes come from: what works number by number is passed over."""
    telling = _FIRST | _LAST | _MOVES | {"Transpose"}
    shape = known.shapes.of(name)
    for _ in range(len(makers)):
        node = makers.get(name)
        if node is None or node.op_type in telling:
            return node
        same = [n for n in node.input if n in known.shapes.variable and known.shapes.of(n) == shape]
        if not same:
            return node
        name = same[0]
    return None


def _advice(known: Outline) -> str:
    some = [layer.describe() for layer in islice(spatial_layers(known), _LISTED)]
    if not some:
        return "It has no spatial layer that its output follows from alone"
    return f"Layers that can be named: {'; '.join(some)}"


def _unusable(message: str) -> ModelError:
    return ModelError(ModelErrorKind.UNSUPPORTED_OUTPUT, message)
