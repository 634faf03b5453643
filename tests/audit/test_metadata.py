"""Whether metadata tell labels: planted leaks of every kind are caught and named, clean sets pass."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from evaljobs.audit.finding import Checked, Verdict
from evaljobs.audit.metadata import check_metadata
from evaljobs.errors import InputError
from tests.audit.planted import encoded, exif, pictures, samples_of

N = 150
RNG = np.random.default_rng(0)
LABELS = RNG.permutation(["defect"] * 50 + ["normal"] * 100).tolist()


def checked(files: list[bytes], labels: list[str] = LABELS, permutations: int = 199, **options) -> Checked:
    samples = samples_of(files)
    return check_metadata(
        samples, labels, samples["image_digest"].combine_chunks(), permutations=permutations, **options
    )


def saved(save: Callable[[Image.Image, bool], bytes]) -> list[bytes]:
    return [save(image, label == "defect") for image, label in zip(pictures(N), LABELS, strict=True)]


def noise(image: Image.Image) -> Image.Image:
    """Return an image that takes many more bytes, of the same size and mode."""
    pixels = np.asarray(image).astype(int) + np.random.default_rng(1).integers(-60, 60, (24, 24, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


LEAKS = {
    "format": lambda image, bad: encoded(image, "PNG" if bad else "JPEG"),
    "jpeg_quality": lambda image, bad: encoded(image, quality=75 if bad else 80),
    "subsampling": lambda image, bad: encoded(image, subsampling=0 if bad else 2),
    "progressive": lambda image, bad: encoded(image, progressive=bad),
    "mode": lambda image, bad: encoded(image if bad else image.convert("L"), "PNG"),
    "icc": lambda image, bad: encoded(image, "PNG", icc_profile=b"profile" if bad else None),
    "exif": lambda image, bad: encoded(image, exif=exif() if bad else b""),
    "orientation": lambda image, bad: encoded(image, exif=exif(orientation=1 if bad else 6)),
    "camera": lambda image, bad: encoded(image, exif=exif(make="A" if bad else "B")),
    "software": lambda image, bad: encoded(image, exif=exif(software="A" if bad else "B")),
    "width": lambda image, bad: encoded(image.resize((25, 24)) if bad else image, "PNG"),
    "height": lambda image, bad: encoded(image.resize((24, 26)) if bad else image, "PNG"),
    "frames": lambda image, bad: encoded(
        image.convert("P"),
        "GIF",
        save_all=True,
        append_images=[image.rotate(90 * n).convert("P") for n in range(1, 2 if bad else 3)],
    ),
    # Equal quality, other tables: a program of its own.
    "jpeg_tables": lambda image, bad: encoded(image, qtables=[[16] * 64, [17 if bad else 18] * 64]),
}


@pytest.mark.parametrize("field", LEAKS)
def test_a_planted_leak_is_caught_and_named(field):
    """Through one field alone, whichever it is, with all else the same."""
    save = LEAKS[field]
    if field == "exif":

        def save(image, bad):
            return encoded(image, exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00" if bad else b"")

    found = checked(saved(save))
    first = found.findings[0]
    assert first.verdict is Verdict.LEAK
    assert first.evidence["field"] == field
    assert first.evidence["p"] <= 0.01
    assert first.evidence["classifier_auroc"] > 0.99
    assert first.advice
    told = {row["field"]: row for row in found.tables["fields"].to_pylist()}
    assert told[field]["auroc"] == told[field]["pair_auroc"] == 1.0
    assert told[field]["verdict"] == "leak"


def test_bytes_alone_are_suspicious_and_no_leak():
    """An image full of detail takes more bytes, however it is saved: that decides nothing."""
    found = checked(saved(lambda image, bad: encoded(noise(image) if bad else image, "PNG")))
    assert [finding.verdict for finding in found.findings] == [Verdict.CLEAN, Verdict.SUSPICIOUS]
    assert found.findings[1].evidence["field"] == "size"
    assert found.findings[1].evidence["fields"][0]["auroc"] > 0.95


def test_half_of_a_leak_is_a_leak():
    """A third of the defects as PNG, all others JPEG: as much as AUROC 0.6 tells for nothing."""
    turn = iter(np.random.default_rng(2).random(N) < 0.5)
    found = checked(saved(lambda image, bad: encoded(image, "PNG" if next(turn) and bad else "JPEG"))).findings[0]
    assert found.verdict is Verdict.LEAK
    assert found.evidence["field"] == "format"


def test_what_no_field_says_alone_is_caught_together():
    """Quality and subsampling, each balanced over both labels; only the two together tell them."""
    turn = iter(np.tile([0, 1], N))

    def save(image, bad):
        coin = next(turn)
        return encoded(image, quality=70 if coin else 90, subsampling=0 if coin == bad else 2)

    found = checked(saved(save)).findings[0]
    assert found.verdict is Verdict.LEAK
    assert found.evidence["field"] == "combination"
    assert "all fields together" in found.claim


def test_one_class_of_many_that_is_saved_otherwise_is_caught():
    """Its share is small, its AUROC is not."""
    labels = [f"c{n % 10}" for n in range(N)]
    files = [
        encoded(image, "PNG" if label == "c3" else "JPEG") for image, label in zip(pictures(N), labels, strict=True)
    ]
    found = checked(files, labels).findings[0]
    assert found.verdict is Verdict.LEAK
    assert found.evidence["fields"][0]["label"] == "c3"
    assert "label 'c3' with AUROC 1.000" in found.claim


def test_an_own_camera_for_each_of_many_people_is_caught():
    """No class has the ten images that an AUROC of its own needs; pairs say it."""
    labels = [f"person {n // 3}" for n in range(N)]
    files = [encoded(image, exif=exif(model=label)) for image, label in zip(pictures(N), labels, strict=True)]
    found = checked(files, labels).findings[0]
    assert found.verdict is Verdict.LEAK
    assert found.evidence["field"] == "camera"
    assert found.evidence["fields"][0]["auroc"] is None
    assert found.evidence["fields"][0]["pair_auroc"] == 1.0
    assert found.evidence["classifier_pair_auroc"] > 0.99


def test_columns_of_peoples_own_are_asked_like_any_other():
    """The scanner that a manifest names; a column that nobody names is not looked at."""
    samples = samples_of([encoded(image) for image in pictures(N)])
    own = pa.array(["left" if label == "defect" else None for label in LABELS])
    samples = samples.append_column("manifest.scanner", own)
    digests = samples["image_digest"].combine_chunks()
    assert check_metadata(samples, LABELS, digests).findings[0].verdict is Verdict.CLEAN
    found = check_metadata(samples, LABELS, digests, own=["manifest.scanner"]).findings[0]
    assert (found.verdict, found.evidence["field"]) == (Verdict.LEAK, "manifest.scanner")


def mixed(seed: int) -> list[bytes]:
    """Save images in many ways that have nothing to do with their labels."""
    rng = np.random.default_rng(seed)
    return [
        encoded(
            image.resize((int(rng.integers(20, 40)), 24)),
            ["JPEG", "PNG"][rng.integers(0, 2)],
            quality=int(rng.integers(50, 95)),
        )
        for image in pictures(N)
    ]


def test_clean_sets_pass():
    """Many fields that differ at random tell nothing."""
    flagged = [
        seed
        for seed in range(3)
        if any(found.verdict is not Verdict.CLEAN for found in checked(mixed(seed), seed=seed).findings)
    ]
    assert flagged == []


def test_images_that_are_alike_have_nothing_to_tell():
    """One way of saving, one size: clean at once."""
    found = checked([encoded(image, "BMP") for image in pictures(N)])
    assert [finding.verdict for finding in found.findings] == [Verdict.CLEAN]
    assert "alike in every field" in found.findings[0].claim
    assert found.tables["fields"].num_rows == 0


@pytest.mark.parametrize(
    "labels",
    [["a", "b"] * 3, [str(n) for n in range(40)], ["a"] * 40, ["a"], []],
    ids=["six images", "one image per label", "one label", "one image", "none"],
)
def test_too_few_labels_or_images_are_unknown(labels):
    """A test that cannot find anything says so, and not that all is well."""
    files = [encoded(image, "PNG" if n % 2 else "JPEG") for n, image in enumerate(pictures(len(labels)))]
    (found,) = checked(files, labels).findings
    # A single image differs from none.
    assert found.verdict is (Verdict.UNKNOWN if len(labels) > 1 else Verdict.CLEAN)


def test_copies_count_once():
    """Copies share their label and their metadata: as images of their own they would prove a leak that is none."""
    files = mixed(0)
    order = np.repeat(np.arange(N), 6)
    once = checked(files)
    copied = checked([files[n] for n in order], [LABELS[n] for n in order])
    assert copied.findings[0].evidence["n_images_looked_at"] == N
    assert [finding.verdict for finding in copied.findings] == [finding.verdict for finding in once.findings]
    assert copied.findings[0].evidence["classifier_auroc"] == once.findings[0].evidence["classifier_auroc"]


def test_weak_effects_in_large_sets_are_no_leak():
    """Of 30,000 images more than chance is soon found; AUROC 0.53 is suspicious, and the part looked at is said."""
    rng = np.random.default_rng(3)
    n = 30_000
    labels = rng.integers(0, 2, n)
    jpeg = rng.random(n) < np.where(labels == 1, 0.53, 0.47)
    samples = pa.table({"format": np.where(jpeg, "JPEG", "PNG")})
    digests = pa.array([int(row).to_bytes(32, "big") for row in range(n)], pa.binary(32))
    found = check_metadata(samples, labels.astype(str).tolist(), digests, permutations=199).findings[0]
    assert found.verdict is Verdict.SUSPICIOUS
    assert "too weak" in found.claim
    assert "by 20,000 of 30,000 images" in found.claim


def test_what_does_not_fit_together_is_said():
    """Lists of other lengths and columns that are not there: in words."""
    table, digests = pa.table({"format": ["PNG", "JPEG"]}), pa.array([b"a" * 32, b"b" * 32], pa.binary(32))
    with pytest.raises(InputError, match="2 samples, 1 labels and 2 digests"):
        check_metadata(table, ["a"], digests)
    with pytest.raises(InputError, match=r"no column 'manifest\.day'; the columns are format"):
        check_metadata(table, ["a", "b"], digests, own=["manifest.day"])


def test_large_numbers_and_columns_in_pieces_are_taken():
    """A manifest's numbers may be times in nanoseconds, and columns of samples.arrow come in pieces."""
    labels = [f"{n % 4}" for n in range(80)]
    times = pa.chunked_array([pa.array([2**62 + 10**15 * (n % 4) for n in range(80)])])
    digests = pa.chunked_array(
        [pa.array([bytes([n]) * 32 for n in part], pa.binary(32)) for part in np.split(np.arange(80), 2)]
    )
    found = check_metadata(pa.table({"manifest.time": times}), labels, digests, own=["manifest.time"]).findings[0]
    assert (found.verdict, found.evidence["field"]) == (Verdict.LEAK, "manifest.time")
