"""Train 24 models that differ in width, size, normalisation and loss, and one over six epochs; write them as ONNX.

    python train.py [--images 60000]

Needs PyTorch. Takes about a quarter of an hour on two cores; models that are there are kept.
"""

from __future__ import annotations

import argparse
import itertools
import json
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from data import CLASSES, read
from network import Design, Network
from torch import Tensor
from torch.nn import functional

MODELS = Path(__file__).parent / "models"
MEAN, STD = 0.286, 0.353  # of the training images, on the scale from 0 to 1
BATCH = 128
DESIGNS = [
    Design(width, dim, res, norm, loss)
    for width, (dim, res), norm, loss in itertools.product(
        (4, 8), ((64, 28), (16, 14)), ("bn", "ln"), ("softmax", "cos", "arc")
    )
]
EPOCHS = 6


def loaded(res: int, count: int) -> tuple[Tensor, Tensor]:
    """Return training images at a resolution, float32 [n, 1, res, res], and labels."""
    images, labels = read("train")
    pixels = torch.from_numpy(images[:count].astype(np.float32) / 255)[:, None]
    if res != pixels.shape[-1]:
        pixels = functional.interpolate(pixels, size=res, mode="bilinear", antialias=True)
    return (pixels - MEAN) / STD, torch.from_numpy(labels[:count].astype(np.int64))


def train_epoch(network: Network, images: Tensor, labels: Tensor, optimiser: torch.optim.Optimizer) -> None:
    """Pass over all images once, in a new order."""
    network.train()
    for batch in torch.randperm(len(images)).split(BATCH):
        optimiser.zero_grad()
        network.loss(images[batch], labels[batch]).backward()
        optimiser.step()


def export(network: Network, path: Path) -> None:
    """Write a network as ONNX, with what evaljobs must know in its metadata."""
    network.eval()
    res = network.design.res
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(2, 1, res, res),),
            str(unfinished),
            dynamo=False,
            input_names=["image"],
            output_names=["embedding", "logits"],
            dynamic_axes={name: {0: "batch"} for name in ("image", "embedding", "logits")},
        )
    model = onnx.load(str(unfinished))
    preprocessing = {"size": [res, res], "color": "gray", "mean": [MEAN], "std": [STD]}
    said = {"evaljobs.preprocessing": preprocessing, "evaljobs.classes": CLASSES, "evaljobs.scores_are": "logits"}
    values = {key: value if isinstance(value, str) else json.dumps(value) for key, value in said.items()}
    onnx.helper.set_model_props(model, values)
    onnx.save(model, str(unfinished))
    unfinished.rename(path)


def fit(design: Design, paths: list[Path], count: int) -> None:
    """Train a model for as many epochs as there are paths, and write it after each."""
    if all(path.exists() for path in paths):
        return
    torch.manual_seed(0)
    images, labels = loaded(design.res, count)
    network = Network(design, len(CLASSES))
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for path in paths:
        train_epoch(network, images, labels, optimiser)
        export(network, path)
        print(path.relative_to(MODELS.parent), flush=True)


def main() -> None:
    """Train all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=60_000)
    count = parser.parse_args().images
    for design in DESIGNS:
        fit(design, [MODELS / f"{design}.onnx"], count)
    one = Design(8, 64, 28, "bn", "cos")
    fit(one, [MODELS / "epochs" / f"epoch-{number}.onnx" for number in range(1, EPOCHS + 1)], count)


if __name__ == "__main__":
    main()
