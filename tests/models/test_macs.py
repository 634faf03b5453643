"""Multiply-accumulates are those of the definition, counted by hand, or are said not to be known."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from evaljobs.models.cost import count_cost, structure_of
from evaljobs.models.model import Cost

X = (1, 4, 9, 8)


def cost(
    path: Path,
    nodes: list[NodeProto],
    weights: dict[str, tuple[int, ...]] | None = None,
    shape: tuple[int, ...] = X,
    constants: dict[str, Any] | None = None,
    opset: int = 21,
) -> Cost:
    """Count a graph from ``x`` to ``y`` whose axes are all open."""
    given = {name: np.ones(dims, np.float32) for name, dims in (weights or {}).items()}
    given |= {name: np.asarray(value) for name, value in (constants or {}).items()}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None] * len(shape))],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(value, name) for name, value in given.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1), helper.make_opsetid("test", 1)]
    path /= "model.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())
    return count_cost(structure_of(path, ("y",)), "x", shape, ("y",))


def node(operator: str, inputs: str = "x w", output: str = "y", **attributes: Any) -> NodeProto:
    return helper.make_node(operator, inputs.split(" "), output.split(" "), **attributes)


def products(x: tuple[int, ...], w: tuple[int, ...], out: tuple[int, ...]) -> int:
    """Count the products of a convolution one by one: each output element with each weight of its filter."""
    count = 0
    for _ in itertools.product(*map(range, out)):
        for _ in itertools.product(*map(range, w[1:])):
            count += 1
    assert x[0] == out[0]
    return count


CONVOLUTIONS = {
    "plain": ((1, 4, 9, 8), (6, 4, 3, 3), {}, (1, 6, 7, 6)),
    "padded": ((1, 4, 9, 8), (6, 4, 3, 3), {"pads": [1, 1, 1, 1]}, (1, 6, 9, 8)),
    "strided": ((1, 4, 9, 8), (6, 4, 3, 3), {"strides": [2, 3]}, (1, 6, 4, 2)),
    "dilated": ((1, 4, 9, 8), (6, 4, 3, 3), {"dilations": [2, 2]}, (1, 6, 5, 4)),
    "grouped": ((1, 4, 9, 8), (6, 2, 3, 3), {"group": 2}, (1, 6, 7, 6)),
    "depthwise": ((1, 4, 9, 8), (4, 1, 3, 3), {"group": 4}, (1, 4, 7, 6)),
    "same": ((1, 4, 9, 8), (6, 4, 3, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, (1, 6, 5, 4)),
    "valid": ((1, 4, 9, 8), (6, 4, 3, 3), {"auto_pad": "VALID"}, (1, 6, 7, 6)),
    "1d": ((1, 4, 9), (6, 4, 5), {}, (1, 6, 5)),
    "3d": ((1, 4, 5, 6, 7), (3, 4, 2, 3, 4), {"strides": [1, 1, 2]}, (1, 3, 4, 4, 2)),
}


@pytest.mark.parametrize(("x", "w", "attributes", "out"), CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_convolutions(tmp_path: Path, x: Any, w: Any, attributes: dict[str, Any], out: Any) -> None:
    """Of any number of axes, with groups, strides, dilation and padding: the products are those that a loop does."""
    found = cost(tmp_path, [node("Conv", **attributes)], {"w": w}, x)
    assert found == Cost(products(x, w, out), "", {"y": out})
    assert (found.gmacs, found.gflops) == (products(x, w, out) / 1e9, 2 * products(x, w, out) / 1e9)


@pytest.mark.parametrize(
    ("w", "attributes", "out"),
    [
        ((4, 5, 3, 3), {}, (1, 5, 11, 10)),
        ((4, 5, 2, 2), {"strides": [2, 2]}, (1, 5, 18, 16)),
        ((4, 2, 3, 3), {"group": 2, "strides": [2, 2], "pads": [1, 1, 1, 1]}, (1, 4, 17, 15)),
    ],
)
def test_transposed_convolutions(tmp_path: Path, w: Any, attributes: dict[str, Any], out: Any) -> None:
    """Each element of the input meets each weight of its filter."""
    found = cost(tmp_path, [node("ConvTranspose", **attributes)], {"w": w})
    assert found == Cost(math.prod(X) * math.prod(w[1:]), "", {"y": out})


@pytest.mark.parametrize(
    ("x", "w", "macs", "out"),
    [
        ((3, 5), (5, 7), 3 * 5 * 7, (3, 7)),
        ((2, 3, 4, 5), (2, 3, 5, 7), 2 * 3 * 4 * 5 * 7, (2, 3, 4, 7)),
        ((1, 3, 4, 5), (6, 1, 5, 7), 6 * 3 * 4 * 5 * 7, (6, 3, 4, 7)),
        ((2, 3, 5), (5,), 2 * 3 * 5, (2, 3)),
        ((5,), (5, 7), 5 * 7, (7,)),
        ((5,), (5,), 5, ()),
    ],
)
def test_matrix_products(tmp_path: Path, x: Any, w: Any, macs: int, out: Any) -> None:
    """Of vectors, matrices and batches that are broadcast: rows x columns x what is summed over, an image."""
    assert cost(tmp_path, [node("MatMul")], {"w": w}, x) == Cost(macs / x[0], "", {"y": out})


@pytest.mark.parametrize(("a", "b"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_gemm(tmp_path: Path, a: int, b: int) -> None:
    """Either side may be transposed; the bias has no products."""
    x, w = ((5, 3) if a else (3, 5)), ((7, 5) if b else (5, 7))
    found = cost(tmp_path, [node("Gemm", "x w c", transA=a, transB=b)], {"w": w, "c": (7,)}, x)
    assert found == Cost(3 * 5 * 7 / x[0], "", {"y": (3, 7)})


@pytest.mark.parametrize(
    ("equation", "x", "w", "macs"),
    [
        ("bij,bjk->bik", (2, 3, 4), (2, 4, 5), 2 * 3 * 4 * 5),
        ("bhid,bhjd->bhij", (1, 2, 3, 4), (1, 2, 5, 4), 2 * 3 * 5 * 4),
        ("ij->ji", (3, 4), None, 0),
        ("bij,bk->bk", (2, 3, 4), (2, 5), None),
        ("bii,bi->b", (2, 3, 3), (2, 3), None),
        ("...j,jk->...k", (2, 3), (3, 4), None),
        ("ij,jk", (2, 3), (3, 4), None),
    ],
)
def test_einsum(tmp_path: Path, equation: str, x: Any, w: Any, macs: int | None) -> None:
    """Two operands whose indices are shared or kept are counted; of what is not that simple nothing is claimed."""
    found = cost(tmp_path, [node("Einsum", "x w" if w else "x", equation=equation)], {"w": w} if w else {}, x)
    if macs is None:
        assert found.macs is None
        assert equation in found.unknown
    else:
        assert (found.macs, found.unknown) == (macs / x[0], "")


def test_quantised_operators(tmp_path: Path) -> None:
    """Integer products are products."""
    zero, one = np.uint8(0), np.float32(1)
    constants = {"w": np.ones((6, 4, 3, 3), np.uint8), "v": np.ones((6, 5), np.uint8), "z": zero, "s": one}
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        node("QLinearConv", "q s z w s z s z", "c", pads=[1, 1, 1, 1]),
        node("Transpose", "c", "t", perm=[0, 2, 3, 1]),
        node("QLinearMatMul", "t s z v s z s z", "m"),
        node("ConvInteger", "q w", "i"),
        node("MatMulInteger", "m n"),
    ]
    found = cost(tmp_path, nodes, constants={**constants, "n": np.ones((5, 2), np.uint8)})
    assert found == Cost(72 * 6 * 36 + 72 * 6 * 5 + 72 * 5 * 2, "", {"y": (1, 9, 8, 2)})
    assert cost(tmp_path, [nodes[0], node("ConvInteger", "q w")], constants=constants).macs == 42 * 6 * 36


def test_recurrent_networks(tmp_path: Path) -> None:
    """At every step all weights of the input and of the state, in each direction."""
    steps, hidden = 9, 7
    for operator, gates in (("RNN", 1), ("GRU", 3), ("LSTM", 4)):
        weights = {"w": (2, gates * hidden, 8), "r": (2, gates * hidden, hidden)}
        recurrent = node(operator, "x w r", "y", hidden_size=hidden, direction="bidirectional")
        found = cost(tmp_path, [recurrent], weights, (steps, 1, 8))
        assert (found.macs, found.unknown) == (2 * gates * hidden * (8 + hidden), "")  # T = the first axis


def test_attention(tmp_path: Path) -> None:
    """Queries times keys and scores times values; the fused operators as the standard one."""
    batch, length, width, heads = 1, 6, 8, 2
    core = length * length * 2 * width
    constants = {"w": np.ones((width, 3 * width), np.float32)}
    projected = [node("MatMul", "x w", "p"), node("Split", "p", "q k v", axis=-1, num_outputs=3)]
    projection = length * width * 3 * width
    standard = node("Attention", "q k v", q_num_heads=heads, kv_num_heads=heads)
    fused = node("MultiHeadAttention", "q k v", num_heads=heads, domain="com.microsoft")
    whole = node("Attention", "x w b", num_heads=heads, domain="com.microsoft")
    for nodes in ([*projected, standard], [*projected, fused], [whole]):
        biased = {**constants, "b": np.ones(3 * width, np.float32)}
        found = cost(tmp_path, nodes, shape=(batch, length, width), constants=biased, opset=23)
        assert found == Cost(projection + core, "", {"y": (batch, length, width)})


def test_fused_operators_count_as_what_they_replace(tmp_path: Path) -> None:
    """A graph that onnxruntime optimised costs what it did before."""
    microsoft = {"domain": "com.microsoft"}
    plain = [node("Conv", "x w", "c", strides=[2, 2]), node("Relu", "c", "r"), node("Flatten", "r", "f")]
    fused = [node("FusedConv", "x w", "r", strides=[2, 2], activation="Relu", **microsoft), node("Flatten", "r", "f")]
    ends = (
        [node("Gemm", "f v", "g"), node("Gelu", "g")],
        [node("FusedGemm", "f v", "g", activation="Relu", **microsoft), node("QuickGelu", "g", **microsoft)],
    )
    found = [
        cost(tmp_path, [*nodes, *end], {"w": (6, 4, 3, 3), "v": (72, 5)})
        for nodes, end in itertools.product((plain, fused), ends)
    ]
    assert found == [Cost(72 * 36 + 72 * 5, "", {"y": (1, 5)})] * 4


def test_what_has_no_products_costs_nothing(tmp_path: Path) -> None:
    """Activations, normalisation, pooling, sums and bias are no multiply-accumulates."""
    nodes = [
        node("Relu", "x", "a"),
        node("GlobalAveragePool", "a", "b"),
        node("Add", "a b", "c"),
        node("LpNormalization", "c", "y", axis=1),
    ]
    assert cost(tmp_path, nodes) == Cost(0, "", {"y": X})


def test_products_of_weights_alone_cost_nothing(tmp_path: Path) -> None:
    """They are computed once when the session is made, not for every image."""
    nodes = [node("MatMul", "a b", "w"), node("MatMul", "x w")]
    found = cost(tmp_path, nodes, {"a": (8, 300), "b": (300, 5)})
    assert found == Cost(36 * 8 * 5, "", {"y": (1, 4, 9, 5)})


def test_what_serves_no_output_costs_nothing(tmp_path: Path) -> None:
    """A classifier behind the embedding is not computed."""
    nodes = [node("MatMul"), node("MatMul", "y v", "logits")]
    assert cost(tmp_path, nodes, {"w": (8, 5), "v": (5, 1000)}).macs == 36 * 8 * 5


def test_a_fixed_batch_is_shared_out(tmp_path: Path) -> None:
    """The count is that of one image, whatever the batch."""
    assert cost(tmp_path, [node("MatMul")], {"w": (8, 5)}, (6, 4, 9, 8)) == Cost(36 * 8 * 5, "", {"y": (6, 4, 9, 5)})


def test_computed_shapes_are_followed(tmp_path: Path) -> None:
    """Exporters compute shapes in the graph, through slices, conditions and ranges; the count needs no run."""
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s zero", "n"),
        node("Unsqueeze", "n axis", "n1"),
        node("Concat", "n1 open last", "target", axis=0),
        node("Equal", "target open3", "is_open"),
        node("Where", "is_open open3 target", "chosen"),
        node("Reshape", "x chosen", "tokens"),
        node("ConstantOfShape", "n1", "ones", value=numpy_helper.from_array(np.array([7], np.int64))),
        node("Concat", "n1 ones ones", "wide", axis=0),
        node("Slice", "wide axis two", "some"),
        node("Shape", "tokens", "end", start=-1),
        node("Concat", "some end", "token_shape", axis=0),
        node("Expand", "token token_shape", "first"),
        node("Concat", "first tokens", "all", axis=1),
        node("MatMul", "all w"),
    ]
    constants = {
        "zero": np.int64(0),
        "axis": np.array([0]),
        "two": np.array([2]),
        "open": np.array([-1]),
        "open3": np.array([-1, -1, -1]),
        "last": np.array([8]),
        "token": np.ones((1, 1, 8), np.float32),
        "w": np.ones((8, 5), np.float32),
    }
    found = cost(tmp_path, nodes, constants=constants)
    assert found == Cost((36 + 7) * 8 * 5, "", {"y": (1, 43, 5)})
    model = onnx.load(tmp_path / "model.onnx")
    assert ReferenceEvaluator(model).run(None, {"x": np.ones(X, np.float32)})[0].shape == (1, 43, 5)


def branch(name: str, *inner: NodeProto) -> onnx.GraphProto:
    return helper.make_graph(list(inner), name, [], [onnx.ValueInfoProto(name=inner[-1].output[0])])


@pytest.mark.parametrize("operator", ["MatMul", "Mystery"])
def test_bodies_are_not_known(tmp_path: Path, operator: str) -> None:
    """How often a body runs, and which, is known when it runs alone: a body with products has no number."""
    domain = {"domain": "test"} if operator == "Mystery" else {}
    then = branch("then", node(operator, "x w", "a", **domain))
    other = branch("else", node("Identity", "x", "b"))
    nodes = [
        node("ReduceMax", "x", "m", keepdims=0),
        node("Cast", "m", "flag", to=TensorProto.BOOL),
        node("If", "flag", "y", then_branch=then, else_branch=other),
    ]
    found = cost(tmp_path, nodes, {"w": (8, 8)})
    assert found.macs is None
    assert "If" in found.unknown


def test_bodies_without_products_cost_nothing(tmp_path: Path) -> None:
    """A choice between two activations is no reason to know nothing, where no product follows it."""
    then, other = branch("then", node("Relu", "p", "a")), branch("else", node("Identity", "p", "b"))
    nodes = [
        node("MatMul", "x w", "p"),
        node("ReduceMax", "x", "m", keepdims=0),
        node("Cast", "m", "flag", to=TensorProto.BOOL),
        node("If", "flag", "y", then_branch=then, else_branch=other),
    ]
    assert cost(tmp_path, nodes, {"w": (8, 5)}).macs == 36 * 8 * 5


def test_unknown_operators_are_said(tmp_path: Path) -> None:
    """What an operator of one's own multiplies, and what shape it makes, nobody knows."""
    found = cost(tmp_path, [node("Mystery", "x", "m", domain="test"), node("MatMul", "m w")], {"w": (8, 5)})
    assert (found.macs, found.gmacs, found.gflops, found.shapes) == (None, None, None, {})
    assert "test.Mystery" in found.unknown


def test_shapes_that_depend_on_values_are_said(tmp_path: Path) -> None:
    """The number of found objects is no property of a shape: null, with the operator that it goes back to."""
    nodes = [
        node("NonZero", "x", "places"),
        node("Cast", "places", "f", to=TensorProto.FLOAT),
        node("Transpose", "f", "t", perm=[1, 0]),
        node("MatMul", "t w"),
    ]
    found = cost(tmp_path, nodes, {"w": (4, 5)})
    assert found.macs is None
    assert "as that of the result of NonZero is not" in found.unknown


def test_functions_of_the_model_are_counted(tmp_path: Path) -> None:
    """Exporters write modules as functions: their products are those of their bodies."""
    body = [helper.make_node("MatMul", ["a", "b"], ["p"]), helper.make_node("Relu", ["p"], ["c"])]
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("test", 1)]
    function = helper.make_function("test", "Linear", ["a", "b"], ["c"], body, opsets[:1])
    nodes = [node("Linear", "x w", "h", domain="test"), node("Linear", "h v", domain="test")]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4, 9, 8])],
        [onnx.ValueInfoProto(name="y")],
        [numpy_helper.from_array(np.ones(s, np.float32), n) for n, s in (("w", (8, 300)), ("v", (300, 5)))],
    )
    path = tmp_path / "model.onnx"
    path.write_bytes(
        helper.make_model(graph, opset_imports=opsets, functions=[function], ir_version=10).SerializeToString()
    )
    found = count_cost(structure_of(path, ("y",)), "x", X, ("y",))
    assert found == Cost(36 * 8 * 300 + 36 * 300 * 5, "", {"y": (1, 4, 9, 5)})


def test_shapes_need_no_weights(network: Any) -> None:
    """Of a model of gigabytes the graph is enough: the external data of weights may be missing."""
    path = network.write(external="w.bin")
    expected = Cost(12 * 40 * 27 + 40 * 5, "", {"embedding": (1, 5)})
    structure = structure_of(path, ("embedding",))
    assert count_cost(structure, "x", (1, 3, 8, 6), ("embedding",)) == expected
    assert len(structure) < 2000
    # The shape for a Reshape is in the external file; without it, what follows is not known.
    tokens = structure_of(path, ("tokens",))
    assert count_cost(tokens, "x", (1, 3, 8, 6), ("tokens",)).shapes == {"tokens": (1, 12, 40)}
    model = onnx.load(path, load_external_data=False)
    assert all(tensor.data_location == TensorProto.EXTERNAL for tensor in model.graph.initializer)


@pytest.mark.parametrize(
    "nodes",
    [
        [node("MatMul", "x x")],
        [node("Reshape", "x w", "r"), node("MatMul", "r w")],
        [node("Conv", "x missing")],
        [node("Gemm", "x", transA=1)],
        [node("Einsum", "x w", equation="a,b")],
        [node("Range", "zero end one", "r"), node("Cast", "r", "f", to=TensorProto.FLOAT), node("MatMul", "x f")],
        [node("Expand", "zero huge", "e"), node("Cast", "e", "f", to=TensorProto.FLOAT), node("MatMul", "x f")],
    ],
)
def test_wrong_graphs_have_no_number(tmp_path: Path, nodes: list[NodeProto]) -> None:
    """What contradicts itself, or would make a tensor larger than any memory, is neither counted nor computed."""
    constants = {
        "zero": np.int64(0),
        "one": np.int64(1),
        "end": np.int64(10**15),
        "huge": np.array([10**9, 10**6]),
        "w": np.ones((2, 2), np.float32),
    }
    found = cost(tmp_path, nodes, constants=constants)
    assert found.macs is None
    assert found.unknown


def test_a_graph_that_cannot_be_read_has_no_known_work(tmp_path: Path) -> None:
    """External data that are too short: the work is unknown, and never 0."""
    cost(tmp_path, [node("MatMul")], {"w": (8, 2)})
    path = tmp_path / "model.onnx"
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    assert count_cost(structure_of(path, ("y",)), "x", X, ("y",)).macs == 9 * 4 * 8 * 2
    (tmp_path / "w.bin").write_bytes(b"")
    structure = structure_of(path, ("y",))
    assert structure is None
    found = count_cost(structure, "x", X, ("y",))
    assert found == Cost(None, "its graph or its external data cannot be read", {})
