"""Sessions against the oracle: every kind of model gives the numbers that its definition says."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from evaljobs.errors import ModelError, ModelErrorKind
from evaljobs.models.options import CPU_PROVIDER, CUDA_PROVIDER, Runtime
from evaljobs.models.session import Session, provider_devices

TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


def fails(session, block):
    with pytest.raises(ModelError) as caught:
        session.run(block)
    return caught.value


@pytest.mark.parametrize("variant", list(itertools.product([1, 3, "n"], ["nchw", "nhwc"], ["x", "0", "input:0"])))
def test_rows_equal_the_definition(network, oracle, block, variant):
    """Fixed and open batches, both layouts and any input name give the rows of the oracle."""
    batch, layout, input_name = variant
    network.write(batch=batch, layout=layout, input_name=input_name)
    np.testing.assert_allclose(network.embed(block), oracle(block), **TOLERANCE)


def test_preprocessing_reaches_the_network(network, oracle, block):
    """Divisor, mean, deviation and the order of colours are applied, not only recorded."""
    network.write()
    scaling = {"divisor": "127.5", "mean": ["1", "0.5", "0.25"], "std": ["1", "2", "4"]}
    seen = ((block / 127.5 - [1, 0.5, 0.25]) / [1, 2, 4]).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(
        network.embed(block, preprocessing=scaling), oracle.forward(seen)["embedding"], **TOLERANCE
    )


def test_gray_models(network, oracle):
    """One channel in, one channel fed."""
    network.write(channels=1)
    block = np.random.default_rng(0).integers(0, 256, (5, 8, 6, 1), dtype=np.uint8)
    seen = ((block / 255 - 0.5) / 0.5).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(network.embed(block), oracle.forward(seen)["embedding"], **TOLERANCE)


def test_float16_inputs(network, oracle, block):
    """What a float16 input sees is the float32 value rounded once."""
    network.write(dtype=TensorProto.FLOAT16)
    seen = oracle.normalised(block).astype(np.float32).astype(np.float16).astype(np.float64)
    np.testing.assert_allclose(network.embed(block), oracle.forward(seen)["embedding"], rtol=2e-3, atol=2e-3)
    exact = np.abs(network.embed(block) - oracle(block)).max()
    assert exact > 0


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_raw_inputs_see_bytes(network, oracle, block, layout):
    """An input of bytes gets 0 to 255, whatever the defaults say."""
    network.write(dtype=TensorProto.UINT8, layout=layout)
    seen = block.transpose(0, 3, 1, 2).astype(np.float64)
    np.testing.assert_allclose(network.embed(block), oracle.forward(seen)["embedding"], **TOLERANCE)


@pytest.mark.parametrize(
    "file", list(itertools.product([("embedding",), ("embedding", "logits")], [None, "w.bin", "deep/w.bin"]))
)
@pytest.mark.parametrize("tensor", ["embedding", "logits", "pooled", "tokens"])
def test_any_tensor_can_be_the_output(network, oracle, block, file, tensor):
    """Declared or not, alone or among others, with weights inside or beside the file: the rows are that tensor's."""
    network.write(outputs=file[0], external=file[1])
    before = {path: path.read_bytes() for path in network.folder.rglob("*") if path.is_file()}
    expected = oracle(block, tensor).reshape(len(block), -1)
    np.testing.assert_allclose(network.embed(block, output=tensor, pooling="flatten"), expected, **TOLERANCE)
    # Nothing is written beside the user's files, and they are as they were.
    assert {path: path.read_bytes() for path in network.folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("tensor", ["embedding", "pooled"])
def test_models_in_download_caches_run(network, oracle, block, tensor):
    """Caches keep contents under their digests and link to them: such a model is as good as any other."""
    network.write("snapshot/model.onnx", external="w.bin")
    for name, content in {"model.onnx": "one/aaa", "w.bin": "two/bbb"}.items():
        (network.folder / content).parent.mkdir()
        (network.folder / "snapshot" / name).rename(network.folder / content)
        (network.folder / "snapshot" / name).symlink_to(f"../{content}")
    resolved = network.resolve({"path": "snapshot/*.onnx", "output": tensor})
    rows = Session(resolved.models[0], Runtime()).run(block)["embedding"]
    np.testing.assert_allclose(rows, oracle(block, tensor), **TOLERANCE)


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("tensor", ["tokens", "features"])
def test_pooling(network, oracle, block, tensor, declared):
    """Outputs of three and four dimensions become vectors as asked for."""
    network.write(outputs=(tensor,) if declared else ("embedding",))
    values = oracle(block, "tokens")
    whole = oracle(block, tensor).reshape(len(block), -1)
    expected = {"mean": values.mean(1), "max": values.max(1), "first": values[:, 0], "flatten": whole}
    for pooling, rows in expected.items():
        np.testing.assert_allclose(network.embed(block, output=tensor, pooling=pooling), rows, **TOLERANCE)


def test_pooling_of_channels_last_maps(network, oracle, block):
    """The declared map of a channels-last model is pooled over height and width."""
    network.write(layout="nhwc", outputs=("map_last",))
    rows = oracle(block, "map_last").mean(axis=(1, 2))
    np.testing.assert_allclose(network.embed(block, pooling="mean"), rows, **TOLERANCE)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_row_has_the_same_bytes_wherever_it_stands(network, block, threads):
    """Neither place nor neighbours nor the filling of a batch change a row: shards may be cut anywhere."""
    network.write()
    session = network.open(batch_size="4", threads=threads)
    whole = session.run(block)["embedding"]
    for start, stop in ((0, 1), (1, 6), (3, 7), (6, 7)):
        np.testing.assert_array_equal(session.run(block[start:stop])["embedding"], whole[start:stop])
    np.testing.assert_array_equal(session.run(block[::-1])["embedding"], whole[::-1])


def test_batches_are_always_whole(network, block):
    """The graph sees its batch size and nothing else: the last batch is filled with its last image."""
    network.write(batch="n")
    session = network.open(batch_size="4")
    seen = []
    inner = session._session

    class Recorder:
        def run(self, names, feed):
            seen.append(feed["x"])
            return inner.run(names, feed)

    session._session = Recorder()
    session.run(block)
    assert [batch.shape for batch in seen] == [(4, 3, 8, 6)] * 2
    np.testing.assert_array_equal(seen[1][3], seen[1][2])
    assert not np.array_equal(seen[1][1], seen[1][2])


def test_an_empty_block_has_no_rows_of_the_right_width(network, block):
    """A shard whose images all failed is no special case."""
    network.write()
    assert network.embed(block[:0]).shape == (0, 5)


@pytest.mark.parametrize(
    "shape", [(2, 6, 8, 3), (2, 8, 6, 1), (8, 6, 3), (2, 3, 8, 6)], ids=["turned", "gray", "single", "nchw"]
)
def test_blocks_of_another_geometry_are_refused(network, shape):
    """A block that was decoded for another model cannot be embedded by mistake."""
    network.write(size=("h", "w"))
    session = network.open(preprocessing={"size": ["8", "6"]})
    with pytest.raises(ValueError, match=r"expected uint8 \(n, 8, 6, 3\)"):
        session.run(np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match="float32"):
        session.run(np.zeros((2, 8, 6, 3), np.float32))


def test_only_what_is_needed_is_computed(network, block):
    """The head of a classifier is not run for the layer before it: here it would fail."""
    model = onnx.load(network.write())
    bad = numpy_helper.from_array(np.array([7, 7], np.int64), "bad_shape")
    model.graph.initializer.append(bad)
    model.graph.node.append(helper.make_node("Reshape", ["embedding", "bad_shape"], ["broken"]))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("broken", TensorProto.FLOAT, [None, None]))
    (network.folder / "model.onnx").write_bytes(model.SerializeToString())
    assert network.embed(block, output="embedding").shape == (7, 5)
    error = fails(network.open(), block)
    assert error.kind is ModelErrorKind.FAILED
    assert "model.onnx: failed while it ran" in str(error)
    assert str(network.folder) not in str(error)
    assert len(str(error)) < 450


def test_tensors_used_inside_branches_are_kept(network, block):
    """Cutting a graph keeps what only the body of an If refers to."""
    model = onnx.load(network.write())
    bodies = [
        helper.make_graph(
            [helper.make_node("Add", ["pooled", "pooled"], [name])],
            name,
            [],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)],
        )
        for name in ("then", "else")
    ]
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    model.graph.node.extend(
        [
            helper.make_node("If", ["yes"], ["chosen"], then_branch=bodies[0], else_branch=bodies[1]),
            helper.make_node("Relu", ["chosen"], ["after"]),
        ]
    )
    (network.folder / "model.onnx").write_bytes(model.SerializeToString())
    doubled = network.embed(block, output="chosen")
    np.testing.assert_allclose(doubled, 2 * network.embed(block, output="pooled"), rtol=1e-6)


def test_the_provider_is_the_one_that_ran(network, block):
    """CUDA runs on CUDA or is an error with its reason; it never falls to the CPU in silence."""
    network.write()
    assert network.open().provider == CPU_PROVIDER
    model = network.resolve({"path": "model.onnx"}).models[0]
    devices = provider_devices()
    if devices.why_no_cuda is None:
        session = Session(model, Runtime("cuda"))
        assert session.provider == CUDA_PROVIDER
        np.testing.assert_allclose(session.run(block)["embedding"], network.embed(block), **TOLERANCE)
    else:
        with pytest.raises(ModelError) as caught:
            Session(model, Runtime("cuda"))
        assert caught.value.kind is ModelErrorKind.PROVIDER
        assert devices.why_no_cuda in str(caught.value)


def test_a_failing_device_is_never_replaced_by_the_cpu(network):
    """The fallback of onnxruntime itself, which would go on with the CPU in the middle of a run, is off."""
    network.write()
    assert network.open()._session._enable_fallback is False


def test_asking_for_devices_prints_nothing():
    """The search for CUDA leaves no noise on the terminal, whatever is missing."""
    code = "from evaljobs.models.session import provider_devices; provider_devices()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_the_runtime_is_imported_where_it_runs_alone():
    """Planning a run needs no onnxruntime: it is loaded by workers."""
    code = "import sys, evaljobs.models.resolve, evaljobs.models.key; print('onnxruntime' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
