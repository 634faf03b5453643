"""Metrics where there is no Ray: nothing is loaded, nothing fails."""

from __future__ import annotations

import subprocess
import sys

import pytest

from raycluster.connection.connect import Cluster
from raycluster.metrics import Declared, Meters

COUNTER = Declared("evaljobs_test_total", "counter", "Counts.", ("run", "what"))
GAUGE = Declared("evaljobs_test", "gauge", "Is.", ("run",))


def test_without_ray_nothing_is_loaded() -> None:
    """A run with nothing to compute does not pay for metrics that nobody reads."""
    code = (
        "import sys\nfrom raycluster.metrics import Declared, Meters\n"
        "meters = Meters([Declared('a_total', 'counter', 'A.', ('run',))], run='x')\n"
        "meters.add('a_total', 1)\nprint(meters.kept, 'ray' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"


def test_with_ray_every_value_can_be_set(cluster: Cluster) -> None:
    """Nothing counted is no step; a name that is no Unicode is spelled out; a metric may be declared twice."""
    assert cluster.nodes == 1
    for _ in range(2):
        meters = Meters([COUNTER, GAUGE], run="\udcff")
        assert meters.kept
        meters.add(COUNTER.name, 0, what="a")
        meters.add(COUNTER.name, 2.5, what='"\n')
        meters.set(GAUGE.name, 0)
        with pytest.raises(KeyError):
            meters.add("undeclared", 1)
        meters.close()
