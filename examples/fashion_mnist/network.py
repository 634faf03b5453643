"""Small convolutional networks with an embedding and class scores, and the losses that they are trained with."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


class Design(NamedTuple):
    """What a model is made of: the parts of its file's name, ``w8-f32-r20-bn-cos``."""

    width: int
    dim: int
    res: int
    norm: str
    loss: str

    def __str__(self) -> str:
        return f"w{self.width}-f{self.dim}-r{self.res}-{self.norm}-{self.loss}"


class Network(nn.Module):
    """Three convolutions, the second and third of stride 2, an embedding, and a weight vector for each class."""

    def __init__(self, design: Design, classes: int) -> None:
        super().__init__()
        self.design = design
        layers: list[nn.Module] = []
        channels = 1
        for width in (design.width, 2 * design.width, 4 * design.width):
            layers += [
                nn.Conv2d(channels, width, 3, 2 if channels > 1 else 1, 1, bias=False),
                _norm(design.norm, width),
            ]
            layers.append(nn.ReLU())
            channels = width
        places = math.ceil(design.res / 4) ** 2
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(places * channels, design.dim))
        self.head = nn.Parameter(torch.randn(classes, design.dim) * design.dim**-0.5)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return embeddings [n, dim] and class scores [n, classes]."""
        embedding = self.body(images)
        if self.design.loss == "softmax":
            return embedding, functional.linear(embedding, self.head)
        return embedding, SCALE * self._cosines(embedding)

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the training loss: cross entropy, with a margin on the cosine (CosFace) or on the angle (ArcFace)."""
        embedding, scores = self(images)
        if self.design.loss == "softmax":
            return functional.cross_entropy(scores, labels)
        cosines = self._cosines(embedding)
        own = cosines.gather(1, labels[:, None])
        if self.design.loss == "cos":
            harder = own - COS_MARGIN
        else:
            harder = torch.cos(torch.acos(own.clamp(-1 + 1e-6, 1 - 1e-6)) + ARC_MARGIN)
        return functional.cross_entropy(SCALE * cosines.scatter(1, labels[:, None], harder), labels)

    def _cosines(self, embedding: Tensor) -> Tensor:
        return functional.linear(functional.normalize(embedding), functional.normalize(self.head))


# Wang et al. 2018 (CosFace), Deng et al. 2019 (ArcFace): smaller than theirs, for ten classes.
SCALE, COS_MARGIN, ARC_MARGIN = 16.0, 0.2, 0.2


def _norm(name: str, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels) if name == "bn" else nn.GroupNorm(1, channels)
