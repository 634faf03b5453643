"""How the tests are shared among workers (pytest-xdist): a file at a time, those that take longest first."""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadScopeScheduling

# These share what takes long to start: a head of Ray with a job server, a cluster of several nodes.
TOGETHER = {
    "tests/raycluster/jobs/test_server.py": "tests/shipping/test_submission.py",
    "tests/faults/test_repeated_calls.py": "tests/faults/test_nodes.py",
}


def unit_of(nodeid: str) -> str:
    """Return the name of what one worker carries out as a whole: a file, or several that belong together."""
    file = nodeid.partition("::")[0]
    return TOGETHER.get(file, file)


class Files(LoadScopeScheduling):
    """Gives each worker that has nothing left to do the next unit."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


def longest_first(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the tests of units with many slow tests, then of those that use a Ray, then all others.

    A long unit at the end would be waited for by all other workers.
    """
    units: dict[str, list[pytest.Item]] = {}
    for item in items:
        units.setdefault(unit_of(item.nodeid), []).append(item)
    return [item for unit in sorted(units.values(), key=_weight, reverse=True) for item in unit]


def _weight(unit: list[pytest.Item]) -> tuple[int, int]:
    slow = sum(1 for item in unit if item.get_closest_marker("slow"))
    return slow, sum(1 for item in unit if "cluster" in getattr(item, "fixturenames", ()))
