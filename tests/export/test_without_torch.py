"""What is said where the extra packages are missing."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from evaljobs.export import packages
from tests.cli.conftest import Command


def without(missing: str, find: Callable[..., ModuleSpec | None]) -> Callable[[str], ModuleSpec | None]:
    return lambda name: None if name == missing else find(name)


def test_names_the_extra(command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without PyTorch it is said what to install, before a file is looked for."""
    monkeypatch.setattr(importlib.util, "find_spec", without("torch", importlib.util.find_spec))
    done = command("export", tmp_path / "net.pth", "--arch", "timm:resnet18")
    done.refused("needs the package torch", "pip install 'evaljobs[export]'")


def test_versions_are_those_installed() -> None:
    """The signature names what took part, and nothing that is not there."""
    found = packages.versions("onnx", "no_such_package")
    assert set(found) == {"onnx"}
    assert found["onnx"][0].isdigit()
