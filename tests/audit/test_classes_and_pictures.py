"""Classes of one image, skewed sets, blank and damaged images."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from evaljobs.audit.classes import check_classes
from evaljobs.audit.finding import Verdict
from evaljobs.audit.pictures import check_pictures
from evaljobs.audit.prints import Prints
from evaljobs.images.decode import decode
from evaljobs.images.fingerprint import GEOMETRY, fingerprint
from tests.audit.planted import encoded, pictures


def verdicts(checked):
    return [finding.verdict for finding in checked.findings]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([10, 10, 10], [Verdict.CLEAN, Verdict.CLEAN]),
        ([10, 10], [Verdict.CLEAN, Verdict.CLEAN]),
        ([1, 1, 1], [Verdict.SUSPICIOUS, Verdict.CLEAN]),
        ([20, 18, 15, 1], [Verdict.CLEAN, Verdict.CLEAN]),
        ([2, 1, 1], [Verdict.SUSPICIOUS, Verdict.SUSPICIOUS]),
        ([90, 5, 5], [Verdict.CLEAN, Verdict.SUSPICIOUS]),
        ([60, 15, 15, 15], [Verdict.CLEAN, Verdict.SUSPICIOUS]),
        ([500], [Verdict.CLEAN, Verdict.CLEAN]),
    ],
)
def test_single_images_and_skew_are_told(sizes, expected):
    """Mostly single images, and a label that is most of the result; like sizes are clean."""
    labels = [f"label {n}" for n, size in enumerate(sizes) for _ in range(size)]
    assert verdicts(check_classes(labels)) == expected


def test_skew_is_said_in_genuine_pairs():
    """Ninety of a hundred images are 4,005 of 4,025 genuine pairs: in effect one label decides."""
    found = check_classes(["a"] * 90 + ["b"] * 5 + ["c"] * 5)
    evidence = found.findings[1].evidence
    assert evidence["largest"] == "a"
    assert evidence["share_of_genuine_pairs"] == 4005 / 4025
    assert evidence["effective_labels"] == 4025**2 / (4005**2 + 2 * 10**2)
    assert found.tables["classes"].to_pylist()[0] == {"label": "a", "n": 90}


def prints_of(images):
    return Prints.of([None if one is None else fingerprint(decode(encoded(one), GEOMETRY)) for one in images])


def test_blank_and_nearly_blank_images_are_found():
    """Compression and faint noise do not hide that there is nothing; digits on white are seen."""
    rng = np.random.default_rng(0)
    faint = Image.fromarray((240 + rng.normal(0, 8, (64, 64))).clip(0, 255).astype(np.uint8))
    faint = faint.resize((300, 300), Image.Resampling.BICUBIC).resize((64, 64), Image.Resampling.BOX)
    blank = [Image.new("RGB", (90, 60), color) for color in ("white", "black", (90, 120, 40))]
    mark = Image.new("L", (64, 64), 255)
    mark.paste(0, (20, 20, 32, 26))
    found = check_pictures(prints_of([*pictures(40), *blank, mark, None]), ["a"] * 45, {"damaged": 0})
    blanks, damaged = found.findings
    assert blanks.verdict is Verdict.SUSPICIOUS
    assert (blanks.evidence["n_blank"], blanks.evidence["n_images"], blanks.evidence["n_not_looked_at"]) == (3, 44, 1)
    assert sorted(found.tables["blank"]["row"].to_pylist()) == [40, 41, 42]
    assert damaged.verdict is Verdict.CLEAN


def test_images_that_show_something_are_clean():
    """And those that are left out are counted by their reasons."""
    found = check_pictures(prints_of(pictures(30)), ["a"] * 30, {"damaged": 2, "empty": 1, "too_large": 0})
    assert verdicts(found) == [Verdict.CLEAN, Verdict.SUSPICIOUS]
    assert found.findings[1].evidence["by_kind"] == {"damaged": 2, "empty": 1}
    assert "3 of 33 images" in found.findings[1].claim
    assert verdicts(check_pictures(Prints.none(3), ["a"] * 3)) == [Verdict.UNKNOWN]
