"""A batch that does not fit the memory: the whole model runs with a smaller one, and the results say so."""

from __future__ import annotations

import dataclasses
import os
import signal
from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper

from evaljobs.config import load
from evaljobs.engine.embedding import ModelLoad, build_embedder
from evaljobs.engine.forecast import forecast
from evaljobs.progress import Quiet
from evaljobs.run import setup
from evaljobs.run.memory import memory_of
from raycluster.connection.connect import Cluster
from raycluster.pool.crew import Crew
from raycluster.sensors.capacity import memory_bytes

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


def test_batch_that_did_not_fit_is_tried_again_where_there_is_more(
    greedy: Any, without_execution: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine with no more memory it is not tried; on a larger one once, and where it fits it is used."""
    found: list[Any] = []
    for memory, tried in [(8, True), (8, False), (4, False), (16, True), (12, False), (None, False)]:
        monkeypatch.setattr("evaljobs.run.memory.memory_bytes", lambda _, memory=memory: memory and memory * 2**30)
        assert greedy.run().exit_code == 0
        assert (greedy.computed()[0] > 0) == tried, memory
        found.append(without_execution(greedy.results()))
    assert all(one == found[0] for one in found)
    assert greedy.model_entry("greedy")["batch_size"] == 1
    path = greedy.write()
    for memory, embeddings in [(16, 0), (17, 30)]:
        assert forecast(load(path), path, Quiet(), lambda _, memory=memory: memory * 2**30).embeddings == embeddings  # type: ignore[misc]


def test_memory_of_a_cluster_is_that_of_its_machines(cluster: Cluster) -> None:
    """Those are asked that do such work; where there is none yet, nobody knows."""
    joined = dataclasses.replace(cluster, embedded=False)
    assert memory_of(joined)("cpu") == memory_of(None)("cpu") == memory_bytes("cpu")
    assert memory_of(joined)("cuda") is None


def test_memory_is_asked_for_until_it_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that starts its nodes by itself has none at first; what is known stays. Actors share their GPU's."""
    answers = iter([None, 8, 6, 5])
    monkeypatch.setattr("evaljobs.run.memory._least", lambda *_: next(answers))
    memory = memory_of(None, gpu_actors=2)
    assert [memory(device) for device in ("cpu", "cpu", "cpu", "cuda", "cpu", "cuda")] == [None, 8, 8, 3, 8, 3]


def test_batch_that_a_process_dies_of_for_its_memory_is_halved(greedy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel of its machine has ended processes meanwhile; it is no crash."""

    def build(*arguments: Any) -> Any:
        embedder = build_embedder(*arguments)

        def process(request: ModelLoad, block: Any) -> Any:
            if request.model.name == "greedy" and request.model.batch_size > 2:
                os.kill(os.getpid(), signal.SIGKILL)
            return embedder(request, block)

        return process

    monkeypatch.setattr(setup, "build_embedder", build)
    monkeypatch.setattr(Crew, "died_of_memory", lambda *_: True)
    greedy.model("greedy", seed=2)
    assert greedy.run().exit_code == 0
    entry = greedy.model_entry("greedy")
    assert (entry["status"], entry["batch_size"]) == ("ok", 2)
    assert greedy.model_entry("modest")["batch_size"] == 4
    assert greedy.computed()[1:] == (60, 2)


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
