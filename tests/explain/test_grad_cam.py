"""Grad-CAM of modules of PyTorch: the grad-cam library, its layer found by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evaljobs.errors import ExitCode, UsageError
from evaljobs.explain.ablation import ablation_cam
from evaljobs.explain.checkpoints import explain_torch
from evaljobs.explain.halved import Halved, find_layer
from evaljobs.explain.resizing import smoothly
from evaljobs.explain.targets import ClassScore, Similarity, Target
from tests.cli.conftest import Command, command
from tests.explain.conftest import BIAS, CHANNELS, CLASSES, DARK, HEAD, PLACES, Networks, kernel, picture

__all__ = ["command"]

BOTH = picture(red=(1, 1), green=(5, 4))


def colours() -> Any:
    """Return the network of colours as a module."""
    convolution = torch.nn.Conv2d(3, CHANNELS, 4, 4)
    last = torch.nn.Linear(CHANNELS, len(BIAS))
    with torch.no_grad():
        convolution.weight.copy_(torch.from_numpy(kernel()))
        convolution.bias.fill_(-float(DARK))
        last.weight.copy_(torch.from_numpy(HEAD.T.copy()))
        last.bias.copy_(torch.from_numpy(BIAS))
    pooled = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    return torch.nn.Sequential(convolution, torch.nn.ReLU(), pooled, last)


def batch(*images: np.ndarray) -> np.ndarray:
    return np.stack([image.transpose(2, 0, 1) / 255 for image in images]).astype(np.float32)


@pytest.mark.parametrize("target", [ClassScore(0), ClassScore(1)], ids=["red", "green"])
def test_of_a_linear_head_both_ways_agree(networks: Networks, target: Target) -> None:
    """Where a linear layer follows the pooling, a gradient is what a removal costs for each unit of the channel."""
    maps = explain_torch(colours(), batch(BOTH), target)
    assert maps.layer == "1"
    model = networks.model(networks.write())
    halved = Halved(model, "embedding", find_layer(model, "embedding"))
    values = smoothly(ablation_cam(halved, BOTH, target).values, *BOTH.shape[:2])
    np.testing.assert_allclose(maps.rows, halved.rows(BOTH[None]), rtol=1e-4)
    peak = np.unravel_index(maps.values[0].argmax(), maps.values[0].shape)
    assert values[peak] > 0.9
    assert np.corrcoef(maps.values[0].ravel(), values.ravel())[0, 1] > 0.9


def test_similarity_is_explained() -> None:
    """Each image towards the other: where both are green, while one is red besides and the other blue."""
    other = picture(green=(0, 6), blue=(6, 0))
    rows = colours()(torch.from_numpy(batch(BOTH, other))).detach().numpy()
    maps = explain_torch(colours(), batch(BOTH, other), [Similarity(rows[1]), Similarity(rows[0])])
    for values, (top, left) in zip(maps.values, ((5, 4), (0, 6)), strict=True):
        row, column = np.unravel_index(values.argmax(), values.shape)
        assert 4 * top - 2 <= row < 4 * top + 10
        assert 4 * left - 2 <= column < 4 * left + 10


def test_a_named_layer_is_checked() -> None:
    """A submodule that is missing, or has no places, is refused."""
    assert explain_torch(colours(), batch(BOTH), ClassScore(0), "0").layer == "0"
    with pytest.raises(UsageError, match="the module has no submodule 'body'"):
        explain_torch(colours(), batch(BOTH), ClassScore(0), "body")
    with pytest.raises(UsageError, match=r"the submodule '3' gives \[1, 4\]"):
        explain_torch(colours(), batch(BOTH), ClassScore(0), "3")
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * BOTH.shape[0] * BOTH.shape[1], 2))
    with pytest.raises(UsageError, match="the module has no layer with places"):
        explain_torch(flat, batch(BOTH), ClassScore(0))


NET = """
from torch import nn

def net():
    pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.ReLU(), pooled, nn.Linear(8, 4))

def sure():
    return nn.Sequential(*net(), nn.Softmax(dim=1))
"""


class Tokens(torch.nn.Module):  # type: ignore[misc]  # torch is not there when types are checked
    """Patches as tokens behind a class token, which alone is read behind the last block."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches = torch.nn.Conv2d(3, CHANNELS, 4, 4)
        self.before = torch.nn.LayerNorm(CHANNELS)
        self.attention = torch.nn.MultiheadAttention(CHANNELS, 2, batch_first=True)
        self.after = torch.nn.LayerNorm(CHANNELS)
        self.head = torch.nn.Linear(CHANNELS, 2)

    def forward(self, images: Any) -> Any:
        """Return [n, 2]."""
        places = self.patches(images).flatten(2).transpose(1, 2)
        tokens = self.before(torch.cat([torch.ones_like(places[:, :1]), places], dim=1))
        mixed = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return self.head(self.after(mixed)[:, 0])


def test_class_token_alone_is_no_place() -> None:
    """Behind the last attention places have no gradient: the layer before it is taken."""
    maps = explain_torch(Tokens().eval(), batch(BOTH), ClassScore(1))
    assert maps.layer == "before"
    assert maps.values.shape == (1, 4 * PLACES, 4 * PLACES)


def test_a_checkpoint_is_explained(
    networks: Networks, command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On the command line: loaded as for an export, and drawn like an ONNX file."""
    (tmp_path / "colour_nets.py").write_text(NET, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    torch.save(colours().state_dict(), tmp_path / "colours.pt")
    (tmp_path / "preprocessing.yaml").write_text("{mean: [0], std: [1]}", encoding="utf-8")
    arguments = ["--arch", "colour_nets:net", "--size", "32", "--preprocessing", "preprocessing.yaml"]
    image = networks.image("green", green=(4, 4))
    done = command("explain", "colours.pt", image, *arguments, "--out", "looks.png")
    assert (done.code, done.err) == (ExitCode.OK, "")
    assert done.out.startswith("green.png: 1: 0.")
    assert (tmp_path / "looks.png").is_file()
    # The same network with its softmax: not taken for logits, and the same number once that is said.
    arguments[1] = "colour_nets:sure"
    (tmp_path / "classes.txt").write_text("\n".join(CLASSES), encoding="utf-8")
    command("explain", "colours.pt", image, *arguments).refused("whether the class scores are logits or")
    said = ["--scores-are", "probabilities", "--classes", "classes.txt"]
    again = command("explain", "colours.pt", image, *arguments, *said)
    assert again.out.splitlines()[0] == done.out.splitlines()[0].replace(" 1: ", " green: ")
