"""A row is a property of its image alone, also where a model quantises over its batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from evaljobs.errors import ModelErrorKind
from evaljobs.models.options import Runtime
from evaljobs.models.session import Session


def write(network: Any, batch: int | str) -> Path:
    """Write a dynamically quantised layer, as onnxruntime's quantize_dynamic makes it."""
    rng = np.random.default_rng(0)
    weights = rng.integers(-127, 128, (8 * 6 * 3, 5)).astype(np.int8)
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("DynamicQuantizeLinear", ["flat"], ["q", "scale", "zero"]),
        helper.make_node("MatMulInteger", ["q", "w", "zero"], ["products"]),
        helper.make_node("Cast", ["products"], ["whole"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["whole", "scale"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "quantised",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, 8, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 5])],
        [numpy_helper.from_array(weights, "w")],
    )
    path: Path = network.save(graph, "quantised.onnx")
    return path


def wrap(network: Any, where: str) -> None:
    """Hide the quantisation in a function of the model, in a branch of an If, or in a branch within a function."""
    model = onnx.load(network.folder / "quantised.onnx")
    opset = helper.make_opsetid("", 17)
    nodes = list(model.graph.node)[1:]
    names = ["flat", "w"]
    if where != "function":
        bodies = [
            helper.make_graph(nodes, branch, [], [onnx.ValueInfoProto(name="y")])
            for branch in ("then_branch", "else_branch")
        ]
        always = helper.make_tensor("always", TensorProto.BOOL, [], [True])
        nodes = [
            helper.make_node("Constant", [], ["always"], value=always),
            helper.make_node("If", ["always"], ["y"], then_branch=bodies[0], else_branch=bodies[1]),
        ]
    if where != "branch":
        model.functions.append(helper.make_function("local", "Layer", names, ["y"], nodes, [opset]))
        model.opset_import.append(helper.make_opsetid("local", 1))
        nodes = [helper.make_node("Layer", names, ["y"], domain="local")]
    first = model.graph.node[0]
    del model.graph.node[:]
    model.graph.node.extend([first, *nodes])
    onnx.save(model, network.folder / "quantised.onnx")


@pytest.mark.parametrize("where", ["function", "branch", "branch in a function"])
def test_hidden_quantisation_is_found(network: Any, block: NDArray[np.uint8], where: str) -> None:
    """Exporters wrap layers into functions: the operators in them count as those of the graph."""
    write(network, "n")
    (plain,) = network.resolve({"path": "quantised.onnx"}).models
    expected = Session(plain, Runtime()).run(block)["embedding"]
    wrap(network, where)
    (model,) = network.resolve({"path": "quantised.onnx"}).models
    assert model.digest != plain.digest
    assert model.batch_size == 1
    assert any("DynamicQuantizeLinear" in note for note in model.notes)
    rows = Session(model, Runtime()).run(block)["embedding"]
    assert rows.tobytes() == expected.tobytes()


def test_row_does_not_depend_on_the_other_images(network: Any, block: NDArray[np.uint8]) -> None:
    """Alone, in company and in another order: the same bytes; and the batch of one is said."""
    write(network, "n")
    (model,) = network.resolve({"path": "quantised.onnx", "batch_size": "4"}).models
    assert model.batch_size == 1
    assert any("DynamicQuantizeLinear" in note and "batch_size 4 is not used" in note for note in model.notes)
    session = Session(model, Runtime())
    together = session.run(block)["embedding"]
    assert len(np.unique(together, axis=0)) == len(block)
    for i in range(len(block)):
        assert session.run(block[i : i + 1])["embedding"].tobytes() == together[i].tobytes()


@pytest.mark.parametrize(("batch", "refused"), [(1, 0), (7, 1)])
def test_fixed_batch_that_mixes_images_is_refused(network: Any, batch: int, refused: int) -> None:
    """Nothing can make its rows independent: it is refused, with what to do."""
    write(network, batch)
    resolved = network.resolve({"path": "quantised.onnx"})
    assert (len(resolved.models), len(resolved.refused)) == (1 - refused, refused)
    for model in resolved.refused:
        assert model.kind == ModelErrorKind.UNSUPPORTED_INPUT
        assert "export it with a batch of 1" in model.message
