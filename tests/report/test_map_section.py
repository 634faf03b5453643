"""What is shown of a map: pictures that can be read, shares that are right, names that do no harm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from evaljobs.report.figures.coloring import OTHERS, UNKNOWN, Categories, Scale, coloring_of
from evaljobs.report.figures.maps import fitted, scaled
from evaljobs.report.figures.placing import Spot
from evaljobs.report.kinds.map import map_section
from evaljobs.report.kinds.neighbours import neighbours
from evaljobs.report.section import Level
from tests.report.mapped import mapped

HOSTILE = [
    "$x_{",
    "<script>alert(1)</script>",
    "_hidden",
    "a\nb\x1b[31m",
    "\u202eevil",
    "\u56fe" * 80,
    "\\frac{",
    "\ue000",
]


def test_pictures_of_both_methods(tmp_path: Path) -> None:
    """PNG and SVG by label; by format only where images differ in it."""
    found = mapped(tmp_path, facts={"format": ["PNG"] * 120})
    shown = map_section(found)
    assert [picture.files.png.name for picture in shown.whole.pictures] == [
        "map-edges-pca-label.png",
        "map-edges-tsne-label.png",
    ]
    for picture in shown.whole.pictures:
        assert picture.files.png.parent == picture.files.svg.parent == tmp_path / "figures"
        assert picture.files.svg.read_bytes().startswith(b"<?xml")
        with Image.open(picture.files.png) as image:
            assert image.width > 1500
            assert len(image.convert("RGB").getcolors(10**7)) > 100
        assert "All 120 images" in picture.alt
    assert shown.headline.best is None
    assert shown.headline.sentence.startswith("All 120 images as edges sees them: the nearest image has the same label")
    assert shown.findings == []


def test_the_same_bytes_each_time(tmp_path: Path) -> None:
    """Two equal runs leave equal pictures."""
    files = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        pictures = map_section(mapped(tmp_path / name, n=40, methods="pca")).whole.pictures
        files.append([path.read_bytes() for picture in pictures for path in picture.files])
    assert len(files[0]) == 2
    assert files[0] == files[1]


def test_without_thumbnails_points_stand_alone(tmp_path: Path) -> None:
    """A run whose images are gone still has its map."""
    found = mapped(tmp_path, n=40, methods="pca")
    widths = []
    for _ in range(2):
        with Image.open(map_section(found).whole.pictures[0].files.png) as image:
            widths.append(image.width)
        (tmp_path / "thumbnails.arrow").write_bytes(b"damaged")
    assert widths[0] > 1.5 * widths[1]


def test_a_format_that_the_model_sees_is_a_warning(tmp_path: Path) -> None:
    """Nearest images share a format more often than their labels explain: that is where a leak shows first."""
    # Labels are drawn; the format is the digit's parity, which the pixels tell.
    from sklearn.datasets import load_digits

    digits = load_digits().target[:200]
    labels = [str(label) for label in np.random.default_rng(0).integers(0, 4, 200)]
    formats = ["JPEG" if digit % 2 else "PNG" for digit in digits]
    shown = map_section(mapped(tmp_path, 200, labels, {"format": formats}, methods="pca"))
    (finding,) = [f for f in shown.findings if f.level is Level.WARNING]
    assert "saved alike" in finding.text
    assert "either the model sees the format, or near-duplicates or sessions share it" in finding.text.lower()
    assert finding.advice
    assert [picture.files.png.stem for picture in shown.whole.pictures] == [
        "map-edges-pca-label",
        "map-edges-pca-format",
    ]


def test_a_format_that_follows_from_the_label_is_none(tmp_path: Path) -> None:
    """Where the label explains it, a model that knows labels is not blamed."""
    from sklearn.datasets import load_digits

    digits = load_digits().target[:200]
    formats = ["JPEG" if digit % 2 else "PNG" for digit in digits]
    shown = map_section(mapped(tmp_path, 200, None, {"format": formats}, methods="pca"))
    assert [f for f in shown.findings if f.level is Level.WARNING] == []


def test_neighbours_are_counted_by_hand() -> None:
    """Six images: what the nearest shares, what pairs share, and what labels explain."""
    table = pa.table(
        {
            "row": [10, 11, 12, 13, 14, 15],
            "nearest_row": [11, 10, 13, 12, 15, 14],
            "label": ["a", "a", "a", "b", "b", "b"],
            "format": ["P", "P", "J", "J", "P", "J"],
        }
    )
    label, image_format = neighbours(table)
    assert label.column == "label"
    assert (label.same, label.by_chance) == (4 / 6, pytest.approx(12 / 30))
    assert image_format.same == 4 / 6
    assert image_format.by_chance == pytest.approx(12 / 30)
    # For each image, the share of its format among the other images of the label of its nearest.
    assert image_format.by_labels == pytest.approx((1 / 2 + 1 / 2 + 2 / 3 + 1 / 3 + 0 / 2 + 1 / 2) / 6)


def test_hostile_labels_are_drawn_as_text(tmp_path: Path) -> None:
    """Mathematics, markup, control characters and letters without a glyph: a picture, and no error or warning."""
    labels = [HOSTILE[n % len(HOSTILE)] for n in range(40)]
    shown = map_section(mapped(tmp_path, 40, labels, methods="pca"))
    (picture,) = shown.whole.pictures
    assert b"<script" not in picture.files.svg.read_bytes()


@pytest.mark.parametrize("n", [1, 2, 5])
def test_very_few_images(tmp_path: Path, n: int) -> None:
    """One image or two: the picture that there can be, and a note for the other."""
    shown = map_section(mapped(tmp_path, n))
    stems = [picture.files.png.stem for picture in shown.whole.pictures]
    assert stems == (["map-edges-pca-label"] if n < 5 else ["map-edges-pca-label", "map-edges-tsne-label"])
    assert any("t-SNE" in finding.text for finding in shown.findings) == (n < 5)


def test_numbers_have_a_scale(tmp_path: Path) -> None:
    """Widths of all sizes are drawn with a colour bar; where one is not known, the point is marked as unknown."""
    widths = [None if n == 7 else 16 * (n + 1) for n in range(60)]
    shown = map_section(mapped(tmp_path, 60, None, {"width": widths}, methods="pca", color="width"))
    assert shown.whole.pictures[0].title == "Principal components by width [px]: edges"


def test_coloring_names_the_most_frequent() -> None:
    """Twelve names in the order in which people count, grey for the rest."""
    values = [f"class {n % 20}" for n in range(190)] + [None]
    found = coloring_of("label", values)
    assert isinstance(found, Categories)
    assert found.names == tuple(f"class {n}" for n in (*range(10), 10, 11))
    assert found.n_others == 8
    assert found.count(OTHERS) == sum(int(str(v).split()[1]) > 11 for v in values if v)
    assert found.count(UNKNOWN) == 1


def test_a_label_of_thousands_of_digits_is_drawn() -> None:
    """Python refuses to read so long a number; a label is a name, whatever stands in it."""
    found = coloring_of("label", ["9" * 5000, "a", "10", "2"])
    assert isinstance(found, Categories)
    assert found.names == ("2", "10", "9" * 5000, "a")


def test_coloring_of_numbers_and_of_what_does_not_differ() -> None:
    """Few numbers are names; many a scale, logarithmic where they are wide apart; one value is nothing to see."""
    assert isinstance(coloring_of("frames", [1, 1, 3]), Categories)
    narrow, wide = coloring_of("width", range(100, 120)), coloring_of("size", [10**n for n in range(9)])
    assert isinstance(narrow, Scale)
    assert not narrow.logarithmic
    assert narrow.title == "width [px]"
    assert isinstance(wide, Scale)
    assert wide.logarithmic
    assert coloring_of("format", ["PNG"] * 5) is None
    assert coloring_of("format", []) is None


def test_numbers_of_strangers_break_no_scale() -> None:
    """What is no number, infinite or beyond any scale is unknown; the names of columns are shown as they are."""
    scale = coloring_of("manifest.$x\n", [float("nan"), float("inf"), -1e308, None, *(n / 10 for n in range(9))])
    assert isinstance(scale, Scale)
    assert np.isnan(scale.values[:4]).all()
    assert scale.values[4:].tolist() == [n / 10 for n in range(9)]
    assert not scale.logarithmic
    assert scale.title == "manifest.$x\\n"
    assert coloring_of("manifest.x", [float("nan")] * 3) is None


def test_a_scale_of_fractions_is_written_with_its_fractions(tmp_path: Path) -> None:
    """A bar from 0 to 1 has numbers between them, in the picture that is written."""
    found = mapped(
        tmp_path, n=40, methods="pca", color="bytes_per_pixel", facts={"bytes_per_pixel": [i / 40 for i in range(40)]}
    )
    (picture,) = map_section(found).whole.pictures
    text = picture.files.svg.read_text(encoding="utf-8")
    assert "<!-- 0.2 -->" in text
    assert "<!-- 0.8 -->" in text


@pytest.mark.parametrize("shape", [(96, 96), (96, 10), (10, 96), (8, 8)])
def test_pictures_stay_inside_their_cells(shape: tuple[int, int]) -> None:
    """A thumbnail fills its cell in one direction, keeps its shape, and leaves room for its frame."""
    left, bottom, width, height = fitted(Spot(0, 2.0, 3.0, 0.5), shape)
    assert left > 2.0
    assert left + width < 2.5
    assert bottom > 3.0
    assert bottom + height < 3.5
    assert width / height == pytest.approx(shape[1] / shape[0])
    assert max(width, height) > 0.4


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_small_thumbnails_are_drawn_as_they_are(factor: int) -> None:
    """Digits of 8 x 8 pixels stay squares of one colour when they are drawn larger."""
    pixels = np.random.default_rng(0).integers(0, 256, (8, 5, 3)).astype(np.uint8)
    larger = pixels.repeat(factor, axis=0).repeat(factor, axis=1)
    assert np.array_equal(scaled(pixels, 8 * factor, 5 * factor), larger)


def test_large_thumbnails_keep_their_look() -> None:
    """A picture of 96 pixels that is drawn with 40 is that of its parts, a line that of its colour."""
    y, x = np.mgrid[0:96, 0:96]
    pixels = np.stack([2 * x, 2 * y, x + y], axis=-1).astype(np.uint8)
    small = scaled(pixels, 40, 40).astype(int)
    step = 96 / 40
    expected = 2 * ((np.arange(40) + 0.5) * step - 0.5)
    assert np.abs(small[..., 0] - expected).max() <= 2
    assert np.abs(small[..., 1] - expected[:, None]).max() <= 2
    assert scaled(np.full((1, 96, 3), 7, np.uint8), 1, 30).tolist() == [[[7, 7, 7]] * 30]
