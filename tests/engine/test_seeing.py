"""Views of views: which images each of them changes, and what is done to those."""

from __future__ import annotations

import hashlib
from typing import Any

import pyarrow as pa

from evaljobs.config import Config, validate
from evaljobs.engine.views import see
from evaljobs.schemas import DIGEST


def test_shares_of_one_seed_in_a_view_of_a_view_are_drawn_anew() -> None:
    """A tenth of what a tenth left alone is a tenth of it again, not none: no number decides twice."""
    n = 10_000
    digests = [hashlib.sha256(str(number).encode()).digest() for number in range(n)]
    columns = {"image_digest": pa.array(digests, DIGEST), "file_digest": pa.array(digests, DIGEST)}
    view = {"steps": {"blur": 1}, "share": 0.1}
    sets = {
        "main": {"images": {"folder": "images"}},
        "first": {"of": "main", "view": view},
        "second": {"of": "first", "view": view},
    }
    declared = validate(Config, {"models": ["m.onnx"], "sets": sets}, "config").named_sets()
    samples = {"main": pa.table(columns)}
    first, second = (see(name, declared, samples).by_itself for name in ("first", "second"))
    # Each of the four kinds is as frequent as chance has it, within five standard deviations.
    for mask, share in ((first & second, 0.01), (first & ~second, 0.09), (~first & second, 0.09)):
        assert abs(mask.mean() - share) < 5 * (share / n) ** 0.5


def test_views_of_views_keep_the_chains_that_are_used() -> None:
    """Twenty-five of them, one in the other, have a chain for each kind of image, and not millions."""
    digests = pa.array([hashlib.sha256(str(number).encode()).digest() for number in range(40)], DIGEST)
    samples = {"main": pa.table({"image_digest": digests, "file_digest": digests})}
    sets: dict[str, Any] = {"main": {"images": {"folder": "images"}}}
    for depth in range(25):
        of = f"v{depth - 1}" if depth else "main"
        sets[f"v{depth}"] = {"of": of, "view": {"steps": {"rotate": 90}, "first": 1 + depth}}
    declared = validate(Config, {"models": ["m.onnx"], "sets": sets}, "config").named_sets()
    seen = see("v24", declared, samples)
    assert len(seen.chains) == 25
    # The first image goes through all, the last of those that are changed through the last view alone.
    assert [len(seen.chains[number].steps) for number in seen.numbers[:25]] == list(range(25, 0, -1))
    assert seen.numbers[25:].tolist() == [-1] * 15
    assert len(seen.own) == 1
