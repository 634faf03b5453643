"""The model key names all that determines the rows, and nothing else."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest

from evaljobs.config import canonical_json
from evaljobs.models.key import key, onnxruntime_version
from evaljobs.models.model import Output
from evaljobs.models.options import GpuOptions, Runtime


@pytest.fixture
def model(network):
    network.write()
    return network.resolve({"path": "model.onnx"}).models[0]


def text_of(model, device="cpu", threads=1):
    return canonical_json(key(model, Runtime(device, threads)))


def test_names_places_and_tags_are_not_in_the_key(network, model):
    """A copy of the model under another name, elsewhere, shares its rows."""
    (network.folder / "deep").mkdir()
    shutil.copy(model.path, network.folder / "deep" / "other.onnx")
    entry = {"path": "deep/other.onnx", "name": "another", "tags": {"a": "b"}}
    other = network.resolve(entry).models[0]
    assert text_of(other) == text_of(model)
    text = json.dumps(key(model, Runtime()))
    assert [word for word in (str(network.folder), "model.onnx", "another") if word in text] == []


def test_whatever_changes_the_rows_changes_the_key(model):
    """Two keys are never one where bytes may differ."""
    output = model.outputs[0]
    pixels = model.pixels
    others = [
        dataclasses.replace(model, digest="0" * 64),
        dataclasses.replace(model, batch_size=1),
        dataclasses.replace(model, outputs=(dataclasses.replace(output, tensor="pooled"),)),
        dataclasses.replace(model, outputs=(dataclasses.replace(output, pooling="max"),)),
        dataclasses.replace(model, outputs=(dataclasses.replace(output, pooling="max", channels_last=True),)),
        dataclasses.replace(model, outputs=(output, Output("logits", "logits"))),
        dataclasses.replace(model, input=dataclasses.replace(model.input, dtype="float16")),
        dataclasses.replace(model, input=dataclasses.replace(model.input, layout="nhwc")),
        dataclasses.replace(model, pixels=dataclasses.replace(pixels, normalisation=None)),
        dataclasses.replace(
            model, pixels=dataclasses.replace(pixels, geometry=dataclasses.replace(pixels.geometry, color="bgr"))
        ),
    ]
    keys = [text_of(model), text_of(model, "cuda"), text_of(model, threads=2), *map(text_of, others)]
    assert len(set(keys)) == len(others) + 3


def test_the_key_is_json(model):
    """It is written into every table, and read back as the same key."""
    found = key(model, Runtime())
    assert json.loads(json.dumps(found)) == found
    assert found["onnxruntime"] == onnxruntime_version()
    assert found["geometry"]["decoder"].startswith("pillow ")


def test_the_version_is_that_of_the_runtime_that_runs():
    """It is asked of the installation, since the key is made where onnxruntime is not imported."""
    import onnxruntime

    assert onnxruntime_version() == onnxruntime.__version__


def test_equal_keys_give_equal_bytes(network, model, block):
    """Two sessions of one key give the same rows to the last bit."""
    from evaljobs.models.session import Session

    other = network.resolve({"path": "model.onnx", "name": "again"}).models[0]
    first, second = (Session(m, Runtime()).run(block)["embedding"] for m in (model, other))
    assert text_of(other) == text_of(model)
    np.testing.assert_array_equal(first, second)


def test_settings_of_a_gpu_change_its_keys_alone(model):
    """What cuDNN may choose changes the rows on a GPU, and nothing on the CPU."""
    settings = [GpuOptions(), GpuOptions(memory_mb=2048), GpuOptions(conv_search="exhaustive"), GpuOptions(tf32=True)]
    on_gpu = [canonical_json(key(model, Runtime("cuda", gpu=gpu))) for gpu in settings]
    assert len(set(on_gpu)) == len(settings)
    assert len({canonical_json(key(model, Runtime(gpu=gpu))) for gpu in settings}) == 1
    options = Runtime("cuda", gpu=GpuOptions(2048, "exhaustive", tf32=True)).provider_options()
    assert options == {
        "gpu_mem_limit": str(2048 * 2**20),
        "cudnn_conv_algo_search": "EXHAUSTIVE",
        "use_tf32": "1",
    }
