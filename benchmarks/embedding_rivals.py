"""What evaljobs' engine is measured against, each a command of its own.

    python benchmarks/embedding_rivals.py stream|sweep|script|pool-per-model|decoded-once|one-pool TASK.json

`TASK.json` is written by `embedding.py`. Each prints a line of JSON: unix seconds of what it did when, and the
sum of all its rows, so that nothing is left out by anybody. `stream` and `sweep` are bare loops of two processes with
evaljobs' decoder and normalisation, the same session options, no Ray and no store. `script` is what people
write, one process a model. The others are Ray Data, as its documentation recommends it; they need
`pip install 'ray[data]'`.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import logging
import mmap
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from embedding_turns import RUNNING
from numpy.typing import NDArray
from PIL import Image

BATCH = 32
PROCESSES = 2
Pixels = NDArray[np.uint8]
Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class Task(NamedTuple):
    """What is to be done: images, models, and the configuration that says the same to evaljobs."""

    images: list[str]
    models: list[str]
    config: str
    size: tuple[int, int]
    bgr: bool
    mean: list[float]
    std: list[float]


class Slice(NamedTuple):
    """A part of the images."""

    start: int
    stop: int


def halves(count: int) -> list[Slice]:
    """Return a part of the images for each process."""
    bounds = [count * number // PROCESSES for number in range(PROCESSES + 1)]
    return [Slice(*pair) for pair in itertools.pairwise(bounds)]


# Bare loops: the pixels of evaljobs, and sessions with the same options


@functools.cache
def first_model(config: str) -> Any:
    """Return the first model of a configuration, as evaljobs resolves it: all of a task have its pixels."""
    from evaljobs.config import load
    from evaljobs.models.resolve import resolve

    path = Path(config)
    return resolve(load(path), path.parent).models[0]


def decoded(uris: Sequence[str], config: str) -> Pixels:
    """Read and decode images: uint8 ``[n, h, w, c]``."""
    from evaljobs.images.decode import decode

    geometry = first_model(config).pixels.geometry
    return np.stack([decode(Path(uri).read_bytes(), geometry) for uri in uris])


def embedded(run: Run, pixels: Pixels, config: str) -> float:
    """Embed pixels, batch after batch; return the sum of the rows."""
    normalisation = first_model(config).pixels.normalisation
    batches = (pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH))
    return float(sum(run(normalisation.apply(batch, "nchw")).sum() for batch in batches))


def stream(task: Task) -> dict[str, Any]:
    """Embed with one model, each process its half of the images, batch after batch."""
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        ready = pool.map(functools.partial(_stream_part, task, Slice(0, BATCH)), range(PROCESSES), chunksize=1)
        Path(task.config).with_name(RUNNING).touch()
        start = time.time()
        sums = pool.starmap(_stream_part, [(task, part, 0) for part in halves(len(task.images))], chunksize=1)
        stop = time.time()
    return {"working": [start, stop], "sum": sum(sums), "warm": len(ready)}


def _stream_part(task: Task, part: Slice, _: int) -> float:
    from evaljobs.engine.heap import keep_freed_memory

    keep_freed_memory()
    run = _opened(task.models[0])
    batches = (task.images[part.start + b.start : part.start + b.stop] for b in _batches(part.stop - part.start))
    return sum(embedded(run, decoded(uris, task.config), task.config) for uris in batches)


def same_session(path: str) -> Run:
    """Open a model with the options of evaljobs."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Half the time of loading a small model goes into planning which tensors share a buffer; evaljobs leaves it out.
    options.enable_mem_reuse = False
    return _session(path, options)


@functools.cache
def _opened(path: str) -> Run:
    return same_session(path)


def sweep(task: Task) -> dict[str, Any]:
    """Decode all images once into shared memory, then embed them with model after model, each loaded once."""
    height, width = task.size
    shared = mmap.mmap(-1, len(task.images) * height * width * 3)
    # Forked, so that both see the memory; nothing that dislikes it is imported yet.
    with multiprocessing.get_context("fork").Pool(PROCESSES, _keep, (shared, task)) as pool:
        pool.map(_import, range(PROCESSES), chunksize=1)
        start = time.time()
        pool.map(_decode_part, _batches(len(task.images)))
        decoded_at = time.time()
        sums = sum(pool.imap_unordered(_embed_all, range(len(task.models))))
        stop = time.time()
    return {"working": [start, stop], "decoding": [start, decoded_at], "sum": sums}


_kept: dict[str, Any] = {}


def _keep(shared: mmap.mmap, task: Task) -> None:
    shape = (len(task.images), *task.size, 3)
    _kept.update(task=task, pixels=np.frombuffer(shared, np.uint8).reshape(shape))


def _import(_: int) -> None:
    from evaljobs.engine.heap import keep_freed_memory

    keep_freed_memory()
    first_model(_kept["task"].config)
    _opened(_kept["task"].models[0])
    time.sleep(0.2)  # so that each process takes one of these


def _batches(count: int) -> list[Slice]:
    return [Slice(start, min(start + BATCH, count)) for start in range(0, count, BATCH)]


def _decode_part(part: Slice) -> None:
    task = _kept["task"]
    _kept["pixels"][part.start : part.stop] = decoded(task.images[part.start : part.stop], task.config)


def _embed_all(number: int) -> float:
    task = _kept["task"]
    return embedded(same_session(task.models[number]), _kept["pixels"], task.config)


# What people write: Pillow, numpy, onnxruntime


def prepared(image: Image.Image, task: Task) -> Pixels:
    """Return an image's pixels at the model's size."""
    height, width = task.size
    pixels = np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR))
    return pixels[..., ::-1] if task.bgr else pixels


def normalised(pixels: Pixels, task: Task) -> NDArray[np.float32]:
    """Return a batch as the model takes it."""
    mean, std = (np.array(of_channels, np.float32) for of_channels in (task.mean, task.std))
    values: NDArray[np.float32] = (pixels.astype(np.float32) / np.float32(255) - mean) / std
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2))


def plain_session(path: str) -> Run:
    """Open a model as it is by itself."""
    import onnxruntime

    return _session(path, onnxruntime.SessionOptions())


def _session(path: str, options: Any) -> Run:
    """Open a model with one thread, as two of them share two cores; that is also what evaljobs does."""
    import onnxruntime

    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda values: session.run(None, {name: values})[0]  # type: ignore[no-any-return]


def script(task: Task) -> dict[str, Any]:
    """Embed with the first model, in two processes, and save the rows: run once for each model."""
    start = time.time()
    with Pool(PROCESSES) as pool:
        parts = pool.starmap(_script_part, [(task, part) for part in halves(len(task.images))], chunksize=1)
    rows = np.concatenate(parts)
    np.save(Path(task.config).with_name("embeddings.npy"), rows)
    return {"working": [start, time.time()], "sum": float(rows.sum())}


def _script_part(task: Task, part: Slice) -> NDArray[np.float32]:
    run, rows = plain_session(task.models[0]), []
    for batch in _batches(part.stop - part.start):
        uris = task.images[part.start + batch.start : part.start + batch.stop]
        pixels = np.stack([prepared(Image.open(uri), task) for uri in uris])
        rows.append(run(normalised(pixels, task)))
    return np.concatenate(rows)


# Ray Data


class Embed:
    """What an actor of Ray Data holds: one model, or several."""

    def __init__(self, task: Task, models: Sequence[str]) -> None:
        self._task = task
        self._sessions = [plain_session(path) for path in models]

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Embed a batch of decoded images."""
        pixels = batch["image"][..., ::-1] if self._task.bgr else batch["image"]
        values = normalised(pixels, self._task)
        return {f"embedding_{number}": run(values) for number, run in enumerate(self._sessions)}


def pool_per_model(task: Task) -> dict[str, Any]:
    """Read and embed with one pipeline after another, a pool of actors for each model."""
    return _with_ray(lambda: (_embedded(_read(task), task, [model]) for model in task.models))


def decoded_once(task: Task) -> dict[str, Any]:
    """Decode once and keep the pixels in the object store; then a pool of actors for each model."""

    def each() -> Iterator[float]:
        pixels = _read(task).materialize()
        for model in task.models:
            yield _embedded(pixels, task, [model])

    return _with_ray(each)


def one_pool(task: Task) -> dict[str, Any]:
    """Embed with one pipeline whose actors hold all models at once."""
    return _with_ray(lambda: (_embedded(_read(task), task, task.models) for _ in range(1)))


def _with_ray(each: Callable[[], Iterator[float]]) -> dict[str, Any]:
    # Read when it is imported: no token file, no statistics sent.
    os.environ.update(RAY_AUTH_MODE="disabled", RAY_USAGE_STATS_ENABLED="0")
    import ray
    import ray.data

    ray.init("local", num_cpus=PROCESSES, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    start = time.time()
    total = sum(each())
    return {"working": [start, time.time()], "sum": total}


def _read(task: Task) -> Any:
    import ray.data

    return ray.data.read_images(task.images, size=task.size, mode="RGB")


def _embedded(pixels: Any, task: Task, models: Sequence[str]) -> float:
    """Embed with a pool of actors, and take the rows in."""
    import ray.data

    # One core each would leave none for reading.
    rows = pixels.map_batches(
        Embed,
        fn_constructor_args=(task, models),
        batch_size=BATCH,
        num_cpus=0.5,
        compute=ray.data.ActorPoolStrategy(size=PROCESSES),
    )
    return float(sum(value.sum() for batch in rows.iter_batches(batch_size=None) for value in batch.values()))


CONTENDERS = {
    "stream": stream,
    "sweep": sweep,
    "script": script,
    "pool-per-model": pool_per_model,
    "decoded-once": decoded_once,
    "one-pool": one_pool,
}


def main() -> None:
    """Carry a task out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("task", type=Path)
    options = parser.parse_args()
    task = Task(**json.loads(options.task.read_text()))
    print(json.dumps(CONTENDERS[options.contender](task)))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
