"""The demo, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaljobs.demo.images import Digits, load
from evaljobs.demo.writing import write_demo


@pytest.fixture(scope="session")
def digits() -> Digits:
    """Give all digits."""
    return load()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a demo, to be read or copied."""
    return write_demo(tmp_path_factory.mktemp("made") / "demo").parent


@pytest.fixture(scope="session")
def models(demo: Path) -> dict[str, bytes]:
    """Give the demo's ONNX files by name."""
    return {path.stem: path.read_bytes() for path in sorted((demo / "models").iterdir())}
