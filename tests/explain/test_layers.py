"""Where a model is cut in two: the last layer with places that all of its output goes through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from evaljobs.errors import ModelError
from evaljobs.explain.halved import Halved, find_layer
from evaljobs.models.grid import Grid, grid_of, has_one_stride
from evaljobs.models.options import Runtime
from evaljobs.models.session import Session
from tests.explain.conftest import CHANNELS, HEAD, PLACES, SIDE, Networks

node = helper.make_node
POOLED = [node("Flatten", ["average"], ["pooled"]), node("MatMul", ["pooled", "head"], ["logits"])]


def noise(n: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8)


def check_halves(networks: Networks, nodes: Sequence[onnx.NodeProto], **more: Any) -> Halved:
    """Cut a network where it is found that it can be, and compare both halves with the whole."""
    model = networks.model(networks.write(nodes, **more))
    halved = Halved(model, "embedding", find_layer(model, "embedding"))
    block = noise(3)
    whole = Session(model, Runtime()).run(block)["embedding"]
    assert np.abs(whole).max() > 0
    np.testing.assert_allclose(halved.rows(block), whole, rtol=1e-5, atol=1e-6)
    values = halved.trunk(block)
    assert values.shape == (3, *halved.layer.shape)
    assert halved.layer.grid(values).shape == (3, halved.layer.channels, halved.layer.height, halved.layer.width)
    return halved


def test_last_layer_before_pooling(networks: Networks) -> None:
    """Nobody must name the layer of a plain network, and its halves give what the whole gives."""
    layer = check_halves(networks, ()).layer
    assert (layer.tensor, layer.form, layer.channels, layer.height, layer.width) == ("features", "nchw", 8, 8, 8)


@pytest.mark.parametrize("batch", [1, 4])
def test_fixed_batch(networks: Networks, batch: int) -> None:
    """A graph whose batch is fixed runs in batches of that size."""
    check_halves(networks, (), batch=batch)


def test_a_path_around_a_layer_is_seen(networks: Networks) -> None:
    """A tensor that a shortcut passes by does not explain the output: the one before the branches is taken."""
    nodes = [
        node("Relu", ["conv"], ["twice"]),
        node("Neg", ["features"], ["branch"]),
        node("GlobalAveragePool", ["branch"], ["average"]),
        node("Flatten", ["average"], ["one"]),
        node("GlobalMaxPool", ["twice"], ["most"]),
        node("Flatten", ["most"], ["other"]),
        node("Concat", ["one", "other"], ["logits"], axis=1),
    ]
    assert check_halves(networks, nodes).layer.tensor == "conv"
    model = networks.model(networks.folder / "models" / "model.onnx")
    with pytest.raises(ModelError, match="another path passes it by") as caught:
        find_layer(model, "embedding", "branch")
    assert "Layers that can be named: 'conv': 8 channels at 8 x 8 places" in str(caught.value)


def test_channels_last(networks: Networks) -> None:
    """Channels are found on the last axis where a graph has turned them there."""
    nodes = [
        node("Transpose", ["features"], ["turned"], perm=[0, 2, 3, 1]),
        node("LayerNormalization", ["turned", "scale"], ["normed"]),
        node("ReduceMean", ["normed"], ["average"], axes=[1, 2], keepdims=0),
        node("MatMul", ["average", "head"], ["logits"]),
    ]
    layer = check_halves(networks, nodes, scale=np.linspace(1, 2, CHANNELS, dtype=np.float32)).layer
    assert (layer.tensor, layer.form, layer.channels, layer.height) == ("normed", "nhwc", CHANNELS, PLACES)


def test_sizes_that_a_head_computes_are_no_path(networks: Networks) -> None:
    """A head that reads the batch from the image's shape is cut off all the same, and takes its own batch."""
    nodes = [
        node("GlobalAveragePool", ["features"], ["average"]),
        node("Shape", ["image"], ["shape"], start=0, end=1),
        node("Concat", ["shape", "rest"], ["flat_shape"], axis=0),
        node("Reshape", ["average", "flat_shape"], ["pooled"]),
        node("MatMul", ["pooled", "head"], ["logits"]),
    ]
    halved = check_halves(networks, nodes, rest=np.array([CHANNELS], np.int64))
    assert halved.layer.tensor == "features"
    assert halved.head(np.repeat(halved.trunk(noise(1)), 7, axis=0)).shape == (7, 4)


def test_pooling_outside_the_graph(networks: Networks) -> None:
    """Of a model whose output is itself a map, that map is explained."""
    model = networks.model(networks.write(outputs=["features"]), pooling="mean")
    halved = Halved(model, "embedding", find_layer(model, "embedding"))
    block = noise(2)
    assert halved.layer.tensor == "features"
    np.testing.assert_allclose(halved.rows(block), Session(model, Runtime()).run(block)["embedding"], rtol=1e-6)


TOKENS = [
    node("Reshape", ["features", "token_shape"], ["flat"]),
    node("Transpose", ["flat", ], ["places"], perm=[0, 2, 1]),
    node("MatMul", ["places", "mix"], ["mixed"]),
    node("Shape", ["places"], ["batch"], start=0, end=1),
    node("Concat", ["batch", "ones"], ["class_shape"], axis=0),
    node("Expand", ["class", "class_shape"], ["classes"]),
    node("Concat", ["classes", "mixed"], ["tokens"], axis=1),
    # What attention does for this test: each token takes something of all others.
    node("ReduceMean", ["tokens"], ["mean"], axes=[1], keepdims=1),
    node("Add", ["tokens", "mean"], ["block"]),
    node("LayerNormalization", ["block", "scale"], ["normed"]),
    node("Gather", ["normed", "zero"], ["first"], axis=1),
    node("MatMul", ["first", "head"], ["logits"]),
]  # fmt: skip
TOKEN_WEIGHTS = {
    "token_shape": np.array([0, CHANNELS, -1], np.int64),
    "mix": np.eye(CHANNELS, dtype=np.float32) + np.float32(0.1),
    "ones": np.array([1, CHANNELS], np.int64),
    "class": np.ones((1, 1, CHANNELS), np.float32),
    "scale": np.linspace(1, 2, CHANNELS, dtype=np.float32),
    "zero": np.array(0, np.int64),
}


def dropped(networks: Networks, name: str | None = None, shuffled: int | None = None) -> Halved:
    """Cut a network whose last map goes through dropout that is live."""
    nodes = [
        node("Dropout", ["features", "ratio", "live"], ["dropped"]),
        node("GlobalAveragePool", ["dropped"], ["average"]),
        *POOLED,
    ]
    weights = {"ratio": np.array(0.5, np.float32), "live": np.array(True), "dark": np.full(CHANNELS, -0.25, np.float32)}
    path = networks.write(nodes, **weights)
    model = networks.model(path)
    return Halved(model, "embedding", find_layer(model, "embedding", name), shuffled)


@pytest.mark.parametrize("shuffled", [None, 1])
@pytest.mark.parametrize("name", [None, "conv", "dropped"])
def test_dropout_that_is_live_is_silent(networks: Networks, name: str | None, shuffled: int | None) -> None:
    """A model with live dropout is explained as it runs, without: the same numbers each time; dropout is no layer."""
    halved = dropped(networks, name, shuffled)
    assert halved.layer.tensor == (name or "features")
    # Black and white: with these weights all sums are exact, whichever steps a processor's runtime fuses.
    block = noise(2) // 128 * 255
    first = halved.rows(block)
    assert (first == halved.rows(block)).all()
    if shuffled is None:
        np.testing.assert_array_equal(first, Session(halved.model, Runtime()).run(block)["embedding"])
        assert len(np.unique(first)) > 2


HEADS = [
    node("AveragePool", ["features"], ["quarter"], kernel_shape=[2, 2], strides=[2, 2]),
    node("Reshape", ["quarter", "token_shape"], ["flat"]),
    node("Transpose", ["flat"], ["places"], perm=[0, 2, 1]),
    node("MatMul", ["places", "widen"], ["mixed"]),
    node("Reshape", ["mixed", "to_heads"], ["split"]),
    node("Transpose", ["split"], ["values"], perm=[0, 2, 1, 3]),
    node("Transpose", ["split"], ["keys"], perm=[0, 2, 3, 1]),
    node("MatMul", ["values", "keys"], ["products"]),
    node("Softmax", ["products"], ["attention"], axis=-1),
    node("MatMul", ["attention", "values"], ["attended"]),
    node("Transpose", ["attended"], ["by token"], perm=[0, 2, 1, 3]),
    node("Reshape", ["by token", "from_heads"], ["joined"]),
    node("ReduceMean", ["joined"], ["average"], axes=[1], keepdims=0),
    node("MatMul", ["average", "out"], ["logits"]),
]


@pytest.mark.parametrize("heads", [4, 2])
def test_heads_of_an_attention_are_no_places(networks: Networks, heads: int) -> None:
    """Where no shortcut passes an attention by, its tensors of four axes are not taken for maps."""
    rng = np.random.default_rng(5)
    weights = {
        "token_shape": TOKEN_WEIGHTS["token_shape"],
        "widen": rng.normal(size=(CHANNELS, 32)).astype(np.float32),
        "to_heads": np.array([0, 16, heads, 32 // heads], np.int64),
        "from_heads": np.array([0, 16, 32], np.int64),
        "out": rng.normal(size=(32, 4)).astype(np.float32),
    }
    layer = check_halves(networks, HEADS, **weights).layer
    assert (layer.tensor, layer.form, layer.channels, layer.height, layer.width) == ("mixed", "tokens", 32, 4, 4)
    model = networks.model(networks.folder / "models" / "model.onnx")
    for name in ("by token", "attended"):
        with pytest.raises(ModelError, match="in the proportions of the image, 32 x 32"):
            find_layer(model, "embedding", name)


def test_places_of_a_convolution_may_have_any_proportions(networks: Networks) -> None:
    """Networks that read lines shrink one axis alone."""
    nodes = [
        node("MaxPool", ["features"], ["tall"], kernel_shape=[1, 4], strides=[1, 4]),
        node("GlobalAveragePool", ["tall"], ["average"]),
        *POOLED,
    ]
    layer = check_halves(networks, nodes).layer
    assert (layer.tensor, layer.height, layer.width) == ("tall", 8, 2)


def test_class_token_alone_is_no_place(networks: Networks) -> None:
    """Behind the last attention only the class token counts: the layer before it is taken, whose places still do."""
    layer = check_halves(networks, TOKENS, **TOKEN_WEIGHTS).layer
    assert (layer.tensor, layer.form, layer.skipped, layer.height, layer.width) == ("tokens", "tokens", 1, 8, 8)
    model = networks.model(networks.folder / "models" / "model.onnx")
    with pytest.raises(ModelError, match="does not depend on the places of 'normed', its first tokens aside"):
        find_layer(model, "embedding", "normed")


def test_removing_a_channel_leaves_other_tokens(networks: Networks) -> None:
    """A channel goes at every place, and stays where there is no place."""
    halved = check_halves(networks, TOKENS, **TOKEN_WEIGHTS)
    values = halved.trunk(noise(1))
    without = halved.layer.without_channels(values, np.array([2, 5]))
    assert without.shape == (2, *halved.layer.shape)
    for row, channel in enumerate((2, 5)):
        expected = values[0].copy()
        expected[1:, channel] = 0
        np.testing.assert_array_equal(without[row], expected)


def test_a_model_without_places(networks: Networks) -> None:
    """A network that never has places is refused, with what it has instead."""
    nodes = [node("Flatten", ["image"], ["flat"]), node("MatMul", ["flat", "all"], ["logits"])]
    weights = np.ones((3 * SIDE * SIDE, 4), np.float32)
    model = networks.model(networks.write(nodes, all=weights))
    with pytest.raises(ModelError, match="found no spatial layer") as caught:
        find_layer(model, "embedding")
    assert "'flat' [1, 3072]" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("featured", "there is no tensor 'featured' among the 5 .* The nearest names are 'features'"),
        ("pooled", r"the tensor 'pooled' has the shape \[1, 8\]; expected places"),
    ],
)
def test_named_layer_is_checked(networks: Networks, name: str, expected: str) -> None:
    """A layer that is not there, or has no places, is refused with those that can be named."""
    model = networks.model(networks.write())
    with pytest.raises(ModelError, match=expected):
        find_layer(model, "embedding", name)
    assert find_layer(model, "embedding", "conv").tensor == "conv"


def test_external_weights(networks: Networks) -> None:
    """Weights that lie in another file are found by both halves, and shuffled like others."""
    path = networks.write()
    proto = onnx.load(path)
    path.unlink()
    onnx.save_model(proto, str(path), save_as_external_data=True, location="weights.bin", size_threshold=0)
    model = networks.model(path)
    layer = find_layer(model, "embedding")
    block = noise(2)
    rows = Halved(model, "embedding", layer).rows(block)
    np.testing.assert_allclose(rows, Session(model, Runtime()).run(block)["embedding"], rtol=1e-5)
    assert not np.allclose(rows, Halved(model, "embedding", layer, shuffled=1).rows(block))


@pytest.mark.parametrize(
    ("tokens", "image", "expected"),
    [
        (196, (224, 224), Grid(0, 14, 14)),
        (197, (224, 224), Grid(1, 14, 14)),
        (201, (224, 224), Grid(5, 14, 14)),
        (129, (128, 256), Grid(1, 8, 16)),
        (7, (224, 224), Grid(3, 2, 2)),
        (3, (224, 224), None),
        (40, (48, 320), None),
    ],
)
def test_grid_of_tokens(tokens: int, image: tuple[int, int], expected: Grid | None) -> None:
    """Tokens are places where their number is that of a grid with the image's proportions."""
    assert grid_of(tokens, image) == expected


@pytest.mark.parametrize(
    ("grid", "image", "expected"),
    [
        ((7, 7), (224, 224), True),
        ((4, 2), (100, 60), True),
        ((6, 3), (100, 60), True),
        ((7, 12), (225, 383), True),
        ((4, 8), (32, 32), False),
        ((16, 4), (32, 32), False),
        ((7, 7), (224, 300), False),
    ],
)
def test_grid_of_one_stride(grid: tuple[int, int], image: tuple[int, int], expected: bool) -> None:
    """A grid that nothing else says is one has the image's proportions, but for rounding."""
    assert has_one_stride(*grid, image) is expected


def test_head_weights_are_used() -> None:
    """The tests above look at a head that tells the classes apart."""
    assert np.linalg.matrix_rank(HEAD) == 3
