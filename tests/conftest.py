"""What all tests share: a Ray and an S3 server for each worker, an order, and a mode in which nothing may be skipped.

With several workers (pytest-xdist), a file is the unit that a worker takes: see `tests.sharing`.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from typing import Any

import pytest
import ray
from hypothesis import settings

from raycluster.connection.connect import Cluster, connect
from tests.ray_head import RayHead
from tests.s3_server import S3Server

# A limit on the time of one example says nothing about the code, and fails where a machine is busy. The same examples
# each time: what fails has been changed, and is no draw of luck. `make fuzz` draws others.
settings.register_profile("same", deadline=None, derandomize=True, database=None)
settings.register_profile("fuzz", deadline=None, derandomize=False, print_blob=True)
settings.load_profile("same")

NO_SKIP = os.environ.get("EVALJOBS_NO_SKIP") == "1"


@pytest.hookimpl(optionalhook=True)  # where xdist is not installed, nobody asks
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Share the tests as `tests.sharing` does, among however many workers."""
    from tests.sharing import Files

    return Files(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes longest, where several workers run."""
    if hasattr(config, "workerinput"):
        from tests.sharing import longest_first

        items[:] = longest_first(items)


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
    """A real Ray of two CPUs, started once by a worker: 5 seconds a test are too many."""
    assert not ray.is_initialized()
    with connect(cpus=2, object_store_mb=256) as connected:
        yield connected


@pytest.fixture(scope="session", autouse=True)
def s3_server() -> Iterator[S3Server]:
    """An S3 server that is not started yet; its address stands in the environment before Ray's processes inherit it."""
    server = S3Server()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield server
    server.close()


@pytest.fixture(scope="session")
def ray_head(s3_server: S3Server) -> Iterator[RayHead]:
    """A real Ray head with job server and token, started once, which reaches the S3 server. It has two CPUs."""
    s3_server.start()
    head = RayHead()
    head.start()
    yield head
    head.close()


@pytest.fixture(scope="session")
def s3(s3_server: S3Server) -> S3Server:
    """A real S3 server, started once: `bucket()` is a fresh place in it. Whoever stops it starts it again."""
    s3_server.start()
    return s3_server
