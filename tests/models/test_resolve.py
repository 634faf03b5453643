"""From a config to usable and refused models."""

from __future__ import annotations

import dataclasses
import json
import pickle
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from evaljobs.engine.results import _model
from evaljobs.errors import ModelErrorKind, UsageError
from evaljobs.models.digest import model_digest
from evaljobs.models.model import Input, Output
from evaljobs.models.options import Runtime
from evaljobs.models.session import Session


def only(resolved):
    assert [r.message for r in resolved.refused] == []
    (model,) = resolved.models
    return model


def reason(resolved, kind):
    assert resolved.models == ()
    (refused,) = resolved.refused
    assert refused.kind is kind
    return refused.message


def plain(network, inputs, outputs, name="model.onnx"):
    """Write a graph of one node a output, for its declarations alone."""
    nodes = [helper.make_node("Identity", [inputs[0].name], [output.name]) for output in outputs]
    return network.save(helper.make_graph(nodes, "g", inputs, outputs), name)


def info(name, shape, dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def test_results_say_what_goes_in_and_what_is_kept(network):
    """Whoever reads results.json can run the model: its input, the tensor that is kept, the operators' version."""
    network.write(layout="nhwc", batch=4, outputs=("tokens",), input_name="pixels")
    entry = _model(only(network.resolve({"path": "model.onnx", "pooling": "mean"})), None)
    assert entry["opset"] == 17
    assert entry["input"] == {"name": "pixels", "dtype": "float32", "layout": "nhwc", "batch": 4}
    assert entry["outputs"] == [{"role": "embedding", "tensor": "tokens", "pooling": "mean"}]
    json.dumps(entry)


def test_a_model_holds_all_that_a_worker_needs(network):
    """What was decided travels as one frozen, picklable object."""
    path = network.write("net-f5.onnx", metadata={"signature": "s"}, external="w.bin")
    entry = {"path": "*.onnx", "tag_pattern": "{backbone}-f{dim}", "tags": {"loss": "cos"}, "batch_size": "4"}
    model = only(network.resolve(entry, max_image_pixels="5000"))
    assert (model.name, model.path) == ("net-f5", path)
    assert model.digest == model_digest(path, (network.folder / "w.bin",))
    assert model.tags == {"backbone": "net", "dim": "5", "loss": "cos"}
    assert model.metadata == {"signature": "s"}
    assert (model.parameters, model.opset) == (1405, 17)
    assert model.size_bytes == path.stat().st_size + (network.folder / "w.bin").stat().st_size
    assert model.input == Input("x", "float32", "nchw", None, 3, 8, 6)
    assert model.outputs == (Output("embedding", "embedding"),)
    assert model.graph_outputs == ("embedding",)
    assert model.pixels.geometry.max_pixels == 5000
    assert model.batch_size == 4
    assert pickle.loads(pickle.dumps(model)) == model  # noqa: S301 - our own bytes
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.name = "x"


def test_one_bad_model_does_not_stop_the_others(network):
    """A corrupt file is refused by name, with its tags; the rest of the sweep goes on, in the order of the config."""
    network.write("b.onnx")
    network.write("d.onnx")
    (network.folder / "a.onnx").write_bytes(b"")
    (network.folder / "c.onnx").write_bytes(b"nonsense")
    resolved = network.resolve({"path": "*.onnx", "tags": {"k": "v"}})
    assert [m.name for m in resolved.models] == ["b", "d"]
    assert [(r.name, r.kind, r.tags) for r in resolved.refused] == [
        ("a", ModelErrorKind.CORRUPT, {"k": "v"}),
        ("c", ModelErrorKind.CORRUPT, {"k": "v"}),
    ]
    assert resolved.refused[0].location == str(network.folder / "a.onnx")


def test_a_path_without_models_is_a_usage_error(network):
    """Nothing is started for a config whose models are not there."""
    with pytest.raises(UsageError, match="no file"):
        network.resolve({"path": "gone.onnx"})


@pytest.mark.parametrize("name", ["0", "input:0", "serving_default_x:0", "a b/ü"])
def test_any_input_name_will_do(network, name):
    """Exporters call inputs by numbers, with colons, or anything."""
    network.write(input_name=name)
    assert only(network.resolve({"path": "model.onnx"})).input.name == name


@pytest.mark.parametrize(
    ("shape", "expected", "notes"),
    [
        ((1, 3, 8, 6), ("nchw", 1, 3, 8, 6), 0),
        (("n", 3, "h", "w"), ("nchw", None, 3, None, None), 0),
        ((2, 1, 28, 28), ("nchw", 2, 1, 28, 28), 0),
        ((None, 8, 6, 3), ("nhwc", None, 3, 8, 6), 0),
        ((None, "h", "w", 1), ("nhwc", None, 1, None, None), 0),
        ((1, 3, 8, 3), ("nchw", 1, 3, 8, 3), 1),
        ((1, "c", "h", "w"), ("nchw", 1, None, None, None), 1),
        ((1, "c", 8, 6), ("nchw", 1, None, 8, 6), 1),
        ((1, 8, 6, "c"), ("nhwc", 1, None, 8, 6), 1),
    ],
)
def test_layouts_are_recognised(network, shape, expected, notes):
    """Channels are where 1 or 3 stands; what is only assumed is said."""
    plain(network, [info("x", shape)], [info("y", [None, 5])])
    model = only(
        network.resolve(
            {"path": "model.onnx", "preprocessing": {"size": [str(expected[3] or 8), str(expected[4] or 6)]}}
        )
    )
    image = model.input
    assert (image.layout, image.batch, image.channels, image.height, image.width) == expected
    assert len([note for note in model.notes if note.startswith("the input")]) == notes + (expected[2] is None)


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ([info("x", [1, 4, 8, 8])], "1 or 3 channels"),
        ([info("x", [1, 3, 8])], "four dimensions"),
        ([info("x", [1, 3, 2, 8, 8])], "four dimensions"),
        ([info("x", None)], "'x' float32 of unknown rank"),
        ([info("x", [1, 3, 8, 8], TensorProto.DOUBLE)], "float64"),
        ([info("x", [1, 3, 8, 8], TensorProto.INT64)], "int64"),
        ([info("x", [1, 3, 8, 8], TensorProto.STRING)], "string"),
        ([info("x", [1, 3, 8, 8], TensorProto.BFLOAT16)], "bfloat16"),
        ([info("x", [1, 3, 8, 8]), info("mask", [1, 5])], "'mask' float32 [1, 5]"),
    ],
)
def test_inputs_that_take_no_images_are_refused(network, inputs, says):
    """The message lists what was found."""
    plain(network, inputs, [info("y", [None, 5])])
    assert says in reason(network.resolve({"path": "model.onnx"}), ModelErrorKind.UNSUPPORTED_INPUT)


def test_no_input_at_all_is_refused(network):
    """A graph of constants embeds nothing."""
    node = helper.make_node("Constant", [], ["y"], value_float=1.0)
    network.save(helper.make_graph([node], "g", [], [info("y", [])]), "model.onnx")
    assert "found none" in reason(network.resolve({"path": "model.onnx"}), ModelErrorKind.UNSUPPORTED_INPUT)


def test_a_fixed_batch_is_kept_and_an_open_one_has_a_default(network):
    """The batch is a function of graph and config alone."""
    network.write("fixed.onnx", batch=1)
    network.write("open.onnx")
    assert [m.batch_size for m in network.resolve({"path": "*.onnx"}).models] == [1, 32]
    fixed, free = network.resolve({"path": "*.onnx", "batch_size": "8"}).models
    assert (fixed.batch_size, free.batch_size) == (1, 8)
    assert "batch_size 8 is not used: the graph's batch of 1 is fixed" in fixed.notes


def test_several_outputs_need_a_name(network):
    """Nothing is guessed: the outputs are listed, and one is named."""
    network.write(outputs=("embedding", "logits"))
    message = reason(network.resolve({"path": "model.onnx"}), ModelErrorKind.UNSUPPORTED_OUTPUT)
    assert "'embedding'" in message
    assert "'logits'" in message
    model = only(network.resolve({"path": "model.onnx", "output": "logits"}))
    assert model.outputs == (Output("embedding", "logits"),)
    assert model.graph_outputs == ("embedding", "logits")


def test_any_tensor_of_the_graph_can_be_named(network):
    """The layer before the head is an embedding too."""
    network.write()
    assert only(network.resolve({"path": "model.onnx", "output": "pooled"})).outputs[0].tensor == "pooled"


def test_an_unknown_output_has_its_nearest_names(network):
    """A slip of the pen is answered with what there is."""
    network.write()
    message = reason(network.resolve({"path": "model.onnx", "output": "poolde"}), ModelErrorKind.UNSUPPORTED_OUTPUT)
    assert "the nearest names are 'pooled'" in message
    message = reason(network.resolve({"path": "model.onnx", "output": "zzz"}), ModelErrorKind.UNSUPPORTED_OUTPUT)
    assert "its outputs are 'embedding'" in message
    message = reason(network.resolve({"path": "model.onnx", "output": "head"}), ModelErrorKind.UNSUPPORTED_OUTPUT)
    assert "no tensor 'head'" in message


@pytest.mark.parametrize("tensor", ["tokens", "features", "map_last"])
def test_more_than_two_dimensions_must_be_pooled_by_name(network, tensor):
    """How positions become one vector is never assumed, for outputs and for inner tensors."""
    network.write("declared.onnx", outputs=(tensor,))
    network.write("inner.onnx")
    for name in ("declared.onnx", "inner.onnx"):
        message = reason(network.resolve({"path": name, "output": tensor}), ModelErrorKind.UNSUPPORTED_OUTPUT)
        assert "`pooling: mean`" in message
        pooled = only(network.resolve({"path": name, "output": tensor, "pooling": "max"}))
        assert pooled.outputs == (Output("embedding", tensor, "max"),)


def test_pooling_without_positions_is_dropped_and_said(network):
    """A vector pooled is the same vector: it shares its rows."""
    network.write()
    model = only(network.resolve({"path": "model.onnx", "pooling": "mean"}))
    assert model.outputs == (Output("embedding", "embedding"),)
    assert any("pooling mean has nothing to do" in note for note in model.notes)


def test_declared_maps_of_channels_last_models_are_channels_last(network):
    """A model that takes [N, h, w, c] gives it; inside the graph channels are on axis 1."""
    network.write("last.onnx", layout="nhwc", outputs=("map_last",))
    declared = only(network.resolve({"path": "last.onnx", "pooling": "mean"}))
    inner = only(network.resolve({"path": "last.onnx", "output": "features", "pooling": "mean"}))
    assert [m.outputs[0].channels_last for m in (declared, inner)] == [True, False]


@pytest.mark.parametrize(
    ("output", "says"),
    [
        (info("y", [5]), "no row per image"),
        (info("y", []), "no row per image"),
        (info("y", [49, 5]), "N = 2"),
        (info("y", [2, 5], TensorProto.INT64), "not of a floating type"),
        (info("y", [2, 5], TensorProto.BFLOAT16), "not of a floating type"),
        (helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, [2, 5]), "sequence"),
    ],
)
def test_outputs_that_are_no_rows_are_refused(network, output, says):
    """One vector of floating numbers per image, or a reason."""
    plain(network, [info("x", [2, 3, 8, 8])], [output])
    assert says in reason(network.resolve({"path": "model.onnx"}), ModelErrorKind.UNSUPPORTED_OUTPUT)


def test_rounding_of_float64_outputs_is_said(network):
    """Tables hold float32."""
    plain(network, [info("x", [2, 3, 8, 8])], [info("y", [2, 5], TensorProto.DOUBLE)])
    assert any("rounded to float32" in note for note in only(network.resolve({"path": "model.onnx"})).notes)


def test_the_model_carries_its_preprocessing(network):
    """What an exporter wrote into the model is used, and the config stands over it."""
    network.write(size=("h", "w"), metadata={"evaljobs.preprocessing": json.dumps({"size": [8, 6], "mean": [0.5]})})
    model = only(network.resolve({"path": "model.onnx"}))
    assert (model.pixels.geometry.height, model.pixels.geometry.width) == (8, 6)
    assert model.pixels.sources["mean"] == "metadata"
    other = only(network.resolve({"path": "model.onnx", "preprocessing": {"size": "9"}}, preprocessing={"mean": "0"}))
    assert (other.pixels.geometry.width, other.pixels.normalisation.mean) == (9, (0, 0, 0))


@pytest.mark.parametrize("external", [None, "w.bin"])
def test_the_documented_way_to_write_metadata_works(network, monkeypatch, external):
    """The example in the docs writes the preprocessing into a model, and keeps what was there."""
    network.write(size=("h", "w"), metadata={"signature": "s"}, external=external)
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(network.folder)
    exec(example, {})  # noqa: S102 - our own example
    model = only(network.resolve({"path": "model.onnx"}))
    assert model.metadata["signature"] == "s"
    assert model.pixels.geometry.height == 112
    assert Session(model, Runtime()).run(np.zeros((1, 112, 112, 3), np.uint8))["embedding"].shape == (
        1,
        5,
    )


def test_bad_preprocessing_refuses_that_model_alone(network):
    """Invalid metadata and an open size end a model, not the run."""
    network.write("a.onnx", metadata={"evaljobs.preprocessing": "{"})
    network.write("b.onnx", size=("h", "w"))
    network.write("c.onnx")
    resolved = network.resolve({"path": "*.onnx"})
    assert [m.name for m in resolved.models] == ["c"]
    assert [(r.name, r.kind) for r in resolved.refused] == [
        ("a", ModelErrorKind.PREPROCESSING),
        ("b", ModelErrorKind.PREPROCESSING),
    ]


def test_sixteen_bit_and_raw_inputs_are_known(network):
    """float16 and uint8 inputs are fed in their type."""
    network.write("a.onnx", dtype=TensorProto.FLOAT16)
    network.write("b.onnx", dtype=TensorProto.UINT8, layout="nhwc")
    half, raw = network.resolve({"path": "*.onnx"}).models
    assert (half.input.dtype, raw.input.dtype, raw.input.layout) == ("float16", "uint8", "nhwc")
    assert half.pixels.normalisation is not None
    assert raw.pixels.normalisation is None


def test_old_files_without_symbols_resolve(network):
    """Models whose open axes are -1 come from real exporters."""
    model = onnx.load(network.write())
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = -1
    (network.folder / "model.onnx").write_bytes(model.SerializeToString())
    assert only(network.resolve({"path": "model.onnx"})).batch_size == 32
