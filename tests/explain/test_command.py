"""The command that draws where a model looks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaljobs.errors import ExitCode
from tests.cli.conftest import Command, command
from tests.explain.conftest import CLASSES, Networks

__all__ = ["command"]


def test_images_are_explained_by_a_file(networks: Networks, command: Command) -> None:
    """A model and images are enough: a line for each, also where one is named twice, and a sheet."""
    model, out = networks.write(), networks.folder / "sheets" / "looks.png"
    red = networks.image("red", red=(1, 1))
    files = [red, networks.image("green", green=(4, 4)), red]
    names = networks.folder / "classes.txt"
    names.write_text("\n".join(CLASSES), encoding="utf-8")
    done = command("explain", model, *files, "--classes", names, "--out", out)
    assert (done.code, done.err) == (ExitCode.OK, "")
    assert done.out.splitlines()[0].startswith("red.png: red: 0.")
    assert done.out.splitlines()[1].startswith("green.png: green: 0.")
    assert done.out.splitlines()[2:] == [done.out.splitlines()[0], f"{out}: 3 image(s), layer features"]
    assert np.asarray(Image.open(out)).std() > 10
    assert out.with_suffix(".svg").is_file()


def test_similarity_to_an_image(networks: Networks, command: Command) -> None:
    """Embeddings are explained towards another image."""
    model, out = networks.write(), networks.folder / "like.png"
    one, other = networks.image("one", red=(1, 1), blue=(5, 5)), networks.image("other", blue=(0, 0))
    done = command("explain", model, one, "--like", other, "--style", "blocks", "--out", out)
    assert done.code == ExitCode.OK
    assert done.out.startswith("one.png: similarity to other.png: 0.")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--class", "red", "--like", "red.png"], "a map explains one of them"),
        (["--class", "yellow"], "there is no class 'yellow' among the 4"),
        (["--out", "looks.jpg"], "expected a name that ends in .png"),
        (["--size", "8"], "give its architecture with --arch"),
        (["--arch", "colour_nets:net", "--scores", "logits"], "name tensors of an ONNX file"),
    ],
)
def test_wrong_options(
    networks: Networks, command: Command, options: list[str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are said, and nothing is drawn."""
    monkeypatch.chdir(networks.folder)
    command("explain", networks.write(), networks.image("red", red=(1, 1)), *options).refused(expected)
    assert not list(networks.folder.glob("*.png"))


def test_what_scores_are_can_be_said(networks: Networks, command: Command) -> None:
    """It is held against the numbers."""
    model, image = networks.write(), networks.image("red", red=(1, 1))
    command("explain", model, image, "--scores-are", "probabilities").refused("found probabilities from")


def test_a_layer_that_is_not_there(networks: Networks, command: Command, tmp_path: Path) -> None:
    """The layers that can be named are."""
    out = tmp_path / "looks.png"
    done = command("explain", networks.write(), networks.image("red", red=(1, 1)), "--layer", "x9", "--out", out)
    assert done.code == ExitCode.NO_RESULTS
    assert "Layers that can be named: 'features': 8 channels at 8 x 8 places" in done.err
    assert not out.exists()
