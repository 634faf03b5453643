"""Fixtures of the image tests."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def golden() -> ModuleType:
    """Return the module that made golden.json: its images, its cases, and torchvision's pipeline."""
    name = "evaljobs_tests_make_golden"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parent / "make_golden.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its annotations are looked up there
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process live a minute after what it writes, whose times of change no program can set back."""
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 60 * 10**9)
