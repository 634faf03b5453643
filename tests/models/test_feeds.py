"""Batches of images as models take them: made once for models of one preprocessing, and never another's."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

from evaljobs.models.feeds import Feeds, feed_of
from evaljobs.models.filling import fill
from evaljobs.models.options import Runtime
from evaljobs.models.session import Session

# Of 7 images of 8 x 6 in batches of 4, as float32.
BATCHES_BYTES = 2 * 4 * 8 * 6 * 3 * 4
OTHER = {"preprocessing": {"mean": "0.5", "std": "0.5"}}


def model_of(network: Any, **entry: Any) -> Any:
    return network.resolve({"path": "model.onnx", **entry}).models[0]


def digests_of(block: NDArray[np.uint8]) -> list[bytes]:
    return [hashlib.sha256(image.tobytes()).digest() for image in block]


def taken(feeds: Feeds, model: Any, block: NDArray[np.uint8], size: int = 4) -> list[NDArray[Any]]:
    return list(feeds.of(model, block, digests_of(block), size))


def asked_for(model: Any, *blocks: NDArray[np.uint8], kept_bytes: int = 2**20) -> Feeds:
    """Return feeds of a process in which one model has run."""
    feeds = Feeds(kept_bytes)
    for block in blocks:
        taken(feeds, model, block)
        taken(feeds, model, block, 7)
    feeds.next_model()
    return feeds


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("dtype", [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8])
@pytest.mark.parametrize("size", [1, 4, 7, 32])
def test_batches_are_those_of_the_definition(network, block, layout, dtype, size):
    """Made, kept or kept before: the same bytes, for every kind of input and size of batch."""
    network.write(layout=layout, dtype=dtype)
    model, feeds = model_of(network), Feeds()
    expected = [feed_of(model, fill(block[i : i + size], size)) for i in range(0, len(block), size)]
    assert len(expected) == -(-len(block) // size)
    for _ in ("made", "kept", "kept before"):
        found = taken(feeds, model, block, size)
        assert [(f.dtype, f.shape, f.tobytes()) for f in found] == [(e.dtype, e.shape, e.tobytes()) for e in expected]
        feeds.next_model()


def test_models_of_one_preprocessing_share_batches(network, block):
    """What two have asked for is there for the third; one of another normalisation, batch or block makes its own."""
    network.write()
    model, other = model_of(network), model_of(network, **OTHER)
    feeds = asked_for(model, block)
    first = taken(feeds, model, block)
    feeds.next_model()
    again = taken(feeds, model_of(network), block)
    assert len(again) == 2
    assert all(a is b for a, b in zip(first, again, strict=True))
    assert taken(feeds, other, block)[0].tobytes() != first[0].tobytes()
    assert taken(feeds, model, block, 7)[0].shape[0] == 7
    turned = np.ascontiguousarray(block[::-1])
    (whole,) = taken(feeds, model, turned, 7)
    assert whole.tobytes() == feed_of(model, turned).tobytes()


def test_one_model_alone_holds_nothing(network, block):
    """Nobody else will ask for it: what it was fed is gone when it has run."""
    network.write()
    model, feeds = model_of(network), Feeds()
    first = taken(feeds, model, block)
    assert taken(feeds, model, block)[0] is not first[0]
    assert feeds.nbytes == 0


def test_what_is_kept_is_bounded(network, block):
    """A block beyond the bound is made for each model, and does not drive out what is kept."""
    network.write()
    model, other = model_of(network), np.ascontiguousarray(block[::-1])
    feeds = asked_for(model, block, other, kept_bytes=BATCHES_BYTES)
    kept, made = taken(feeds, model, block), taken(feeds, model, other)
    assert feeds.nbytes == BATCHES_BYTES
    feeds.next_model()
    assert taken(feeds, model, other)[0] is not made[0]
    assert taken(feeds, model, block)[0] is kept[0]
    small = asked_for(model, block, kept_bytes=BATCHES_BYTES - 1)
    taken(small, model, block)
    assert small.nbytes == 0


def test_what_the_last_model_did_not_take_makes_room(network, block):
    """Blocks that are gone are never asked for again: they are dropped when one model has passed without them."""
    network.write()
    model, other = model_of(network), np.ascontiguousarray(block[::-1])
    feeds = asked_for(model, block, kept_bytes=BATCHES_BYTES)
    first = taken(feeds, model, block)
    feeds.next_model()
    taken(feeds, model, other)
    feeds.next_model()
    kept = taken(feeds, model, other)
    assert taken(feeds, model, other)[0] is kept[0]
    assert taken(feeds, model, block)[0] is not first[0]


def test_what_may_be_the_block_itself_is_not_kept(network, block):
    """Bytes that are fed as they are would hold the whole block in the object store."""
    network.write(layout="nhwc", dtype=TensorProto.UINT8)
    model = model_of(network)
    feeds = asked_for(model, block)
    (whole,) = taken(feeds, model, block, 7)
    assert np.shares_memory(whole, block)
    assert feeds.nbytes == 0


def test_rows_do_not_depend_on_what_is_shared(network, block):
    """Sessions that share their feeds give the bytes of sessions that do not."""
    network.write()
    feeds, digests = Feeds(), digests_of(block)
    expected = network.embed(block, batch_size=3).tobytes()
    for _ in range(3):
        feeds.next_model()
        found = Session(model_of(network, batch_size=3), Runtime("cpu"), feeds).run(block, digests)
        assert found["embedding"].tobytes() == expected
    assert feeds.nbytes > 0
