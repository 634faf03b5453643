"""A batch that does not fit the memory: the whole model runs with a smaller one, and the results say so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper

# Elements of the scratch tensor for a batch of n: n ** 20 * 2 ** 18, so 1 MiB for one image, 1 TiB for two.
_POWER, _ELEMENTS = 20, 2**18


def greedy_nodes() -> list[Any]:
    """Return nodes that add nothing to the rows, and need scratch memory of the 20th power of the batch."""

    def constant(name: str, values: Any) -> Any:
        return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(values, np.int64), name))

    return [
        constant("zero_axis", [0]),
        constant("power", _POWER),
        constant("elements", [_ELEMENTS]),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "zero_axis"], ["n"]),
        helper.make_node("Pow", ["n", "power"], ["times"]),
        helper.make_node("Mul", ["times", "elements"], ["scratch_shape"]),
        helper.make_node("ConstantOfShape", ["scratch_shape"], ["scratch"]),
        helper.make_node("ReduceMax", ["scratch"], ["nothing"], keepdims=0),
        helper.make_node("Add", ["y", "nothing"], ["rows"]),
    ]


@pytest.fixture
def greedy(bench: Any) -> Any:
    bench.images().model("modest", seed=1)
    bench.model("greedy", seed=2, extra=greedy_nodes(), output="rows")
    bench.config["models"] = [{"path": "models/*.onnx", "batch_size": "4"}]
    return bench


def test_too_large_batch_is_halved_for_the_whole_model(greedy: Any) -> None:
    """It ends with a batch of one, and the results say so and are those of the same rows; the others stay."""
    assert greedy.run().exit_code == 0
    entry, modest = greedy.model_entry("greedy"), greedy.model_entry("modest")
    assert (entry["batch_size"], modest["batch_size"]) == (1, 4)
    assert entry["notes"][-1] == "batches of 1 in place of 4 images, which did not fit the memory"
    assert not any("fit" in note for note in modest["notes"])
    assert entry["status"] == "ok"
    twin = greedy.model("twin", seed=2)
    greedy.run(overwrite=True)
    twin.unlink()
    points = [greedy.evaluation(name)["result"]["points"] for name in ("greedy", "twin")]
    assert points[0] == points[1]


def test_what_did_not_fit_is_not_tried_again(greedy: Any, without_execution: Any) -> None:
    """A second run computes nothing, and its results are the same."""
    greedy.run()
    first = without_execution(greedy.results())
    greedy.run()
    assert greedy.computed() == (0, 0, 0)
    assert without_execution(greedy.results()) == first


def test_model_that_fits_with_no_batch_is_lost_alone(greedy: Any) -> None:
    """Where a fixed batch does not fit, that model fails with its reason, and the others go on."""
    greedy.model("fixed", seed=3, extra=greedy_nodes(), output="rows")
    path = greedy.folder / "models" / "fixed.onnx"
    import onnx

    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    onnx.save(model, path)
    assert greedy.run().exit_code == 1
    assert greedy.model_entry("fixed")["error"]["kind"] == "out_of_memory"
    assert greedy.model_entry("modest")["status"] == "ok"
