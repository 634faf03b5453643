"""Passes with dropout inside onnxruntime: what the masks say, for any batch, order and seed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from evaljobs import config
from evaljobs.classification.measure import Scale
from evaljobs.errors import ModelError, ModelErrorKind
from evaljobs.models import key
from evaljobs.models.dropout_graph import Drop, feed_masks
from evaljobs.models.dropout_masks import Masks
from evaljobs.models.dropout_run import place_of
from evaljobs.models.model import Model, Passes
from evaljobs.models.options import Runtime
from evaljobs.models.passes import with_passes
from evaljobs.models.resolve import resolve
from evaljobs.models.session import Session
from evaljobs.uncertainty.passes import Spread
from tests.uncertainty.conftest import CLASSES, SIDE, WIDTH, Classifier

N = 23


def model_of(path: Path, batch: int = 8) -> Model:
    """Return a model that gives class scores, as a run finds it."""
    entry = {"path": str(path), "batch_size": batch}
    data = {
        "images": {"folder": "images"},
        "models": [entry],
        "preprocessing": {"size": [SIDE, SIDE], "mean": [0.0], "std": [1.0]},
    }
    (model,) = resolve(config.validate(config.Config, data, "config"), path.parent, needs={"scores"}).models
    return model


@pytest.fixture
def images() -> NDArray[np.uint8]:
    """Return decoded images."""
    return np.random.default_rng(1).integers(0, 256, (N, SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture
def digests(images: NDArray[np.uint8]) -> list[bytes]:
    """Return what stands for the digests of their files."""
    return [hashlib.sha256(image.tobytes()).digest() for image in images]


def test_rows_are_what_the_masks_make_of_the_network(
    tmp_path: Path, classifier: Classifier, images: NDArray[np.uint8], digests: list[bytes]
) -> None:
    """The network in numpy, with the masks that follow from seed, image, pass and node, says the same."""
    plain = model_of(classifier.write(tmp_path / "m.onnx"))
    found = Session(with_passes(plain, Passes(9, 5)), Runtime()).run(images, digests)
    pixels = images.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)
    masks, spread = Masks(digests, 5), Spread(Scale.LOGITS)
    for number in range(9):
        pixel_mask = masks.draw((3, SIDE, SIDE), 0.25, number, 0)
        feature_mask = masks.draw((WIDTH,), 0.5, number, 1)
        spread.add(classifier.logits(pixels, (pixel_mask, feature_mask)))
    expected = spread.rows()
    assert found["passes"].shape == expected.shape == (N, CLASSES + 5)
    np.testing.assert_allclose(found["passes"], expected, atol=2e-5)
    # Without dropout it is the model as it is.
    as_it_is = Session(plain, Runtime()).run(images)
    column = plain.roles["scores"]
    np.testing.assert_allclose(found[column], as_it_is[column], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found[column], classifier.logits(pixels), rtol=1e-4, atol=1e-4)
    assert found["passes"][:, CLASSES:].mean(axis=0).min() > 0.01, "the passes differ"


def test_order_and_cut_change_no_bit(
    tmp_path: Path, classifier: Classifier, images: NDArray[np.uint8], digests: list[bytes]
) -> None:
    """An image has the same row alone, among others, and in another order: on any number of workers."""
    model = with_passes(model_of(classifier.write(tmp_path / "m.onnx")), Passes(5, 0))
    session = Session(model, Runtime())
    whole = session.run(images, digests)["passes"]
    order = np.random.default_rng(2).permutation(N)
    shuffled = session.run(images[order], [digests[i] for i in order])["passes"]
    assert shuffled.tobytes() == whole[order].tobytes()
    other = Session(model, Runtime())
    alone = [other.run(images[i : i + 3], digests[i : i + 3])["passes"] for i in range(0, N, 3)]
    assert np.concatenate(alone).tobytes() == whole.tobytes()


def test_fixed_batch_and_batch_of_one_say_the_same(
    tmp_path: Path, classifier: Classifier, images: NDArray[np.uint8], digests: list[bytes]
) -> None:
    """Masks belong to images, whatever the graph's batch."""
    rows = []
    for name, batch in (("open", "n"), ("four", 4), ("one", 1)):
        plain = model_of(
            classifier.write(tmp_path / f"{name}.onnx", batch=batch), batch=8 if batch == "n" else int(batch)
        )
        rows.append(Session(with_passes(plain, Passes(4, 3)), Runtime()).run(images, digests)["passes"])
    for other in rows[1:]:
        np.testing.assert_allclose(other, rows[0], atol=1e-5)


def test_seed_image_pass_and_node_each_change_the_mask() -> None:
    """And nothing else does; the share that is kept is the node's, and the mean stays."""
    one, two = (hashlib.sha256(text).digest() for text in (b"1", b"2"))
    shape = (40, 50)
    base = Masks([one, two], 0).draw(shape, 0.3, 0, 0)
    assert base.shape == (2, 40, 50)
    assert base.tobytes() == Masks([one, two], 0).draw(shape, 0.3, 0, 0).tobytes()
    others = [
        base[1],
        Masks([one], 1).draw(shape, 0.3, 0, 0)[0],
        Masks([one], 0).draw(shape, 0.3, 1, 0)[0],
        Masks([one], 0).draw(shape, 0.3, 0, 1)[0],
    ]
    for other in others:
        same = float((other == base[0]).mean())
        assert 0.5 < same < 0.66, "as often as chance has it: 0.7^2 + 0.3^2"
    assert set(np.unique(base).tolist()) == {0.0, float(np.float32(1 / 0.7))}
    large = Masks([one], 7).draw((100_000,), 0.3, 0, 0)
    assert abs(float((large == 0).mean()) - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 100_000)
    along = Masks([one, two], 0).draw(shape, 0.3, 0, 0, axis=1)
    assert along.shape == (40, 2, 50)
    assert (along.transpose(1, 0, 2) == base).all()


def test_masks_stay_the_same_for_ever() -> None:
    """Rows of the store are found again by a key that says how masks are made: these are the first of version 1."""
    mask = Masks([bytes(32)], 0).draw((24,), 0.5, 0, 0)
    assert "".join(str(int(value > 0)) for value in mask[0]) == "100110111001111100100111"


def test_without_live_dropout_a_model_is_refused(tmp_path: Path, classifier: Classifier) -> None:
    """It would say the same every time, and look certain."""
    plain = model_of(classifier.write(tmp_path / "m.onnx", live=False))
    other = with_passes(plain, Passes(5, 0))
    assert other.passes is None
    assert other.lacks["passes"].kind is ModelErrorKind.NO_DROPOUT
    assert "none of its 2 Dropout node(s) is in training mode" in other.lacks["passes"].message
    assert "evaljobs export --keep-dropout" in other.lacks["passes"].message


@pytest.mark.parametrize("what", ["ratio", "aside"])
def test_live_dropout_that_drops_nothing_of_the_scores_is_refused(
    tmp_path: Path, classifier: Classifier, what: str
) -> None:
    """Of ratio 0, or beside the way to the scores: every pass would be the same, and this is what it is called."""
    path = classifier.write(tmp_path / "m.onnx")
    model = onnx.load(path)
    if what == "ratio":
        for place in (2, 3):
            name = model.graph.initializer[place].name
            model.graph.initializer[place].CopyFrom(onnx.numpy_helper.from_array(np.array(0.0, np.float32), name))
    else:
        for node, kept in ((model.graph.node[1], "x"), (model.graph.node[5], "features")):
            node.input[0] = kept
    onnx.save(model, path)
    plain = model_of(path)
    assert plain.dropout == (2, 2)
    with pytest.raises(ModelError, match="every pass of this model would be the same: its live Dropout") as raised:
        Session(with_passes(plain, Passes(5, 0)), Runtime())
    assert raised.value.kind is ModelErrorKind.NO_DROPOUT


def test_images_of_a_fixed_batch_of_one_may_stand_on_any_axis() -> None:
    """Token first, image second, as transformers have it: with one image the axis of length 1 is that of the images."""
    drop = Drop("mask", "tokens", 0.1)
    assert place_of(drop, [(7, 1, 4)], [1]) == ((7, 4), 1)
    assert place_of(drop, [(1, 1, 4)], [1]) == ((1, 4), 0)
    with pytest.raises(ModelError, match="no axis is that of the images"):
        place_of(drop, [(7, 4)], [1])


def test_key_holds_passes_and_seed(tmp_path: Path, classifier: Classifier) -> None:
    """Other passes, another seed: other rows. A model without passes keeps the key that it always had."""
    plain = model_of(classifier.write(tmp_path / "m.onnx"))
    keys = [key.key(with_passes(plain, Passes(*pair)), Runtime()) for pair in ((5, 0), (6, 0), (5, 1))]
    assert len({str(one) for one in keys}) == 3
    assert "passes" not in key.key(plain, Runtime())


@pytest.mark.parametrize("what", ["body", "mask", "ratio", "all", "opset"])
def test_dropout_that_no_mask_can_be_fed_to_is_refused(tmp_path: Path, classifier: Classifier, what: str) -> None:
    """Never a pass that drops less than the model says."""
    model = onnx.load(classifier.write(tmp_path / "m.onnx"))
    graph = model.graph
    if what == "body":
        body = helper.make_graph(
            [helper.make_node("Dropout", ["features", "r1", "on"], ["inner"])],
            "body",
            [],
            [helper.make_tensor_value_info("inner", TensorProto.FLOAT, None)],
        )
        graph.node[4].CopyFrom(helper.make_node("If", ["on"], ["d1"], then_branch=body, else_branch=body))
    elif what == "mask":
        graph.node[4].output.append("dropped")
        graph.node.append(helper.make_node("Identity", ["dropped"], ["told"]))
    elif what == "ratio":
        graph.node.insert(4, helper.make_node("ReduceMin", ["m0"], ["r9"], keepdims=0))
        graph.node[5].input[1] = "r9"
    elif what == "opset":
        model.opset_import[0].version = 6
    else:
        graph.initializer[3].CopyFrom(onnx.numpy_helper.from_array(np.array(1.0, np.float32), "r1"))
    with pytest.raises(ModelError, match="export the model with dropout in its main graph") as raised:
        feed_masks(model)
    assert raised.value.kind is ModelErrorKind.UNSUPPORTED_OUTPUT
