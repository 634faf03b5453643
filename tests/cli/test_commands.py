"""The command line: exit codes, messages without tracebacks, numbers on standard output, nothing started needlessly."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import evaljobs

Command = Callable[..., Any]


# Arguments and configurations


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "--nope", "a.yaml"], "No such option '--nope'"),
        (["frobnicate"], "No such command 'frobnicate'"),
        (["run"], "Missing argument 'CONFIG'"),
        (["score"], "Missing argument 'TABLE'"),
        (["score", "a.npz", "--threads", "0"], "0 is not in the range"),
    ],
)
def test_wrong_arguments_are_usage_errors(command: Command, arguments: list[str], expected: str) -> None:
    """Exit code 2, and what is wrong with them."""
    command(*arguments).refused(expected)


@pytest.mark.parametrize("name", ["run", "plan"])
def test_missing_configuration(command: Command, name: str, tmp_path: Path) -> None:
    """The file is named, and the command that writes one to start from."""
    command(name, tmp_path / "missing.yaml").refused("missing.yaml", "evaljobs demo")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["run", "plan"])
def test_bad_configuration(command: Command, name: str, tmp_path: Path) -> None:
    """Every mistake is listed, with the nearest key; nothing is made."""
    path = tmp_path / "bad.yaml"
    path.write_text("images: {foldr: a}\nmodels: [a.onnx]\n")
    command(name, path, "--set", "fpr=7").refused("foldr", "did you mean 'folder'?", "7 is not", "nothing was started")
    assert list(tmp_path.iterdir()) == [path]


def test_help_and_version(command: Command) -> None:
    """Both succeed on standard output; the version is that of the package."""
    assert command("--version") == (0, f"evaljobs {evaljobs.__version__}\n", "")
    done = command("--help")
    assert done.code == 0
    assert {"compare", "demo", "plan", "run", "schema", "score"} <= set(done.out.split())


def test_schema_is_a_json_schema(command: Command) -> None:
    """It can be given to an editor as it is printed."""
    done = command("schema")
    assert (done.code, done.err) == (0, "")
    schema = json.loads(done.out)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert {"images", "models", "fpr", "jobs"} <= set(schema["properties"])


# Plans


@pytest.fixture
def benchmark(tmp_path: Path) -> Path:
    """Write six images of three labels, one model and a configuration."""
    for number in range(6):
        path = tmp_path / "images" / f"label{number % 3}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    weights = np.random.default_rng(0).standard_normal((48, 2)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(weights, "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    config = tmp_path / "benchmark.yaml"
    config.write_text("images: {folder: images}\nmodels: [m.onnx]\nstore: store\n")
    return config


def test_plan_says_what_a_run_would_do(command: Command, benchmark: Path) -> None:
    """Counts of what is missing, as versioned JSON on standard output and in words; no output folder is made."""
    done = command("plan", benchmark, "--json")
    assert done.code == 0
    found = json.loads(done.out)
    assert found["version"] == 1
    counts = ("images", "models", "evaluations", "evaluations_cached", "decodes", "embeddings", "pairs")
    assert [found[name] for name in counts] == [6, 1, 1, 0, 6, 6, 15]
    assert found["decoded_bytes"] == 6 * 4 * 4 * 3
    assert found["seconds"] is None
    text = command("plan", benchmark, "--set", "images.limit=4")
    assert text.code == 0
    assert "4 images" in text.out
    assert "not known" in text.out
    assert {path.name for path in benchmark.parent.iterdir()} == {"benchmark.yaml", "images", "m.onnx", "store"}


def test_plan_starts_no_ray(benchmark: Path) -> None:
    """It does not even import it, nor the runtime of the models, nor what compares pairs."""
    program = (
        f"import sys\nsys.argv = ['evaljobs', 'plan', {str(benchmark)!r}, '--json']\n"
        "from evaljobs.cli import main\n"
        "try:\n    main()\n"
        "finally:\n    print([m for m in ('ray', 'onnxruntime', 'numba') if m in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=240)
    assert json.loads(done.stdout)["images"] == 6
    assert done.stderr.splitlines()[-1] == "[]"
