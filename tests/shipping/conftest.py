"""A benchmark on this machine, and a store on S3."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.conftest import Bench
from tests.s3_server import S3Server


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def local(tmp_path: Path, cache: Path, s3: S3Server) -> Bench:
    """Images, two models, and a store on S3; the images and models are on this machine."""
    del cache
    (tmp_path / "bench").mkdir()
    bench = Bench(tmp_path / "bench").images(4, 5)
    bench.model("one", 1)
    bench.model("two", 2)
    bench.config["store"] = f"{s3.bucket()}/store"
    return bench
