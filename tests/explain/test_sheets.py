"""What people see: overlays, sheets and findings."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from evaljobs.explain.resizing import in_blocks, smoothly
from evaljobs.images.picture import SEEN, picture_of
from evaljobs.report.figures.saliency import Explained, overlay, resized, saliency_figure
from evaljobs.report.kinds.explain import explain_section
from evaljobs.report.results import Group
from evaljobs.report.section import Found, Level
from tests.explain.conftest import picture

BOTH = picture(red=(1, 1), green=(5, 4))


@pytest.mark.parametrize("shape", [(2, 3), (8, 8), (7, 5)])
def test_maps_are_drawn_as_they_are_checked(shape: tuple[int, int]) -> None:
    """The picture and the curves put a map over the pixels in the same way; blocks are whole places."""
    values = np.random.default_rng(0).uniform(size=shape)
    np.testing.assert_allclose(resized(values, 40, 48, "smooth"), smoothly(values, 40, 48), atol=1e-12)
    found = resized(values, 8 * shape[0], 4 * shape[1], "blocks")
    np.testing.assert_array_equal(found, values.repeat(8, axis=0).repeat(4, axis=1))
    np.testing.assert_array_equal(found, in_blocks(values, 8 * shape[0], 4 * shape[1]))


def test_overlay_is_yellow_where_the_map_is_high() -> None:
    """Blue is low and yellow high, on a grey picture: also for those who see no red and green."""
    values = np.zeros((8, 8))
    values[0, 0] = 1
    found = overlay(BOTH, values, "blocks").astype(int)
    assert found.shape == (96, 96, 3)
    high, low = found[:12, :12].reshape(-1, 3), found[60:, 72:].reshape(-1, 3)
    assert (high[:, 0] > high[:, 2] + 50).all()
    assert (low[:, 2] > low[:, 0] + 20).all()
    assert high.sum() / len(high) > low.sum() / len(low) + 100


def test_a_map_finer_than_its_picture_keeps_its_places() -> None:
    """No place is lost where a layer has more places than the picture has pixels."""
    assert overlay(np.zeros((64, 64, 3), np.uint8), np.ones((100, 100))).shape == (128, 128, 3)


@pytest.mark.parametrize("color", ["rgb", "bgr", "gray"])
def test_pictures_are_what_the_model_sees(color: Any) -> None:
    """In the colours that people see, and not larger than a page needs."""
    pixels = BOTH[..., :1] if color == "gray" else BOTH[..., ::-1] if color == "bgr" else BOTH
    found = np.asarray(Image.open(io.BytesIO(picture_of(pixels, color))))
    np.testing.assert_array_equal(found, BOTH[..., 0] if color == "gray" else BOTH)
    large = np.zeros((2 * SEEN, SEEN, 3), np.uint8)
    assert Image.open(io.BytesIO(picture_of(large, "rgb"))).size == (SEEN // 2, SEEN)


def test_sheets_are_the_same_each_time(tmp_path: Path) -> None:
    """Two runs write the same bytes; an image that is not there is an empty box."""
    values = np.random.default_rng(1).uniform(size=(7, 7))
    one = Explained(picture_of(BOTH, "rgb"), values, "label $x$", "cosine 0.9")
    cells = [[one, one._replace(picture=None)]] * 3
    first = saliency_figure(cells, tmp_path / "a", "Where it looks", "smooth")
    second = saliency_figure(cells, tmp_path / "b", "Where it looks", "smooth")
    assert first.png.read_bytes() == second.png.read_bytes()
    assert first.svg.read_bytes() == second.svg.read_bytes()
    assert first.png.read_bytes() != saliency_figure(cells, tmp_path / "c", "Where it looks", "blocks").png.read_bytes()


def result(**changes: Any) -> dict[str, Any]:
    areas = {"deletion": 0.2, "random_deletion": 0.4, "deletion_better": 1.0}
    areas |= {"insertion": 0.8, "random_insertion": 0.5, "insertion_better": 1.0}
    return {
        "n_samples": 9,
        "target": "pairs",
        "class": None,
        "choose": "pairs",
        "n_images": 4,
        "n_maps": 4,
        "n_empty": 0,
        "layer": {"tensor": "relu", "form": "nchw", "channels": 8, "height": 7, "width": 7, "skipped": 0},
        "faithfulness": {"steps": 16, "random_maps": 3, **areas},
        "shuffled_weights": {"rank_correlation": 0.1, "n_maps": 4},
        "notes": [],
        **changes,
    }


def section_of(found: dict[str, Any], folder: Path) -> Any:
    entry = {"status": "ok", "result": found, "error": None, "model": "m", "kind": "explain", "job": "e", "set": "s"}
    models = [{"name": "m", "status": "ok", "error": None}]
    document = {"models": models, "evaluations": [entry]}
    return explain_section(Found(document, Group("e", "s", {"m": entry}), {}, folder))


def test_maps_that_say_nothing_are_named(tmp_path: Path) -> None:
    """Where random maps do as well, or shuffled weights give the same maps, people are told not to read them."""
    assert section_of(result(), tmp_path).findings == []
    same = {**result()["faithfulness"], "insertion": 0.5, "deletion": 0.4}
    (finding,) = section_of(result(faithfulness=same), tmp_path).findings
    assert finding.level is Level.WARNING
    assert "its maps tell no more about what it depends on than random ones" in finding.text
    alike = {"rank_correlation": 0.9, "n_maps": 4}
    (finding,) = section_of(result(shuffled_weights=alike), tmp_path).findings
    assert "the same network with shuffled weights gives nearly the same maps (rank correlation 0.90)" in finding.text
    (finding,) = section_of(result(shuffled_weights={"rank_correlation": None, "n_maps": 0}), tmp_path).findings
    assert finding.level is Level.WARNING
    assert "whether its maps show what was learned is not known" in finding.text
    assert section_of(result(shuffled_weights=None), tmp_path).findings == []
    empty, note = section_of(result(n_empty=2, notes=["only 4"]), tmp_path).findings[::-1]
    assert "2 of 4 maps are empty" in empty.text
    assert note.text == "m: only 4"


def test_headline_compares_with_random_maps(tmp_path: Path) -> None:
    """The first sentence says whether the maps can be believed; unchecked ones are called so."""
    sentence = section_of(result(), tmp_path).headline.sentence
    assert "insertion curve is 0.800, of random maps 0.500; under the deletion curve 0.200" in sentence
    unchecked = section_of(result(faithfulness=None, shuffled_weights=None), tmp_path)
    assert unchecked.headline.sentence.endswith("; the maps were not checked.")
