"""Networks of one's own, checkpoints of them, and the command that exports them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from evaljobs import config
from evaljobs.models.model import Model
from evaljobs.models.options import Runtime
from evaljobs.models.resolve import resolve
from evaljobs.models.session import Session
from tests.cli.conftest import Command, Done, command

__all__ = ["command"]

# They need the extras, which the tests of everything else do without.
_NEEDS = {
    "torch": ["test_checkpoints.py", "test_dropout.py", "test_export.py", "test_heads.py"],
    "safetensors": ["test_safetensors.py"],
    "timm": ["test_timm.py"],
}
collect_ignore = [file for package, files in _NEEDS.items() if not importlib.util.find_spec(package) for file in files]

SIZE = 16


class Place:
    """A folder in which networks can be imported, and commands run."""

    def __init__(self, folder: Path, run: Command) -> None:
        self.folder = folder
        self._run = run

    @property
    def nets(self) -> ModuleType:
        """The module that `--arch export_nets:NAME` names."""
        import export_nets

        return export_nets  # type: ignore[no-any-return]

    def net(self, name: str = "Small", seed: int = 1, **arguments: Any) -> Any:
        """Return a network with weights and statistics of its own, in evaluation mode."""
        import torch

        torch.manual_seed(seed)
        net = getattr(self.nets, name)(**arguments).eval()
        for key, value in net.state_dict().items():
            if key.endswith(("running_mean", "running_var")):
                value.uniform_(0.5, 1.5)
        return net

    def save(self, data: Any, name: str = "net.pth") -> Path:
        """Write a checkpoint as training scripts do."""
        import torch

        path = self.folder / name
        torch.save(data, path)
        return path

    def export(self, *checkpoints: Path | str, arch: str = "Small", options: str = "") -> Done:
        """Run the command."""
        return self._run("export", *checkpoints, "--arch", f"export_nets:{arch}", "--size", str(SIZE), *options.split())

    def model(self, name: str = "net.onnx", batch_size: int = 3) -> Model:
        """Resolve an exported file as a run does."""
        entry = {"path": name, "batch_size": batch_size}
        run = config.validate(config.Config, {"images": {"folder": "images"}, "models": [entry]}, "test")
        (model,) = resolve(run, self.folder).models
        return model

    def rows(self, block: NDArray[np.uint8], name: str = "net.onnx", batch_size: int = 3) -> NDArray[np.float32]:
        """Embed pixels as a run does."""
        return Session(self.model(name, batch_size), Runtime()).run(block)["embedding"]

    def files(self) -> list[str]:
        """Return all that a command left, hidden files included."""
        return sorted(p.name for p in self.folder.iterdir() if p.suffix == ".onnx" or p.name.startswith("."))


@pytest.fixture
def place(tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The folder `tmp_path` as the current one, with the networks in it."""
    (tmp_path / "export_nets.py").write_text(NETS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "export_nets", raising=False)
    return Place(tmp_path, command)


@pytest.fixture
def block() -> NDArray[np.uint8]:
    """Seven images: no multiple of the batch."""
    return np.random.default_rng(5).integers(0, 256, (7, SIZE, SIZE, 3), dtype=np.uint8)


def by_torch(net: Any, block: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what PyTorch makes of pixels with ImageNet's mean and standard deviation."""
    import torch

    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    images = ((block / 255 - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)
    with torch.no_grad():
        rows: NDArray[np.float32] = net(torch.from_numpy(images)).numpy()
    return rows


def operators(path: Path) -> list[str]:
    """Return the operators of a graph."""
    return [node.op_type for node in onnx.load(path).graph.node]


NETS = '''
import torch
from torch import nn
from torch.nn import functional


class Small(nn.Module):
    """A convolution, a batch norm, a mean, dropout of both kinds, a neck."""

    def __init__(self, dim=4, p=0.0, q=0.0, channels=3):
        super().__init__()
        self.conv = nn.Conv2d(channels, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(p)
        self.neck = nn.Linear(8, dim)
        self.q = q

    def forward(self, image):
        pooled = functional.relu(self.norm(self.conv(image))).mean((2, 3))
        pooled = functional.dropout(self.drop(pooled), self.q, self.training)
        return self.neck(pooled)


class Classifier(Small):
    """The same with a classifier behind the neck, and all outputs at once."""

    def __init__(self, **given):
        super().__init__(**given)
        self.fc = nn.Linear(4, 10)

    def forward(self, image):
        return self.fc(super().forward(image))


class Both(Classifier):
    def forward(self, image):
        embedding = Small.forward(self, image)
        return embedding, self.fc(embedding)


class Maps(Small):
    def forward(self, image):
        return self.norm(self.conv(image))


class Brightness(Small):
    """Multiplies by a number of Python's: a trace writes it down as a constant."""

    def forward(self, image):
        return super().forward(image) * (1 + float(image.abs().mean()))


class Channels(Small):
    """Drops whole channels."""

    def __init__(self, p=0.5):
        super().__init__()
        self.drop2d = nn.Dropout2d(p)

    def forward(self, image):
        return self.neck(self.drop2d(self.norm(self.conv(image))).mean((2, 3)))


class Attention(Small):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, dropout=0.1, batch_first=True)

    def forward(self, image):
        tokens = self.conv(image).flatten(2).transpose(1, 2)
        return self.attention(tokens, tokens, tokens, need_weights=False)[0].mean(1)


class Encoder(Small):
    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)

    def forward(self, image):
        return self.layer(self.conv(image).flatten(2).transpose(1, 2)).mean(1)


class Eigen(Small):
    """Has an operator that ONNX lacks."""

    def forward(self, image):
        return torch.linalg.svdvals(super().forward(image)[:, :, None] + torch.eye(4))


class Wrapped(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = Small()
        self.margin = nn.Linear(4, 7, bias=False)


number = 3


def text():
    return "no module"


def fails():
    raise RuntimeError("no such variant")
'''
