"""Train networks to tell by how much images of one class are turned; write them as ONNX, after several epochs each.

    python train.py

Needs PyTorch. Takes some minutes on two cores; models that are there are kept.
"""

from __future__ import annotations

import itertools
import json
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from data import normal_training
from torch import Tensor, nn
from torch.nn import functional

MODELS = Path(__file__).parent / "models"
MEAN, STD = 0.286, 0.353  # of all training images of the data set, on the scale from 0 to 1
WIDTHS, SEEDS, EPOCHS = (4, 8, 16), (0, 1), (1, 3, 6)
BATCH, DIM = 32, 64
DEGREES = ("0", "90", "180", "270")


class Network(nn.Module):
    """Three convolutions, the second and third of stride 2, an embedding, and a score for each rotation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for wider in (width, 2 * width, 4 * width):
            layers += [nn.Conv2d(channels, wider, 3, 2 if channels > 1 else 1, 1, bias=False), nn.BatchNorm2d(wider)]
            layers.append(nn.ReLU())
            channels = wider
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(7 * 7 * channels, DIM), nn.ReLU())
        self.head = nn.Linear(DIM, len(DEGREES))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return embeddings [n, 64] and a score for each rotation [n, 4]."""
        embedding = self.body(images)
        return embedding, self.head(embedding)


def train_epoch(network: Network, images: Tensor, optimiser: torch.optim.Optimizer) -> None:
    """Pass over all images once, in a new order, each in all four rotations (counter-clockwise)."""
    network.train()
    for batch in torch.randperm(len(images)).split(BATCH):
        turned = torch.cat([torch.rot90(images[batch], k, (2, 3)) for k in range(len(DEGREES))])
        right = torch.arange(len(DEGREES)).repeat_interleave(len(batch))
        optimiser.zero_grad()
        functional.cross_entropy(network(turned)[1], right).backward()
        optimiser.step()


def export(network: Network, path: Path) -> None:
    """Write a network as ONNX, with what evaljobs must know in its metadata."""
    network.eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(2, 1, 28, 28),),
            str(unfinished),
            dynamo=False,
            input_names=["image"],
            output_names=["embedding", "logits"],
            dynamic_axes={name: {0: "batch"} for name in ("image", "embedding", "logits")},
        )
    model = onnx.load(str(unfinished))
    preprocessing = json.dumps({"size": [28, 28], "color": "gray", "mean": [MEAN], "std": [STD]})
    said = {"evaljobs.preprocessing": preprocessing, "evaljobs.classes": json.dumps(DEGREES)}
    onnx.helper.set_model_props(model, {**said, "evaljobs.scores_are": "logits"})
    onnx.save(model, str(unfinished))
    unfinished.rename(path)


def fit(width: int, seed: int, images: Tensor) -> None:
    """Train a network, and write it after some of its epochs."""
    paths = {epoch: MODELS / f"w{width}-s{seed}-e{epoch}.onnx" for epoch in EPOCHS}
    if all(path.exists() for path in paths.values()):
        return
    torch.manual_seed(seed)
    network = Network(width)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    for epoch in range(1, max(EPOCHS) + 1):
        train_epoch(network, images, optimiser)
        if epoch in paths:
            export(network, paths[epoch])
            print(paths[epoch].relative_to(MODELS.parent), flush=True)


def main() -> None:
    """Train all of them."""
    images = torch.from_numpy(normal_training().astype(np.float32) / 255)[:, None]
    for width, seed in itertools.product(WIDTHS, SEEDS):
        fit(width, seed, (images - MEAN) / STD)


if __name__ == "__main__":
    main()
