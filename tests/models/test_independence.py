"""Rows are properties of their images alone: models that mix a batch are run one by one, or refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from evaljobs.errors import ModelError, ModelErrorKind
from evaljobs.models import session as sessions
from evaljobs.models.independence import rows_are_independent

Nodes = list[Any]
WEIGHTS = {"axes": np.array([2, 3], np.int64), "kernel": np.linspace(-1, 1, 9 * 3 * 9, dtype=np.float32)}
SOFTMAX = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("Softmax", ["f"], ["y"], axis=0)]
MAXIMUM = [
    helper.make_node("Flatten", ["x"], ["f"]),
    helper.make_node("ReduceMax", ["f"], ["m"], axes=[0], keepdims=1),
    helper.make_node("Sub", ["f", "m"], ["y"]),
]
RANDOM = [
    helper.make_node("Flatten", ["x"], ["f"]),
    helper.make_node("RandomNormalLike", ["f"], ["noise"]),
    helper.make_node("Add", ["f", "noise"], ["y"]),
]


@pytest.fixture(autouse=True)
def nothing_checked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sessions, "_independent", {})
    return


def write(network: Any, nodes: Nodes, batch: int | str = "n", weights: dict[str, Any] | None = None) -> None:
    network.save(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, 8, 6])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, None])],
            [numpy_helper.from_array(v, k) for k, v in (weights or {}).items()],
        ),
        "model.onnx",
    )


def error_of(network: Any, block: NDArray[np.uint8], **entry: Any) -> str:
    with pytest.raises(ModelError) as caught:
        network.open(**entry).run(block)
    assert caught.value.kind is ModelErrorKind.UNSUPPORTED_OUTPUT
    return str(caught.value)


@pytest.mark.parametrize("nodes", [SOFTMAX, MAXIMUM], ids=["softmax", "maximum"])
@pytest.mark.parametrize("size", [2, 3, 4, 32])
def test_rows_that_depend_on_their_neighbours_are_run_one_by_one(
    network: Any, block: Any, nodes: Nodes, size: int
) -> None:
    """Whatever the batch that was asked for: an image has the same bytes alone, in company and at another place."""
    write(network, nodes)
    session = network.open(batch_size=str(size))
    assert session.batch_size() == 1
    rows = session.run(block)["embedding"]
    np.testing.assert_array_equal(rows[3:], session.run(block[3:])["embedding"])
    np.testing.assert_array_equal(rows[::-1], session.run(np.ascontiguousarray(block[::-1]))["embedding"])


class OneBit:
    """A kernel that rounds in another way at one place of the batch: each value there differs in its last bit."""

    def __init__(self, place: int) -> None:
        self.place = place

    def __call__(self, batch: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        rows = batch.reshape(len(batch), -1).astype(np.float32) + 1
        rows[self.place] = np.nextafter(rows[self.place], np.float32(np.inf))
        return {"embedding": rows}


@pytest.mark.parametrize("size", [2, 3, 4, 5, 32, 33])
def test_one_bit_at_one_place_is_found(network: Any, size: int) -> None:
    """At the first place, the last or any other."""
    network.write()
    (model,) = network.resolve({"path": "model.onnx", "batch_size": str(size)}).models
    for place in range(size):
        assert not rows_are_independent(model, OneBit(place))


def test_fixed_batch_that_mixes_images_is_refused_and_rounding_is_not(network: Any, block: Any) -> None:
    """No setting helps a graph that fixes its batch: the message says what does. Last bits are no reason."""
    write(network, MAXIMUM, batch=4)
    assert error_of(network, block).endswith("fixes a batch of 4; export it with a batch of 1 or an open one")
    network.write("fixed.onnx", batch=4)
    (model,) = network.resolve({"path": "fixed.onnx"}).models
    assert not rows_are_independent(model, OneBit(1))


@pytest.mark.parametrize("size", [1, 4])
def test_random_rows_are_refused(network: Any, block: Any, size: int) -> None:
    """No batch size makes them rows of images, so none is advised."""
    write(network, RANDOM)
    message = error_of(network, block, batch_size=str(size))
    assert "'y' is random" in message
    assert "batch_size" not in message


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 32])
@pytest.mark.parametrize("output", ["embedding", "logits", "pooled", "tokens"])
def test_ordinary_models_pass(network: Any, oracle: Any, block: Any, output: str, size: int, threads: int) -> None:
    """Convolutions, products and pooling give the rows of their images, checked or not."""
    network.write(outputs=(output,))
    entry = {"batch_size": str(size), **({"pooling": "mean"} if output == "tokens" else {})}
    rows = network.open(threads=threads, **entry).run(block)["embedding"]
    expected = oracle(block, output)
    expected = expected.mean(axis=1) if output == "tokens" else expected
    np.testing.assert_allclose(rows, expected, rtol=1e-4, atol=1e-4)


def test_a_model_is_checked_once(network: Any, block: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs three batches in a process; another batch size or number of threads is another thing to check."""
    network.write()
    checked = []

    def count(model: Any, run_batch: Any) -> bool:
        checked.append(model.batch_size)
        return rows_are_independent(model, run_batch)

    monkeypatch.setattr(sessions, "rows_are_independent", count)
    for _ in range(2):
        session = network.open(batch_size="4")
        session.run(block)
        session.run(block)
    assert checked == [4]
    network.open(batch_size="3").run(block)
    network.open(batch_size="3", threads=2).run(block)
    assert checked == [4, 3, 3]


def test_a_model_that_was_refused_is_refused_again(network: Any, block: Any) -> None:
    """A session that is loaded again, as pools do it, does not let it through."""
    write(network, MAXIMUM, batch=4)
    first = error_of(network, block)
    assert error_of(network, block[2:]) == first
