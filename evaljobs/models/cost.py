"""What one image costs a model: its multiply-accumulates."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.inliner

from evaljobs.models.graph import all_nodes, cut, drop_values, embed_shapes
from evaljobs.models.inspect import read_proto
from evaljobs.models.macs import UncountableError, node_macs
from evaljobs.models.model import Cost
from evaljobs.models.shapes import Shape, walk

# Counts changes of what is counted: what was counted before one is counted again.
COST_VERSION = 2

# What a graph that no checker has seen makes of onnx. It may run for all that, so it is not refused.
_WRONG_GRAPH = (RuntimeError, OSError, ValueError, LookupError)


def structure_of(path: Path, outputs: tuple[str, ...]) -> bytes | None:
    """Return the part of a graph that some tensors need, without weights: the same bytes for all its checkpoints.

    Parameters
    ----------
    path
        The ONNX file. Of its external data only tensors of up to 1,024 elements are read, which may be shapes.
    outputs
        Tensors of the main graph.

    Returns
    -------
    bytes or None
        A serialised model. Its weights have types and shapes, but no values. None where it cannot be made.

    Raises
    ------
    ModelError
        CORRUPT, if the file cannot be read.
    """
    model = read_proto(path)
    try:
        embed_shapes(model, path.parent)
        drop_values(model)
        cut(model, outputs)
        _drop_remarks(model)
        structure: bytes = model.SerializeToString(deterministic=True)
    except _WRONG_GRAPH:
        return None
    return structure


def _drop_remarks(model: onnx.ModelProto) -> None:
    """Drop what exporters tell people, stack traces say, and what is written into one checkpoint alone, in place."""
    messages: list[onnx.ModelProto | onnx.GraphProto | onnx.NodeProto] = [model, model.graph, *all_nodes(model)]
    for told in messages:
        told.ClearField("doc_string")
        told.ClearField("metadata_props")


def count_cost(structure: bytes | None, input_name: str, shape: Shape, outputs: tuple[str, ...]) -> Cost:
    """Count what the outputs of a structure need for an input of one shape.

    Parameters
    ----------
    structure
        What `structure_of` returns.
    input_name, shape
        The image input, its first axis the batch; the count is divided by it.
    outputs
        The structure's.
    """
    if structure is None:
        return Cost(None, "its graph or its external data cannot be read", {})
    try:
        model = onnx.ModelProto.FromString(structure)
        if model.functions:
            model = onnx.inliner.inline_local_functions(model)
        return _count(model, input_name, shape, outputs)
    except _WRONG_GRAPH as error:
        return Cost(None, f"onnx cannot read its graph ({type(error).__name__})", {})


def _count(model: onnx.ModelProto, input_name: str, shape: Shape, outputs: tuple[str, ...]) -> Cost:
    macs, unknown = 0, ""
    found: dict[str, Shape] = {}
    for node, shapes in walk(model, {input_name: shape}):
        try:
            macs += node_macs(node, shapes)
        except UncountableError as error:
            unknown = unknown or str(error)
        for name in set(outputs).intersection(node.output):
            if (known := shapes.of(name)) is not None:
                found[name] = known
    return Cost(None if unknown else macs / max(shape[0], 1), unknown, found)
