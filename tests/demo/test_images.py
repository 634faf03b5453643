"""The demo's images are the digits of scikit-learn, pixel by pixel."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from evaljobs.demo.images import Digits, image_files, load


def test_every_digit_comes_back_from_its_file(demo: Path) -> None:
    """All 1,797 files hold the original values 0 to 16, on 0 to 255, under the original label."""
    original = load_digits()
    found = sorted((demo / "images").rglob("*.png"), key=lambda path: path.stem)
    assert [path.stem for path in found] == [f"{i:04d}" for i in range(1797)]
    assert [int(path.parent.name) for path in found] == original.target.tolist()
    for path, values in zip(found, original.images, strict=True):
        with Image.open(path) as picture:
            assert (picture.format, picture.mode, picture.size) == ("PNG", "L", (8, 8))
            pixels = np.asarray(picture)
        assert pixels.tolist() == [[round(v * 255 / 16) for v in row] for row in values.tolist()]
        assert np.array_equal(np.rint(pixels * (16 / 255)), values)


def test_seen_and_unseen_digits_lie_apart(demo: Path) -> None:
    """Digits 0 to 4 are for fitting, 5 to 9 for judging; together they are all."""
    counts = Counter((path.parent.parent.name, int(path.parent.name)) for path in (demo / "images").rglob("*.png"))
    wanted = Counter(load_digits().target.tolist())
    assert counts == {("seen" if label <= 4 else "unseen", label): count for label, count in wanted.items()}


def test_the_split_of_the_arrays_is_that_of_the_files(digits: Digits) -> None:
    """What models are fitted on has no label of those that they are judged on."""
    assert set(digits.seen().labels.tolist()) == {0, 1, 2, 3, 4}
    assert set(digits.unseen().labels.tolist()) == {5, 6, 7, 8, 9}
    assert (len(digits.seen().pixels), len(digits.unseen().pixels)) == (901, 896)


def test_files_are_the_same_every_time(digits: Digits) -> None:
    """Image digests, and with them everything in the store, stay."""
    assert image_files(digits) == image_files(load())
