"""Stores to test: what holds for one in a local folder holds for one on S3."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaljobs.store import Store


@pytest.fixture(params=["local", "s3"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place for a store, where nothing is yet."""
    if request.param == "local":
        return str(tmp_path / "store")
    return f"{request.getfixturevalue('s3').bucket()}/some/store"


@pytest.fixture
def store(location: str) -> Store:
    """A new store."""
    return Store(location).open()


@pytest.fixture
def local(tmp_path: Path) -> Store:
    """A new store in a local folder, for what is told by times of files."""
    return Store(tmp_path / "local").open()
