"""Copies and near duplicates inside a set, and of a training set."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from evaljobs.audit import alike as alike_module
from evaljobs.audit.alike import alike
from evaljobs.audit.duplicates import check_duplicates
from evaljobs.audit.finding import Verdict
from evaljobs.audit.prints import Prints
from evaljobs.audit.training import Training, check_training
from evaljobs.images.decode import decode
from evaljobs.images.fingerprint import GEOMETRY, fingerprint
from tests.audit.planted import encoded


def digests_of(texts):
    return pa.array([hashlib.sha256(text.encode()).digest() for text in texts], pa.binary(32))


def prints_of(files):
    return Prints.of([fingerprint(decode(data, GEOMETRY)) for data in files])


@pytest.fixture(scope="module")
def crops():
    """Return 60 different pieces of photos."""
    photos = [Image.fromarray(pixels) for pixels in load_sample_images().images]
    return [photo.crop((x, y, x + 120, y + 120)) for photo in photos for x in range(0, 600, 120) for y in (0, 120, 240)]


def test_a_set_without_copies_is_clean(crops):
    """Pieces of photos are told apart, by bytes and by looks."""
    files = [encoded(crop) for crop in crops]
    found = check_duplicates(digests_of(map(repr, files)), ["a", "b"] * 15, prints_of(files))
    assert [finding.verdict for finding in found.findings] == [Verdict.CLEAN, Verdict.CLEAN]
    assert [table.num_rows for table in found.tables.values()] == [0, 0]


def test_copies_are_a_leak_and_named():
    """Of three copies the later two are named beside the first, and images without copies are not."""
    digests = digests_of(["x", "y", "x", "z", "x"])
    found = check_duplicates(digests, list("abaca"), None)
    exact, near = found.findings
    assert exact.verdict is Verdict.LEAK
    assert exact.evidence["n_copies"] == 2
    assert exact.evidence["n_images_with_copies"] == 3
    assert exact.evidence["n_images_with_contradicting_labels"] == 0
    assert found.tables["exact"].select(["row_a", "row_b"]).to_pylist() == [
        {"row_a": 0, "row_b": 2},
        {"row_a": 0, "row_b": 4},
    ]
    assert near.verdict is Verdict.UNKNOWN


def test_one_image_under_two_labels_is_worse_than_copies():
    """One contradiction among hundreds of images is a leak where one plain copy is not, and stands first."""
    names = [str(n) for n in range(500)]
    plain = check_duplicates(digests_of([*names, "7"]), ["a"] * 501, None).findings[0]
    assert plain.verdict is Verdict.SUSPICIOUS
    labels = ["a"] * 500 + ["a", "b"]
    contrary = check_duplicates(digests_of([*names, "7", "9"]), labels, None)
    assert contrary.findings[0].verdict is Verdict.LEAK
    assert contrary.findings[0].evidence["n_images_with_contradicting_labels"] == 2
    assert "labels are wrong" in contrary.findings[0].claim
    first = contrary.tables["exact"].to_pylist()[0]
    assert first == {"row_a": 9, "row_b": 501, "label_a": "a", "label_b": "b", "same_label": False}


def test_near_duplicates_are_found_and_different_labels_come_first(crops):
    """Saved again, scaled and lightened versions are found; those with another label are told first."""
    versions = [
        encoded(crops[3], quality=40),
        encoded(crops[8].resize((60, 60)), "PNG"),
        encoded(crops[20].point(lambda value: min(255, value + 12)), "PNG"),
    ]
    files = [encoded(crop, "PNG") for crop in crops] + versions
    labels = ["a"] * len(crops) + ["a", "b", "a"]
    found = check_duplicates(digests_of(map(repr, files)), labels, prints_of(files)).findings[1]
    assert found.verdict is Verdict.SUSPICIOUS
    assert found.evidence["n_pairs"] == 3
    assert found.evidence["n_pairs_with_different_labels"] == 1
    pairs = check_duplicates(digests_of(map(repr, files)), labels, prints_of(files)).tables["near"].to_pylist()
    n = len(crops)
    assert (pairs[0]["row_a"], pairs[0]["row_b"], pairs[0]["same_label"]) == (8, n + 1, False)
    assert {(pair["row_a"], pair["row_b"]) for pair in pairs} == {(3, n), (8, n + 1), (20, n + 2)}


def test_copies_are_not_told_again_as_near_duplicates(crops):
    """What is equal byte for byte is one finding; a version of it is paired with one of the copies."""
    files = [encoded(crops[0], "PNG"), encoded(crops[0], "PNG"), encoded(crops[0], quality=60)]
    found = check_duplicates(digests_of(map(repr, files)), ["a"] * 3, prints_of(files))
    assert found.findings[0].evidence["n_copies"] == 1
    assert [(row["row_a"], row["row_b"]) for row in found.tables["near"].to_pylist()] == [(0, 2)]


def test_blank_images_look_like_no_other():
    """Their hashes are made of noise: a hundred blank pages are no hundred near duplicates."""
    rng = np.random.default_rng(0)
    pages = [250 + rng.integers(0, 3, (80, 80)) for _ in range(100)]
    files = [encoded(Image.fromarray(page.astype(np.uint8)), "PNG") for page in pages]
    found = check_duplicates(digests_of(map(repr, files)), ["a"] * 100, prints_of(files)).findings[1]
    assert (found.verdict, found.evidence["n_pairs"]) == (Verdict.CLEAN, 0)


def test_pairs_of_equal_hashes_are_all_there_up_to_a_limit(monkeypatch):
    """Ten pictures of one look make 45 pairs; where they would fill the memory it is said that there are more."""
    n = 10
    prints = Prints(
        np.full(n, 5, np.uint64),
        np.full(n, 9, np.uint64),
        np.full(n, 50, np.float32),
        np.full(n, 200, np.uint8),
        np.ones(n, np.bool_),
    )
    rows = np.arange(n)
    found = alike(prints, rows)
    assert sorted(zip(found.a.tolist(), found.b.tolist(), strict=True)) == [
        (i, j) for i in range(n) for j in range(i + 1, n)
    ]
    assert found.complete
    monkeypatch.setattr(alike_module, "MOST_PAIRS", 20)
    part = alike(prints, rows)
    assert not part.complete
    assert len(part.a) == 20
    said = check_duplicates(digests_of(map(str, rows)), ["a"] * n, prints).findings[1]
    assert said.claim.startswith("More than 20 pairs")


def looks(phash, dhash):
    n = len(phash)
    return Prints(phash, dhash, np.full(n, 50, np.float32), np.full(n, 200, np.uint8), np.ones(n, np.bool_))


def test_very_many_images_of_one_look_fit_into_memory():
    """A camera that never moves: of 30,000 equal hashes each is paired with the first, and no image is left out."""
    n = 30_000
    equal = np.full(n, 5, np.uint64)
    other = np.array([2**63], np.uint64)  # one bit of the hash of frequencies
    found = alike(looks(np.append(equal, equal[:1] ^ other), np.full(n + 1, 9, np.uint64)), np.arange(n + 1))
    assert not found.complete
    assert len(np.union1d(found.a, found.b)) == n + 1
    assert len(found.a) < 3 * n


def test_the_search_ends_where_nearly_all_images_look_alike(monkeypatch):
    """Different hashes within a few bits of each other: as many pairs as are asked for, and then no more."""
    monkeypatch.setattr(alike_module, "MOST_PAIRS", 500)
    bits = np.uint64(1) << np.arange(64, dtype=np.uint64)
    near = (bits[:, None] | bits[None, :]).ravel()
    found = alike(looks(near, np.zeros(len(near), np.uint64)), np.arange(len(near)))
    assert (len(found.a), found.complete) == (500, False)
    assert (found.a < found.b).all()


def test_many_different_images_are_all_looked_at(monkeypatch):
    """More images than pairs that are written down: images without a pair take no room."""
    monkeypatch.setattr(alike_module, "MOST_PAIRS", 50)
    hashes = np.random.default_rng(0).integers(0, 2**63, 200).astype(np.uint64)
    hashes[199] = hashes[3]
    found = alike(looks(hashes, hashes), np.arange(200))
    assert (found.a.tolist(), found.b.tolist(), found.complete) == ([3], [199], True)


def test_training_images_are_a_leak(crops):
    """Copies by digest, versions by looks; each is named with its row in the training set."""
    files = [encoded(crop, "PNG") for crop in crops]
    trained = [files[4], encoded(crops[7], quality=50)]
    training = Training(frozenset({"t", "u"}), digests_of(map(repr, trained)), prints_of(trained), ["t", "u"])
    labels = [f"own {n}" for n in range(len(files))]
    found = check_training(digests_of(map(repr, files)), labels, prints_of(files), training)
    zero_shot, exact, near = found.findings
    assert [finding.verdict for finding in found.findings] == [Verdict.CLEAN, Verdict.LEAK, Verdict.LEAK]
    assert "zero-shot" in zero_shot.claim
    assert (exact.evidence["n_images_in_training"], near.evidence["n_images_alike"]) == (1, 1)
    (copy,), (version,) = (found.tables[name].to_pylist() for name in ("training_exact", "training_near"))
    assert (copy["row_a"], copy["row_b"], copy["label_b"]) == (4, 0, "t")
    assert (version["row_a"], version["row_b"], version["label_b"]) == (7, 1, "u")


def test_labels_shared_with_training_are_counted():
    """Not zero-shot: which labels, and how many images; other spellings of a label are pointed out."""
    training = Training(labels=frozenset({"anna", "Bert "}))
    found = check_training(digests_of("abcd"), ["anna", "anna", "bert", "carl"], None, training).findings
    assert found[0].verdict is Verdict.SUSPICIOUS
    assert found[0].evidence["n_labels_shared"] == 1
    assert found[0].evidence["n_images_of_shared_labels"] == 2
    assert found[0].evidence["n_labels_shared_but_for_case_and_spaces"] == 1
    assert [finding.verdict for finding in found[1:]] == [Verdict.UNKNOWN, Verdict.UNKNOWN]
    spelt = check_training(digests_of("a"), ["BERT"], None, training).findings[0]
    assert spelt.verdict is Verdict.SUSPICIOUS
    assert "case or spaces" in spelt.claim


def test_what_is_not_known_of_training_is_said():
    """Nothing named is one unknown, with what to name."""
    (found,) = check_training(digests_of("a"), ["a"], None, None).findings
    assert found.verdict is Verdict.UNKNOWN
    assert "Name the training set" in found.advice
    only = check_training(digests_of("ab"), ["a", "b"], None, Training(digests=digests_of("b"), listed=True))
    assert [finding.verdict for finding in only.findings] == [Verdict.UNKNOWN, Verdict.LEAK, Verdict.UNKNOWN]
    (row,) = only.tables["training_exact"].to_pylist()
    assert (row["row"], row["training_row"], row["label_b"], row["same_label"]) == (1, 0, None, None)
