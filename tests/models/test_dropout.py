"""Dropout that is there, and dropout that acts, are told apart in every opset."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from evaljobs.models.dropout import count_dropout


def model(opset: int, *inputs: str, constants: dict[str, Any] | None = None, **attributes: Any) -> ModelProto:
    nodes = [
        helper.make_node("Constant", [], ["on"], value=numpy_helper.from_array(np.array(True))),
        helper.make_node("Not", ["on"], ["computed"]),
        helper.make_node("Dropout", ["x", *inputs], ["y"], **attributes),
    ]
    shape = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()]
    graph = helper.make_graph(nodes, "g", shape[:1], shape[1:], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


STORED = {"ratio": np.float32(0.5), "true": np.array(True), "false": np.array(False)}


@pytest.mark.parametrize(
    ("found", "active"),
    [
        (model(17), 0),
        (model(17, "ratio", constants=STORED), 0),
        (model(17, "ratio", "true", constants=STORED), 1),
        (model(17, "ratio", "false", constants=STORED), 0),
        (model(17, "", "on"), 1),
        (model(17, "", "computed"), 1),
        (model(10, ratio=0.5), 0),
        (model(6, ratio=0.5), 1),
        (model(6, ratio=0.5, is_test=1), 0),
    ],
)
def test_dropout_is_counted(found: ModelProto, active: int) -> None:
    """A training mode may be stored, a constant or computed, and in old opsets it is an attribute or none."""
    assert count_dropout(found) == (1, active)


def test_no_dropout(network: Any) -> None:
    """Most exports have none left."""
    import onnx

    assert count_dropout(onnx.load(network.write())) == (0, 0)
