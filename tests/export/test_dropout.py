"""Dropout that stays in the graph, and nothing else of training."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from evaljobs.models.session import sample_with_dropout
from tests.export.conftest import Place, operators

ARGUMENTS = "--arg p=0.5 --arg q=0.25"


def test_dropout_leaves_by_default(place: Place) -> None:
    """A model for inference has none."""
    assert place.export(place.save(place.net().state_dict()), options=ARGUMENTS).code == 0
    assert "Dropout" not in operators(place.folder / "net.onnx")


def test_dropout_of_modules_and_functions_is_kept(place: Place) -> None:
    """Both are random with their probabilities; batch norms stay as they are; a run without it is the network."""
    net = place.net(p=0.5, q=0.25)
    done = place.export(place.save(net.state_dict()), options=f"{ARGUMENTS} --keep-dropout")
    assert done.code == 0
    assert "dropout kept: 2 nodes, probability 0.25, 0.5" in done.out
    path = place.folder / "net.onnx"
    assert operators(path).count("Dropout") == 2
    assert "BatchNormalization" not in operators(path)  # folded: it measures no batch
    assert place.model().dropout == (2, 2)
    image = 3 * np.random.default_rng(0).standard_normal((1, 3, 16, 16), dtype=np.float32)
    name = onnx.load(path).graph.input[0].name
    samples = np.concatenate(list(sample_with_dropout(path, {name: np.repeat(image, 500, axis=0)}, 2)))
    assert len(np.unique(samples, axis=0)) > 100
    # The neck is linear, so that the mean over dropout is the row without it.
    import torch

    with torch.no_grad():
        expected = net(torch.from_numpy(image)).numpy()[0]
    spread = samples.std(axis=0) / np.sqrt(len(samples))
    assert (np.abs(samples.mean(axis=0) - expected) < 5 * spread).all()


def test_channels_are_dropped_whole(place: Place) -> None:
    """ONNX has no operator for it: a mask of one value for each channel stands for it."""
    done = place.export(place.save(place.net("Channels").state_dict()), arch="Channels", options="--keep-dropout")
    assert done.code == 0
    assert "1 nodes, probability 0.5" in done.out
    assert operators(place.folder / "net.onnx").count("Dropout") == 1


@pytest.mark.parametrize(
    ("arch", "options", "said"),
    [
        ("Small", "--keep-dropout", "there is no dropout to keep"),
        ("Attention", "--keep-dropout", "part of a fused attention"),
        ("Small", f"{ARGUMENTS} --keep-dropout --exporter dynamo", "--exporter torchscript alone"),
    ],
)
def test_dropout_that_would_be_lost_is_refused(place: Place, arch: str, options: str, said: str) -> None:
    """Nothing is dropped without a word."""
    done = place.export(place.save(place.net(arch).state_dict()), arch=arch, options=options)
    assert done.code in {2, 4}
    assert said in done.err
    assert place.files() == []
