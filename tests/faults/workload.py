"""A benchmark that keeps two cores busy for some seconds, and what must be the same however often it is killed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pyarrow as pa
import yaml
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from evaljobs.config import load
from evaljobs.progress import Quiet
from evaljobs.run import Options, run

SIDE, CHANNELS, DIMENSIONS = 48, 24, 8
TIMEOUT_S = 280


def write_workload(folder: Path, images: int = 240, models: int = 4) -> Path:
    """Write images of noise under a pattern of their label, convolutional models, and the configuration.

    The memory for decoded images is so small that there are many shards, in several windows.
    """
    for number in range(images):
        label = number % 12
        pattern = np.random.default_rng(label).integers(0, 256, (SIDE, SIDE, 3))
        noise = np.random.default_rng([label, number]).integers(0, 256, (SIDE, SIDE, 3))
        path = folder / "images" / f"label{label}" / f"{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(((pattern + 2 * noise) // 3).astype(np.uint8)).save(path)
    (folder / "models").mkdir()
    for seed in range(models):
        onnx.save(_model(seed), folder / "models" / f"model{seed}.onnx")
    config = {
        "images": {"folder": "images"},
        "models": [{"path": "models/*.onnx"}],
        "jobs": [{"name": "verification"}],
        "preprocessing": {"size": [SIDE, SIDE], "mean": [0.0], "std": [1.0]},
        "fpr": ["1e-3", "1e-2", "0.1", "1"],
        "store": "store",
        "out": "results",
        "report": False,
        "cluster": {"memory_mb": 1},
    }
    (folder / "benchmark.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder / "benchmark.yaml"


def _model(seed: int) -> onnx.ModelProto:
    """Two convolutions and a mean over all places: some ten milliseconds an image on one core."""
    rng = np.random.default_rng(seed)
    weights = {
        "w1": rng.standard_normal((CHANNELS, 3, 5, 5)) / 9,
        "w2": rng.standard_normal((CHANNELS, CHANNELS, 5, 5)) / 25,
        "w3": rng.standard_normal((CHANNELS, DIMENSIONS)),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "w2"], ["c"]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("ReduceMean", ["d"], ["e"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["e", "w3"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "convolutions",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", DIMENSIONS])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


class Expected(NamedTuple):
    """What an undisturbed run leaves: a digest of each row by table and image digest, its results, how many parts."""

    rows: dict[tuple[str, bytes], str]
    results: str
    parts: int


def carry_out(config: Path) -> None:
    """Carry it out on the Ray of this process, where nobody disturbs it: starting one takes longer than the run."""
    finished = run(load(config), config, Quiet(), Options())
    assert finished.exit_code == 0


class Run:
    """A running `evaljobs run`."""

    def __init__(
        self,
        config: Path,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] = ("-m", "evaljobs"),
    ) -> None:
        self.config = config
        # A group of its own, as a shell gives it: Ctrl-C reaches the whole group.
        self.popen = subprocess.Popen(
            [sys.executable, *program, "run", str(config), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    def wait(self, timeout_s: float = TIMEOUT_S) -> tuple[int, str]:
        """Return exit code and output."""
        output, _ = self.popen.communicate(timeout=timeout_s)
        return self.popen.returncode, output.decode()

    def kill(self) -> None:
        """Kill the driver alone, as the kernel does that runs out of memory."""
        self.popen.kill()
        self.popen.communicate()

    def signal_group(self, number: int) -> None:
        """Signal it and its children, as a terminal does."""
        os.killpg(self.popen.pid, number)

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a moment in the run; it must come before the end."""
        deadline = time.monotonic() + TIMEOUT_S
        while not condition():
            assert self.running, f"ended too early: {self.wait()}"
            assert time.monotonic() < deadline, "the moment never came"
            time.sleep(0.005)

    def until_parts(self, least: int) -> None:
        """Wait until so many parts are committed."""
        self.until(lambda: self.parts() >= least)

    def parts(self) -> int:
        """Return how many parts of embedding tables are committed."""
        return len(parts(self.config.parent / "store"))


def parts(store: Path) -> list[Path]:
    """Return the committed parts of embedding tables."""
    return sorted((store / "tables").glob("*/part-*.arrow"))


def rows(store: Path) -> dict[tuple[str, bytes], str]:
    """Return a digest of each row's bytes, by table and image digest; rows that stand twice must be equal."""
    found: dict[tuple[str, bytes], str] = {}
    for path in parts(store):
        with pa.OSFile(str(path)) as file:
            table = pa.ipc.open_file(file).read_all()
        images = table["image_digest"].to_pylist()
        outputs = [table[name].combine_chunks() for name in table.column_names if name != "image_digest"]
        matrices = [np.asarray(o.flatten()).reshape(len(o), -1) for o in outputs]
        for number, image in enumerate(images):
            digest = hashlib.sha256(b"".join(matrix[number].tobytes() for matrix in matrices)).hexdigest()
            assert found.setdefault((path.parent.name, image), digest) == digest
    return found


def results(config: Path, out: str = "results") -> str:
    """Return results.json without what may differ between equal runs."""
    document: dict[str, Any] = json.loads((config.parent / out / "results.json").read_text(encoding="utf-8"))
    del document["execution"]
    return json.dumps(document)
