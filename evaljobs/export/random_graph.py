"""Dropout in an exported graph: whether it is there and random, and the same graph without it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from evaljobs.errors import ExportError
from evaljobs.models.session import sample_with_dropout

_ZERO = "evaljobs_ratio_zero"
# At a probability of 0.001 and a hundred values, two runs in five are without any difference; not so many in a row.
_RUNS = 50


def check_random(file: Path, proto: onnx.ModelProto, shape: Sequence[int], probabilities: Sequence[float]) -> None:
    """Make sure that a graph has each dropout of the module, and that two runs of it differ.

    Parameters
    ----------
    file
        The written graph.
    shape
        (channels, height, width) of its input.
    probabilities
        Of the dropout that the module came by, in order.

    Raises
    ------
    ExportError
        If the exporter lost one, or nothing is random when it runs.
    """
    found = [_ratio(proto, node) for node in proto.graph.node if node.op_type == "Dropout"]
    if len(found) != len(probabilities) or not np.allclose(found, probabilities):
        raise ExportError(
            f"the exporter wrote dropout with the probabilities {_list(found)}, the module has {_list(probabilities)}; "
            "nothing was written"
        )
    noise = np.random.default_rng(0).standard_normal((2, *shape), dtype=np.float32)
    samples = sample_with_dropout(file, {proto.graph.input[0].name: noise}, _RUNS)
    first = next(samples)
    if all(np.array_equal(first, other) for other in samples):
        raise ExportError("the dropout is in the graph, but all runs of it are equal; nothing was written")


def _list(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values) or "(none)"


def _ratio(proto: onnx.ModelProto, node: onnx.NodeProto) -> float:
    """Return the probability of a dropout in training mode; NaN where it is not known, 0 where it is off."""
    constants = {t.name: t for t in proto.graph.initializer}
    constants |= {n.output[0]: n.attribute[0].t for n in proto.graph.node if n.op_type == "Constant"}
    inputs = [onnx.numpy_helper.to_array(constants[name]) if name in constants else None for name in node.input[1:]]
    if len(inputs) < 2 or inputs[1] is None or not inputs[1].item():
        return 0.0
    return math.nan if inputs[0] is None else float(inputs[0].item())


def without_dropout(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy in which every dropout keeps everything: what the module gives in evaluation mode."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    copy.graph.initializer.append(onnx.numpy_helper.from_array(np.array(0, np.float32), _ZERO))
    for node in copy.graph.node:
        if node.op_type == "Dropout":
            node.input[1] = _ZERO
    return copy
