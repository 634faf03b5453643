"""Train a convolutional network with dropout on MNIST, and write it as ONNX with its dropout in it.

    python train.py [--epochs 2]

Needs PyTorch. Takes a few minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from data import mnist, read
from torch import Tensor, nn
from torch.nn import functional

PATH = Path(__file__).parent / "models" / "cnn.onnx"
CLASSES = [str(digit) for digit in range(10)]
BATCH = 128


def network() -> nn.Sequential:
    """Return the network: two convolutions, and dropout of 0.25 and 0.5 before the dense layers."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(64 * 12 * 12, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, len(CLASSES)),
    )


def loaded(part: str) -> tuple[Tensor, Tensor]:
    """Return images, float32 [n, 1, 28, 28] from 0 to 1, and labels."""
    images, labels = read(mnist(), part)
    return torch.from_numpy(images.astype(np.float32) / 255)[:, None], torch.from_numpy(labels.astype(np.int64))


def train_epoch(model: nn.Module, images: Tensor, labels: Tensor, optimiser: torch.optim.Optimizer) -> None:
    """Pass over all images once, in a new order."""
    model.train()
    for batch in torch.randperm(len(images)).split(BATCH):
        optimiser.zero_grad()
        functional.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimiser.step()


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the share of images that is classified rightly, without dropout."""
    model.eval()
    with torch.no_grad():
        right = [(model(x).argmax(1) == y).sum() for x, y in zip(images.split(1000), labels.split(1000), strict=True)]
    return float(sum(right)) / len(images)


def export(model: nn.Module, path: Path) -> None:
    """Write the network as ONNX, dropout included, with what evaljobs must know in its metadata.

    A network with batch norms is exported by `evaljobs export --keep-dropout`, which leaves those as they are in
    evaluation; this one has none, so that all of it may be exported as in training.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    model.train()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (torch.zeros(2, 1, 28, 28),),
            str(unfinished),
            dynamo=False,
            training=torch.onnx.TrainingMode.TRAINING,
            do_constant_folding=False,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={name: {0: "batch"} for name in ("image", "logits")},
        )
    onnx_model = onnx.load(str(unfinished))
    preprocessing = json.dumps({"size": [28, 28], "color": "gray", "mean": [0.0], "std": [1.0]})
    said = {"evaljobs.preprocessing": preprocessing, "evaljobs.classes": json.dumps(CLASSES)}
    onnx.helper.set_model_props(onnx_model, {**said, "evaljobs.scores_are": "logits"})
    onnx.save(onnx_model, str(unfinished))
    unfinished.rename(path)


def main() -> None:
    """Train it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--epochs", type=int, default=2)
    torch.manual_seed(0)
    model = network()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    images, labels = loaded("train")
    test = loaded("t10k")
    for number in range(parser.parse_args().epochs):
        train_epoch(model, images, labels, optimiser)
        print(f"epoch {number + 1}: {accuracy(model, *test):.4f} of the test images are right", flush=True)
        export(model, PATH)
    print(PATH.relative_to(PATH.parents[1]))


if __name__ == "__main__":
    main()
