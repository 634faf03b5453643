"""Maps of single images: they are what the definition says, and point at what the network is known to look at."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper
from scipy.stats import spearmanr

from evaljobs.errors import InputError, ModelError, ModelErrorKind, UsageError
from evaljobs.explain.ablation import Cam, ablation_cam
from evaljobs.explain.faithful import Check, faithfulness, ordered, rank_correlation
from evaljobs.explain.halved import Halved, find_layer
from evaljobs.explain.onnx_files import Towards, explain_onnx
from evaljobs.explain.resizing import smoothly
from evaljobs.explain.targets import ClassScore, Similarity, Target
from tests.explain.conftest import BIAS, CHANNELS, CLASSES, HEAD, PLACES, SIDE, Networks, features, picture

node = helper.make_node
RED, GREEN = ClassScore(0), ClassScore(1)
# Red at rows 1 and 2, green at rows 5 and 6.
BOTH = picture(red=(1, 1), green=(5, 4))
ONE = picture(red=(4, 5))


def halved(networks: Networks, shuffled: int | None = None, **options: object) -> Halved:
    model = networks.model(networks.write(**options))  # type: ignore[arg-type]  # options of any kind
    return Halved(model, "embedding", find_layer(model, "embedding"), shuffled)


def by_definition(pixels: NDArray[np.uint8], target: Target) -> NDArray[np.float64]:
    """Return the signed map, computed channel by channel with the network written out: the oracle."""
    grid = features(pixels)

    def score(grid: NDArray[np.float64]) -> float:
        return float(target.of((grid.mean(axis=(1, 2)) @ HEAD + BIAS)[None].astype(np.float32))[0])

    signed = np.zeros((PLACES, PLACES))
    for channel in range(len(grid)):
        without = grid.copy()
        without[channel] = 0
        signed += (score(grid) - score(without)) * grid[channel]
    return signed


@pytest.mark.parametrize(
    "target",
    [RED, GREEN, ClassScore(2), Similarity(np.array([1.0, 2.0, -1.0, 0.5]))],
    ids=["red", "green", "blue", "similarity"],
)
def test_map_is_that_of_the_definition(networks: Networks, target: Target) -> None:
    """Channel for channel what its removal costs, weighted and summed."""
    cam = ablation_cam(halved(networks), BOTH, target)
    expected = by_definition(BOTH, target)
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(cam.signed, expected, atol=1e-4)
    largest = expected.max()
    np.testing.assert_allclose(cam.values, np.maximum(expected, 0) / largest if largest > 0 else 0, atol=1e-4)


def test_map_points_at_the_object(networks: Networks) -> None:
    """Red is explained by the red square and nothing else, green by the green one."""
    for target, (top, left) in ((RED, (1, 1)), (GREEN, (5, 4))):
        values = ablation_cam(halved(networks), BOTH, target).values
        expected = np.zeros((PLACES, PLACES))
        expected[top : top + 2, left : left + 2] = 1
        np.testing.assert_allclose(values, expected, atol=0.1)  # one channel sees all colours a little


def test_nothing_speaks_for_it(networks: Networks) -> None:
    """A class that the image has nothing of has an empty map, not one of noise brought to 1."""
    cam = ablation_cam(halved(networks), picture(red=(1, 1)), GREEN)
    assert not cam.values.any()
    assert cam.signed.min() < 0


@pytest.mark.parametrize("options", [{}, {"batch": 3}, {"batch": 1}])
def test_batches_change_nothing(networks: Networks, options: dict[str, int]) -> None:
    """However many copies of a layer run at a time, the map is the same."""
    cam = ablation_cam(halved(networks, **options), BOTH, RED)
    np.testing.assert_allclose(cam.signed, by_definition(BOTH, RED), atol=1e-4)


def test_bounded_memory(networks: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of a layer are made some at a time, and the map is the same."""
    whole = ablation_cam(halved(networks), BOTH, RED)
    monkeypatch.setattr("evaljobs.explain.ablation._MEMORY", 1)
    again = ablation_cam(halved(networks), BOTH, RED)
    assert (again.signed == whole.signed).all()


def test_probabilities_are_explained_by_their_logarithm() -> None:
    """Where a softmax is in the graph, what is removed counts also where the model is certain."""
    target = ClassScore(1, "probabilities")
    rows = np.array([[0.5, 0.5], [1e-9, 1.0], [1.0, 0.0]], np.float32)
    np.testing.assert_allclose(target.of(rows)[:2], np.log([0.5, 1.0]))
    assert np.isfinite(target.of(rows)).all()
    np.testing.assert_array_equal(target.shown(rows), [0.5, 1.0, 0.0])


def test_softmax_of_logits_is_shown() -> None:
    """People see probabilities, whatever the size of the logits."""
    np.testing.assert_allclose(ClassScore(0).shown(np.array([[1000.0, 1000.0]], np.float32)), [0.5])


def test_similarity_of_a_zero_row_is_none() -> None:
    """A row of length 0 is like nothing."""
    found = Similarity(np.array([1.0, 0.0])).of(np.array([[0, 0], [2, 0], [-1, 0]], np.float32))
    np.testing.assert_array_equal(found, [0, 1, -1])


# Whether a map can be believed


def test_deletion_and_insertion_beat_random_maps(networks: Networks) -> None:
    """Taking away what the map points at costs the score at once; putting it back brings it back at once."""
    model = halved(networks)
    for target in (RED, Similarity(np.array([2.0, -1.0, -1.0, 0.0]))):
        found = faithfulness(model, ONE, ablation_cam(model, ONE, target).values, target, Check(16, 5))
        assert found.deletion < found.random_deletion - 0.02
        assert found.insertion > found.random_insertion + 0.02


def test_a_map_of_the_wrong_place_does_not_beat_random_maps(networks: Networks) -> None:
    """The check can fail: a map of the other square is worse than none."""
    model = halved(networks)
    wrong = ablation_cam(model, BOTH, GREEN).values
    found = faithfulness(model, BOTH, wrong, RED, Check(16, 5))
    assert found.deletion > found.random_deletion
    assert found.insertion < found.random_insertion


def test_shuffled_weights_give_another_map(networks: Networks) -> None:
    """A map comes of what was learned: with each weight tensor shuffled it is another one."""
    image = np.random.default_rng(4).integers(0, 256, (SIDE // 4, SIDE // 4, 3), dtype=np.uint8)
    image = image.repeat(4, axis=0).repeat(4, axis=1)
    original = ablation_cam(halved(networks), image, RED).signed
    assert rank_correlation(original, original) == pytest.approx(1)
    others = [ablation_cam(halved(networks, shuffled=seed), image, RED).signed for seed in range(5)]
    found = [rank_correlation(original, one) for one in others]
    assert max(abs(one) for one in found if one is not None) < 0.8


def test_shuffling_is_seeded_and_keeps_the_values(networks: Networks) -> None:
    """The same seed gives the same network; weights are moved and not made anew."""
    rows = [halved(networks, shuffled=seed).rows(BOTH[None]) for seed in (1, 1, 2)]
    assert (rows[0] == rows[1]).all()
    assert not np.allclose(rows[0], rows[2])


def test_rank_correlation_is_spearmans() -> None:
    """The one of scipy says the same, ties included; a flat map has none."""
    rng = np.random.default_rng(2)
    for _ in range(20):
        a, b = rng.integers(0, 5, (2, 4, 6)).astype(float)
        assert rank_correlation(a, b) == pytest.approx(float(spearmanr(a.ravel(), b.ravel()).statistic))
    assert rank_correlation(np.ones((3, 3)), rng.normal(size=(3, 3))) is None


def test_pixels_go_in_the_order_of_the_map() -> None:
    """Each step takes its share of the pixels, the highest first; the last one takes all."""
    values = np.array([[0.0, 1.0], [0.5, 0.25]])
    found = ordered(values, (4, 4), 4, np.arange(4).reshape(2, 2))
    assert [int(step.sum()) for step in found] == [0, 4, 8, 12, 16]
    assert found[1, :2, 2:].all()
    assert found[2, 2:, :2].any()
    assert all((late >= early).all() for early, late in itertools.pairwise(found))


def test_smooth_maps_keep_the_middles_of_places() -> None:
    """Between two middles a map goes straight from one to the other, and beyond them it stays."""
    found = smoothly(np.array([[0.0, 1.0]]), 1, 8)
    np.testing.assert_allclose(found[0], [0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1])


# The public function


def test_any_onnx_file_is_explained(networks: Networks) -> None:
    """A file and images are enough: the predicted class, a named one, or another image."""
    path = networks.write()
    image, other = networks.image("both", red=(1, 1), green=(5, 4)), networks.image("green", green=(0, 0))
    (predicted,) = explain_onnx(path, [other])
    assert predicted.target == "green.png: 1"
    assert predicted.layer == "features"
    assert predicted.values[:2, :2].min() > 0.99
    (named,) = explain_onnx(path, [image], Towards("red"), settings={"classes": CLASSES})
    assert np.unravel_index(named.values.argmax(), named.values.shape) == (1, 1)
    (alike,) = explain_onnx(path, [image], Towards(like=other))
    assert np.unravel_index(alike.values.argmax(), alike.values.shape) == (5, 4)
    assert alike.pixels.shape == (32, 32, 3)


def softmax(networks: Networks) -> Path:
    """Write the network with a softmax made of parts, which nobody sees that it is one."""
    nodes = [
        node("GlobalAveragePool", ["features"], ["average"]),
        node("Flatten", ["average"], ["pooled"]),
        node("Gemm", ["pooled", "head", "bias"], ["raw"]),
        node("Exp", ["raw"], ["powers"]),
        node("ReduceSum", ["powers", "last"], ["sum"]),
        node("Div", ["powers", "sum"], ["logits"]),
    ]
    return networks.write(nodes, last=np.array([1], np.int64))


def test_probabilities_are_not_taken_for_logits(networks: Networks) -> None:
    """A guess that the numbers contradict is refused, with the word that helps; what is told is held against them."""
    path, image = softmax(networks), networks.image("red", red=(1, 1))
    with pytest.raises(InputError, match="logits or probabilities, and what is explained depends on it; say `scores_"):
        explain_onnx(path, [image])
    (found,) = explain_onnx(path, [image], settings={"scores_are": "probabilities"})
    (logits,) = explain_onnx(networks.write(name="logits.onnx"), [image])
    assert found.score == pytest.approx(logits.score, rel=1e-5)
    with pytest.raises(InputError, match="found probabilities from"):
        explain_onnx(networks.folder / "models" / "logits.onnx", [image], settings={"scores_are": "probabilities"})


@pytest.mark.parametrize(
    ("image", "expected"),
    [(picture(red=(1, 1), green=(5, 4), blue=(1, 5)), "without some of the channels"), (picture(), "output for an im")],
)
def test_not_finite_is_said_of_what_it_is(networks: Networks, image: NDArray[np.uint8], expected: str) -> None:
    """Of an image as it is, or of one whose layer lost channels: the two have different causes."""
    nodes = [
        node("GlobalAveragePool", ["features"], ["average"]),
        node("Flatten", ["average"], ["pooled"]),
        node("MatMul", ["pooled", "first"], ["some"]),
        node("Reciprocal", ["some"], ["logits"]),
    ]
    cut = halved(networks, nodes=nodes, first=np.eye(CHANNELS, 4, dtype=np.float32))
    with pytest.raises(ModelError, match=expected) as caught:
        ablation_cam(cut, image, RED)
    assert caught.value.kind is ModelErrorKind.FAILED


def test_what_cannot_be_explained(networks: Networks, tmp_path: Path) -> None:
    """A class that is not there, an image that is none, and a layer that is missing are said, each by its name."""
    path, image = networks.write(), networks.image("red", red=(1, 1))
    with pytest.raises(UsageError, match="there is no class 'yellow' among the 4: expected a name such as 0, 1, 2"):
        explain_onnx(path, [image], Towards("yellow"))
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(UsageError, match=r"text\.png cannot be explained"):
        explain_onnx(path, [tmp_path / "text.png"])
    with pytest.raises(UsageError, match=r"missing\.png cannot be explained: No such file"):
        explain_onnx(path, [tmp_path / "missing.png"])
    with pytest.raises(ModelError, match="there is no tensor 'body'"):
        explain_onnx(path, [image], layer="body")


def test_files_are_named_as_people_do(networks: Networks) -> None:
    """As text too; what is no file, a file where a list is meant, and a bare class are said, and nothing is run."""
    path, image = networks.write(), networks.image("red", red=(1, 1))
    (wanted,), (found,) = explain_onnx(path, [image]), explain_onnx(str(path), iter([str(image)]))
    assert (found.target, found.score) == (wanted.target, wanted.score)
    (alike,) = explain_onnx(path, [image], Towards(like=str(image)))  # type: ignore[arg-type]  # what people give
    assert alike.score == pytest.approx(1)
    (second,) = explain_onnx(path, [image], Towards(1))  # type: ignore[arg-type]  # what people give
    assert second.target == "red.png: 1"
    wrong: list[tuple[Any, Any, Any, str]] = [
        (path.read_bytes(), [image], Towards(), "found the model of type bytes; expected the path"),
        (path, image, Towards(), "expected a list of files"),
        (path, str(image), Towards(), "found images of type str; expected a list of files"),
        (path, None, Towards(), "found images of type NoneType"),
        (path, [image.read_bytes()], Towards(), "found an image of type bytes"),
        (path, [image], "red", "found towards of type str; expected Towards"),
    ]
    for *given, said in wrong:
        with pytest.raises(UsageError, match=said):
            explain_onnx(*given)


def test_cam_has_what_it_is_made_of(networks: Networks) -> None:
    """The weights are there as numbers: what each removal costs; a channel that sees nothing costs nothing."""
    cam: Cam = ablation_cam(halved(networks), picture(red=(1, 1)), RED)
    expected = HEAD[:, 0] * features(picture(red=(1, 1))).mean(axis=(1, 2))
    np.testing.assert_allclose(cam.weights, expected, atol=1e-5)
    assert (cam.weights[[1, 2, 4, 7]] == 0).all()
