"""What cannot be loaded or gives no rows ends as an error of that model, with its kind and reason."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from evaljobs.errors import ModelError, ModelErrorKind
from evaljobs.models.options import Runtime
from evaljobs.models.runtime_errors import attempt
from evaljobs.models.session import Session

# What onnxruntime 1.31 says on a GPU where the limit of a session's memory is reached.
ARENA_IS_FULL = (
    "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Conv node. Name:'' Status Message: "
    "bfc_arena.cc:360 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool, onnxruntime::Stream*) "
    "Available memory of 0 is smaller than requested bytes of 411041792"
)


def fails(session, block):
    with pytest.raises(ModelError) as caught:
        session.run(block)
    return caught.value


def simple(network, nodes, output_shape, initializers=()):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output_shape)],
        list(initializers),
    )
    network.save(graph, "model.onnx")


def test_a_batch_that_is_not_kept_is_found(network, block):
    """A graph that mixes its images gives no rows of images, whatever it declares."""
    shape = numpy_helper.from_array(np.array([1, -1], np.int64), "shape")
    simple(network, [helper.make_node("Reshape", ["x", "shape"], ["y"])], [None, None], [shape])
    error = fails(network.open(batch_size="4"), block)
    assert error.kind is ModelErrorKind.UNSUPPORTED_OUTPUT
    assert "has shape [1, 576] for 4 images" in str(error)
    assert "batch_size: 1" in str(error)
    assert network.open(batch_size="1").run(block)["embedding"].shape == (7, 144)


def test_a_hidden_fixed_batch_is_hinted_at(network, block):
    """A graph that declares an open batch and reshapes to one row fails with the way to run it."""
    shape = numpy_helper.from_array(np.array([1, 144], np.int64), "shape")
    simple(network, [helper.make_node("Reshape", ["x", "shape"], ["y"])], [None, 144], [shape])
    error = fails(network.open(batch_size="4"), block)
    assert error.kind is ModelErrorKind.FAILED
    assert str(error).endswith("try `batch_size: 1`")
    assert network.open(batch_size="1").run(block)["embedding"].shape == (7, 144)


def test_an_undeclared_rank_is_checked_when_it_runs(network, block):
    """A graph that does not say its rank is refused by what it gives."""
    simple(network, [helper.make_node("Identity", ["x"], ["y"])], None)
    error = fails(network.open(), block)
    assert error.kind is ModelErrorKind.UNSUPPORTED_OUTPUT
    assert "with `pooling`" in str(error)
    assert network.open(pooling="max").run(block)["embedding"].shape == (7, 3)


def test_a_width_that_changes_is_found(network):
    """All rows of a table have one dimension."""
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["top"], keepdims=0),
        helper.make_node("Greater", ["top", "limit"], ["bright"]),
        helper.make_node("Where", ["bright", "long", "short"], ["shape"]),
        helper.make_node("Slice", ["x", "zero", "shape", "axis"], ["cut"]),
        helper.make_node("Flatten", ["cut"], ["y"]),
    ]
    constants = {"long": [2], "short": [1], "zero": [0], "axis": [1]}
    initializers = [numpy_helper.from_array(np.array(v, np.int64), k) for k, v in constants.items()]
    initializers.append(numpy_helper.from_array(np.array(0, np.float32), "limit"))
    simple(network, nodes, [None, None], initializers)
    session = network.open(batch_size="1")
    dark, bright = np.zeros((1, 8, 6, 3), np.uint8), np.full((1, 8, 6, 3), 255, np.uint8)
    assert session.run(bright)["embedding"].shape == (1, 96)
    assert "has 48 dimensions here and had 96 before" in str(fails(session, dark))
    assert "has 48 dimensions here" in str(fails(session, np.concatenate([bright, dark])))


def test_wrong_declarations_are_found(network, block):
    """A file that declares floats and gives integers is refused, at load or when it runs."""
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("Cast", ["flat"], ["y"], to=TensorProto.INT64)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 6])],
        [onnx.ValueInfoProto(name="y")],
    )
    network.save(graph, "model.onnx")
    assert "is int64" in str(fails(network.open(), block))


@pytest.mark.parametrize(
    ("node", "kind"),
    [
        (helper.make_node("Conv", ["x"], ["y"]), ModelErrorKind.CORRUPT),
        (helper.make_node("Relu", ["gone"], ["y"]), ModelErrorKind.CORRUPT),
        (helper.make_node("NoSuchOperator", ["x"], ["y"]), ModelErrorKind.CORRUPT),
    ],
)
def test_graphs_that_cannot_be_loaded_are_refused(network, node, kind, capfd):
    """What onnxruntime refuses is an error of that model, in one short line, and nothing else reaches the terminal."""
    simple(network, [node], [None, 5])
    with pytest.raises(ModelError) as caught:
        network.open()
    assert caught.value.kind is kind
    assert "model.onnx: cannot be loaded" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(network.folder) not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_damaged_external_data_is_refused(network):
    """Weights that are cut short are found before anything is started, and said with what is missing."""
    network.write(external="w.bin")
    data = network.folder / "w.bin"
    data.write_bytes(data.read_bytes()[:4000])
    for entry in ({}, {"output": "pooled"}):
        (refused,) = network.resolve({"path": "model.onnx", **entry}).refused
        assert refused.kind is ModelErrorKind.CORRUPT
        assert "needs 5,644 bytes of its external data 'w.bin', which has 4,000" in refused.message


def test_external_data_that_are_cut_off_later_are_refused(network):
    """Weights that were whole when the model was read, and are not when it is loaded."""
    network.write(external="w.bin")
    model = network.resolve({"path": "model.onnx"}).models[0]
    data = network.folder / "w.bin"
    data.write_bytes(data.read_bytes()[:4000])
    with pytest.raises(ModelError, match="was changed while the run used it"):
        Session(model, Runtime())


@pytest.mark.parametrize("changed", ["model.onnx", "w.bin"])
def test_a_file_that_changes_under_a_run_is_refused(network, changed):
    """The rows of a new file are never stored under the digest of the old one."""
    network.write(external="w.bin")
    model = network.resolve({"path": "model.onnx"}).models[0]
    path = network.folder / changed
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ModelError, match="was changed while the run used it"):
        Session(model, Runtime())


def test_out_of_memory_is_told_from_other_failures(network):
    """A batch too large for the memory can be tried again with a smaller one."""
    nodes = [helper.make_node("Expand", ["x", "shape"], ["large"]), helper.make_node("Flatten", ["large"], ["y"])]
    shape = numpy_helper.from_array(np.array([1, 3, 1, 8, 1], np.int64), "wide")
    simple(
        network,
        nodes,
        [None, None],
        [numpy_helper.from_array(np.array([2**22, 2**22, 3, 8, 6], np.int64), "shape"), shape],
    )
    error = fails(network.open(batch_size="1"), np.zeros((1, 8, 6, 3), np.uint8))
    assert error.kind is ModelErrorKind.OUT_OF_MEMORY
    assert "smaller batch_size" in str(error)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), ModelErrorKind.OUT_OF_MEMORY),
        (RuntimeError("std::bad_alloc"), ModelErrorKind.OUT_OF_MEMORY),
        (RuntimeError(ARENA_IS_FULL), ModelErrorKind.OUT_OF_MEMORY),
        (RuntimeError("CUDA failure 2: out of memory ; GPU=0"), ModelErrorKind.OUT_OF_MEMORY),
        (RuntimeError("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED"), ModelErrorKind.OUT_OF_MEMORY),
        (RuntimeError("Non-zero status code returned"), ModelErrorKind.FAILED),
    ],
)
def test_messages_of_the_runtime_are_sorted(tmp_path, error, kind):
    """Every exception becomes an error of the model with a kind that the run can act on."""

    def call():
        raise error

    with pytest.raises(ModelError) as caught:
        attempt(call, tmp_path / "m.onnx", ModelErrorKind.FAILED)
    assert caught.value.kind is kind


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{0}/w.bin not found beside {0}/m.onnx", "w.bin not found beside m.onnx"),
        ("cannot open '{1}/w.bin'", "cannot open 'w.bin'"),
        ("Load model from {0}/m.onnx failed:{1}/m.onnx", "Load model from m.onnx failed:m.onnx"),
        (
            "Failed to load library /opt/x/capi/libp_cuda.so with error: libc.so.9",
            "Failed to load library libp_cuda.so",
        ),
        ("/onnxruntime_src/core/graph.cc:154 status was false", "graph.cc:154 status was false"),
        ("node '/backbone/layer1/Conv' at 0x7f2b4c001a20", "node '/backbone/layer1/Conv' at ..."),
        ("error 3 ; hostname=vm7 ; line=1", "error 3 ; ... ; line=1"),
    ],
)
def test_messages_are_the_same_on_every_machine(tmp_path, text, expected):
    """Results hold them: no folder, that behind a link included, no address and no host is in them; nodes are."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "m.onnx").touch()
    (tmp_path / "link").symlink_to("real")
    message = text.format(tmp_path / "link", tmp_path / "real")

    def call():
        raise RuntimeError(message)

    with pytest.raises(ModelError) as caught:
        attempt(call, tmp_path / "link" / "m.onnx", ModelErrorKind.FAILED)
    assert expected in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    assert "/opt" not in str(caught.value)


def test_folders_of_linked_weights_are_left_out(tmp_path):
    """Download caches keep weights elsewhere, behind links of their own."""
    (tmp_path / "blobs").mkdir()
    (tmp_path / "model").mkdir()
    (tmp_path / "blobs" / "c0ffee").touch()
    (tmp_path / "model" / "w.bin").symlink_to("../blobs/c0ffee")

    def call():
        raise OSError(2, "No such file", str(tmp_path / "blobs" / "c0ffee"))

    with pytest.raises(ModelError, match="No such file: 'c0ffee'") as caught:
        attempt(call, tmp_path / "model" / "m.onnx", ModelErrorKind.CORRUPT, (tmp_path / "model" / "w.bin",))
    assert str(tmp_path) not in str(caught.value)


def test_messages_of_cuda_are_cut_to_their_reason(tmp_path):
    """People read why the device failed, not the signature of the function that noticed."""

    def call():
        raise RuntimeError(
            "/src/cuda_call.cc:154 std::conditional_t<THRW, void> CudaCall(ERRTYPE, const char*) [with E = cudaError] "
            "CUDA failure 100: no CUDA-capable device is detected ; GPU=-1 ; hostname=vm ; expr=cudaSetDevice(0);"
        )

    with pytest.raises(ModelError) as caught:
        attempt(call, tmp_path / "m.onnx", ModelErrorKind.FAILED)
    expected = "m.onnx: failed while it ran (onnxruntime: CUDA failure 100: no CUDA-capable device is detected)"
    assert str(caught.value) == expected
