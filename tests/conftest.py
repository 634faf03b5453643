"""What all tests share: one Ray for the session, and a mode in which nothing may be skipped."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator

import pytest
import ray

from raycluster.connect import Cluster, connect

NO_SKIP = os.environ.get("EVALJOBS_NO_SKIP") == "1"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where nothing may be skipped, a skip is a failure."""
    report = yield
    if NO_SKIP and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A real Ray of two CPUs, started once: 5 seconds a test are too many."""
    assert not ray.is_initialized()
    with connect(cpus=2, object_store_mb=256) as connected:
        yield connected
