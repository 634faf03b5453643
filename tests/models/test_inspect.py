"""What an ONNX file holds is read as it was written, and what is none is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from evaljobs.errors import ModelError, ModelErrorKind
from evaljobs.models.inspect import Graph, Tensor, infer_tensor, inspect
from evaljobs.models.places import LocalFile, files_of


def corrupt(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        inspect(path)
    assert caught.value.kind is ModelErrorKind.CORRUPT
    assert path.name in str(caught.value)
    return str(caught.value)


def test_facts_are_those_that_the_file_was_made_with(network):
    """Inputs, outputs, metadata, opset, parameters and size are read as they were written."""
    path = network.write(outputs=("embedding", "tokens"), metadata={"signature": "abc", "note": "ü"})
    graph = inspect(path)
    assert graph.inputs == (Tensor("x", "float32", ("n", 3, 8, 6)),)
    assert graph.outputs == (Tensor("embedding", "float32", (None, 5)), Tensor("tokens", "float32", (None, None, 40)))
    assert graph.metadata == {"signature": "abc", "note": "ü"}
    assert graph.opset == 17
    # Kernel 40x3x3x3, head 40x5, bias 5, classes 40x3; the int64 shape is no parameter.
    assert graph.parameters == 1080 + 200 + 5 + 120
    assert graph.external == ()
    assert graph.dropout == (0, 0)
    assert {"Conv", "Gemm", "Transpose"} < graph.op_types


def test_initializers_listed_as_inputs_are_no_inputs(network):
    """Old exporters list the weights among the inputs; people do not feed them."""
    model = onnx.load(network.write())
    model.graph.input.append(helper.make_tensor_value_info("head", TensorProto.FLOAT, [40, 5]))
    path = network.folder / "old.onnx"
    path.write_bytes(model.SerializeToString())
    assert [tensor.name for tensor in inspect(path).inputs] == ["x"]


def test_weights_in_constants_and_bodies_are_parameters(network):
    """Some exporters keep all weights in Constant nodes; a model with weights never counts as empty."""
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(np.zeros((2, 5), np.float32)))],
        "then",
        [],
        [helper.make_tensor_value_info("w", TensorProto.FLOAT, [2, 5])],
    )
    other = helper.make_graph(
        [helper.make_node("Identity", ["v"], ["i"])],
        "else",
        [],
        [helper.make_tensor_value_info("i", TensorProto.FLOAT, None)],
    )
    nodes = [
        helper.make_node("Constant", [], ["v"], value=numpy_helper.from_array(np.zeros(3, np.float32))),
        helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=other),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    facts = inspect(network.save(graph, "constants.onnx"))
    assert facts.parameters == 13
    assert facts.outputs == (Tensor("y", "float32", None),)


def test_external_data_is_found_and_counted(network):
    """The size of a model is that of all its bytes, and its external files are named."""
    path = network.write("deep/model.onnx", external="weights/w.bin")
    graph = inspect(path)
    data = network.folder / "deep" / "weights" / "w.bin"
    files = files_of(LocalFile(path), graph.external, graph.external_bytes)
    assert files.paths() == (path, (data,))
    assert files.size_bytes() == path.stat().st_size + data.stat().st_size
    assert files.sources() == ()
    assert graph.parameters == 1405


def test_missing_external_data_is_corrupt(network):
    """A model whose weights were not copied along is refused by the name of the missing file."""
    path = network.write(external="w.bin")
    (network.folder / "w.bin").unlink()
    with pytest.raises(ModelError, match=r"model\.onnx needs its external data 'w\.bin'") as caught:
        files_of(LocalFile(path), ("w.bin",), (0,))
    assert caught.value.kind is ModelErrorKind.CORRUPT


def test_external_data_that_was_cut_off_is_corrupt(network):
    """Half a copy of the weights is found before anything runs, and so is a place that is no number."""
    path = network.write(external="w.bin")
    graph = inspect(path)
    data = network.folder / "w.bin"
    assert graph.external_bytes == (data.stat().st_size,)
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(ModelError, match=r"needs [\d,]+ bytes of its external data 'w\.bin', which has") as caught:
        files_of(LocalFile(path), graph.external, graph.external_bytes)
    assert caught.value.kind is ModelErrorKind.CORRUPT
    model = onnx.load(path, load_external_data=False)
    next(e for t in model.graph.initializer for e in t.external_data if e.key == "offset").value = "-1"
    path.write_bytes(model.SerializeToString())
    assert "said to be" in corrupt(path)


def test_a_pointer_of_git_lfs_says_what_to_do(tmp_path):
    """A clone without the large files holds texts in their places."""
    path = tmp_path / "a.onnx"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert "run `git lfs pull`" in corrupt(path)


@pytest.mark.parametrize("location", ["../w.bin", "/etc/hostname", "a/../../w.bin", "..\\w.bin", "C:\\w.bin", ""])
def test_external_data_outside_the_folder_is_refused(network, location):
    """A model cannot make us read files beside its own, even where they exist."""
    path = network.write("deep/model.onnx", external="w.bin")
    (network.folder / "w.bin").write_bytes(b"secret")
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    path.write_bytes(model.SerializeToString())
    assert "outside its folder" in corrupt(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 100,
        b"not a model at all",
        b"\x89PNG\r\n\x1a\n",
        b"\x08\x08",
        np.random.default_rng(0).bytes(2000),
    ],
    ids=["empty", "zeros", "text", "png", "version-only", "random"],
)
def test_what_is_no_model_is_corrupt(tmp_path, content):
    """Whatever a file holds, inspecting it gives facts or a named error."""
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    corrupt(path)


def test_truncated_models_are_corrupt_wherever_they_end(network):
    """A download that broke off is no model."""
    path = network.write()
    data = path.read_bytes()
    lengths = range(1, len(data) - 60, 37)
    assert len(lengths) > 20
    for length in lengths:
        path.write_bytes(data[:length])
        corrupt(path)


def test_unreadable_model_says_why(tmp_path):
    """A folder or a missing file is named with the reason of the operating system."""
    assert "No such file" in corrupt(tmp_path / "gone.onnx")
    (tmp_path / "folder.onnx").mkdir()
    assert "directory" in corrupt(tmp_path / "folder.onnx")


def test_open_axes_of_any_spelling_are_open(network):
    """Exporters write open axes as names, as -1, as 0 or as nothing: all of them are open."""
    model = onnx.load(network.write())
    dims = model.graph.input[0].type.tensor_type.shape.dim
    dims[0].dim_value, dims[2].dim_value = -1, 0
    dims[3].Clear()
    path = network.folder / "open.onnx"
    path.write_bytes(model.SerializeToString())
    assert inspect(path).inputs[0].shape == (None, 3, None, None)


def test_shapes_of_intermediate_tensors_are_inferred(network):
    """Any tensor can be looked up, also where its shape follows from large or external weights."""
    for path in (network.write(), network.write("e.onnx", external="w.bin")):
        assert infer_tensor(path, "features") == Tensor("features", "float32", ("n", 40, 4, 3))
        assert infer_tensor(path, "pooled").shape == ("n", 40)


def test_inference_needs_no_large_weights(network):
    """Shapes follow from the shapes of weights, so that a model of gigabytes is not copied for it."""
    nodes = [
        helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.zeros((60, 40), np.float32))),
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("MatMul", ["a", "c"], ["b"]),
        helper.make_node("Relu", ["b"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 50])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.zeros((50, 60), np.float32), "w")],
    )
    path = network.save(graph, "large.onnx")
    assert infer_tensor(path, "b").shape == ("n", 40)
    assert infer_tensor(path, "y").shape == ("n", 40)


def test_a_tensor_of_unknown_shape_says_so(network):
    """Where nothing can be inferred nothing is invented."""
    nodes = [helper.make_node("Mystery", ["x"], ["m"], domain="test"), helper.make_node("Relu", ["m"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("test", 1)])
    path = network.folder / "mystery.onnx"
    path.write_bytes(model.SerializeToString())
    assert infer_tensor(path, "m") == Tensor("m", "unknown", None)


def test_descriptions_name_type_and_shape():
    """Messages show a tensor as people write it."""
    assert Tensor("x", "float32", ("n", 3, None)).describe() == "'x' float32 [n, 3, ?]"
    assert Tensor("x", "sequence", None).describe() == "'x' sequence of unknown rank"


def test_a_missing_tensor_is_refused_with_the_nearest(network):
    """A typing error in `output` shows the names that were meant."""
    path = network.write()
    with pytest.raises(
        ModelError, match="no tensor 'feature' among the 9 of the graph; the nearest names are 'features'"
    ):
        infer_tensor(path, "feature")


def test_facts_survive_json(network):
    """What is kept for the next run is what was read."""
    path = network.write(outputs=("embedding", "tokens"), metadata={"note": "ü"}, external="w.bin", batch=4)
    graph = inspect(path)
    assert Graph.from_json(json.loads(json.dumps(graph.to_json()))) == graph
    for name in ("features", "flat"):
        tensor = infer_tensor(path, name)
        assert Tensor.from_json(json.loads(json.dumps(tensor.to_json()))) == tensor
