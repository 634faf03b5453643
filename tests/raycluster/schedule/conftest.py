"""What tests of schedules share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.raycluster.schedule.receiver import Receiver, receiving


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: hundreds of thousands of commits wait for no disk."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="raycluster-test-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """A server to which webhooks post."""
    with receiving() as found:
        yield found
