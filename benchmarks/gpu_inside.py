"""The steps of the benchmark of a GPU inside one process: what a batch costs, and what settings change."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from gpu_data import ResNet
from gpu_running import BATCHES, check, write_config
from gpu_watch import on_gpu
from numpy.typing import NDArray

from evaljobs.config import load
from evaljobs.errors import ModelError, ModelErrorKind
from evaljobs.images.decode import decode
from evaljobs.models.model import Model
from evaljobs.models.options import Device, GpuOptions, Runtime
from evaljobs.models.resolve import resolve
from evaljobs.models.session import Session

Rows = NDArray[np.floating[Any]]


def breakdown(folder: Path, device: Device) -> None:
    """Measure what a batch costs inside the embedding process, and whether rows are equal every time."""
    print("\n| batch | normalise, images/s | session with its input on the device, images/s | both in turn, images/s |")
    print("| --- | --- | --- | --- |")
    models = [resolve(load(write_config(folder, batch), ()), folder).models[0] for batch in BATCHES]
    images = sorted((folder / "images").iterdir())[: 4 * max(BATCHES)]
    block = np.stack([decode(path.read_bytes(), models[0].pixels.geometry) for path in images])
    notes = []
    for model in models:
        session = Session(model, Runtime(device))
        first = session.run(block)["embedding"]
        both = rate(lambda s=session: s.run(block), len(block))
        fed, alone = feed_rate(model, block), bare_rate(model, block, device)
        print(f"| {model.batch_size} | {fed:.0f} | {alone:.0f} | {both:.0f} |", flush=True)
        again = np.array_equal(first, session.run(block)["embedding"])
        anew = np.array_equal(first, Session(model, Runtime(device)).run(block)["embedding"])
        notes.append((f"batch {model.batch_size}: equal rows in a second call, and in a new session", again and anew))
        notes.append(("and rows do not depend on their batch", session.batch_size() == model.batch_size))
    print()
    for name, holds in notes:
        check(name, holds)
    on_cpu = Session(models[0], Runtime(threads=os.cpu_count() or 1)).run(block[: BATCHES[0]])["embedding"]
    on_device = Session(models[0], Runtime(device)).run(block[: BATCHES[0]])["embedding"]
    print(f"- 1 - cosine between rows of the devices: at most {1 - (unit(on_device) * unit(on_cpu)).sum(1).min():.1e}")


def feed(model: Model, block: NDArray[np.uint8]) -> Rows:
    """Normalise a block as a session does."""
    if model.pixels.normalisation is None:
        raise ValueError("the model takes raw pixels")
    return model.pixels.normalisation.apply(block)


def feed_rate(model: Model, block: NDArray[np.uint8]) -> float:
    """Return how many images a second are normalised."""
    size = model.batch_size
    return rate(lambda: [feed(model, block[i : i + size]) for i in range(0, len(block), size)], len(block))


def bare_rate(model: Model, block: NDArray[np.uint8], device: Device) -> float:
    """Return what the device alone does: its input lies there already, and its output stays there."""
    size, runtime = model.batch_size, Runtime(device)
    session = onnxruntime.InferenceSession(model.path, providers=[(runtime.provider, runtime.provider_options())])
    binding = session.io_binding()
    there = onnxruntime.OrtValue.ortvalue_from_numpy(feed(model, block[:size]), device, 0)
    binding.bind_ortvalue_input(model.input.name, there)
    binding.bind_output(model.graph_outputs[0], device)
    return rate(lambda: session.run_with_iobinding(binding), size)


def unit(rows: Rows) -> Rows:
    """Return rows of length one, in float64."""
    wide = rows.astype(np.float64)
    return wide / np.linalg.norm(wide, axis=1, keepdims=True)


def rate(call: Callable[[], object], images: int) -> float:
    """Return images per second: the median of five calls after one to warm up."""
    taken = []
    for _ in range(6):
        begin = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begin)
    return images / statistics.median(taken[1:])


def settings(folder: Path, device: Device) -> None:
    """Measure what the settings of a GPU change, and a model in float16."""
    config = write_config(folder, BATCHES[-1])
    model, block = _model(folder, config.name), _block(folder, 4 * BATCHES[-1])
    print("\n| | images/s | MiB on the GPU | 1 - cosine to the first |")
    print("| --- | --- | --- | --- |")
    expected = None
    for name, gpu in SETTINGS.items():
        session = Session(model, Runtime(device, gpu=gpu))
        rows = session.run(block)["embedding"]
        expected = rows if expected is None else expected
        _print_row(name, session, block, expected)
        del session
    path = folder / "half.onnx"
    if not path.exists():
        onnx.save(ResNet(seed=0, dtype=np.float16).build(), path)
    config = folder / "half.yaml"
    config.write_text(write_config(folder, BATCHES[-1]).read_text().replace("resnet50.onnx", "half.onnx"))
    if expected is not None:
        _print_row("weights in float16", Session(_model(folder, "half.yaml"), Runtime(device)), block, expected)
    try:
        Session(model, Runtime(device, gpu=GpuOptions(memory_mb=1000))).run(block)
        found = "it ran"
    except ModelError as error:
        found = str(error)
        check("an arena too small for the batch is out of memory", error.kind is ModelErrorKind.OUT_OF_MEMORY, found)
    else:
        check("an arena too small for the batch is out of memory", device == "cpu", found)


SETTINGS = {
    "as they are: heuristic, without TF32": GpuOptions(),
    "TF32": GpuOptions(tf32=True),
    "conv_search: default": GpuOptions(conv_search="default"),
    "conv_search: exhaustive": GpuOptions(conv_search="exhaustive"),
    "memory_mb: 8000": GpuOptions(memory_mb=8000),
}


def _print_row(name: str, session: Session, block: NDArray[np.uint8], expected: Rows) -> None:
    rows = session.run(block)["embedding"]
    fast = rate(lambda: session.run(block), len(block))
    held = sum(held for _, held in on_gpu())
    print(f"| {name} | {fast:.0f} | {held:,} | {1 - (unit(rows) * unit(expected)).sum(1).min():.1e} |", flush=True)


def _model(folder: Path, config: str) -> Model:
    return resolve(load(folder / config, ()), folder).models[0]


def _block(folder: Path, images: int) -> NDArray[np.uint8]:
    geometry = _model(folder, write_config(folder, BATCHES[0]).name).pixels.geometry
    paths = sorted((folder / "images").iterdir())[:images]
    return np.stack([decode(path.read_bytes(), geometry) for path in paths])


def batches(folder: Path, device: Device) -> None:
    """See that a model whose rows depend on their batch is run with one image at a time, and others are not."""
    (folder / "tiny").mkdir(exist_ok=True)
    for name, mixes in (("mixes", True), ("apart", False)):
        onnx.save(_mixing(mixes=mixes), folder / "tiny" / f"{name}.onnx")
        config = folder / "tiny" / f"{name}.yaml"
        text = "images: {folder: ../images}\nmodels: [{path: NAME.onnx, batch_size: 8}]\n"
        config.write_text(text.replace("NAME", name))
        (model,) = resolve(load(config, ()), folder / "tiny").models
        session = Session(model, Runtime(device))
        check(f"{name}: the batch it is run with", session.batch_size() == (1 if mixes else 8), session.batch_size())
        print(f"- provider: {session.provider}")


def _mixing(*, mixes: bool) -> onnx.ModelProto:
    """Return a model of 3x16x16 pixels; one that mixes takes the batch's mean off its rows."""
    weight = np.random.default_rng(0).standard_normal((768, 32)).astype(np.float32)
    helper = onnx.helper
    nodes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["rows"]),
        helper.make_node("ReduceMean", ["rows"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["rows", "mean"], ["apart"]),
    ]
    found = "apart" if mixes else "rows"
    values: dict[str, list[str | int | None]] = {"images": ["n", 3, 16, 16], found: ["n", 32]}
    images, rows = (helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, shape) for n, shape in values.items())
    weights = [onnx.numpy_helper.from_array(weight, "weight")]
    graph = helper.make_graph(nodes if mixes else nodes[:2], "tiny", [images], [rows], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
