"""How many actors fit, counted by hand."""

from __future__ import annotations

import pytest

from raycluster.errors import ClusterError
from raycluster.pool.room import Node, alive, room


@pytest.mark.parametrize(
    ("nodes", "cpus", "gpus", "expected"),
    [
        ([Node(2, 0)], 1, 0, 2),
        ([Node(2, 0)], 2, 0, 1),
        ([Node(3, 0), Node(5, 0)], 2, 0, 3),
        ([Node(0, 0), Node(4, 0)], 4, 0, 1),
        ([Node(1, 0)], 0.1, 0, 10),
        ([Node(16, 2), Node(64, 0)], 1, 1, 2),
        ([Node(16, 2)], 1, 0.25, 8),
        ([Node(16, 2)], 1, 0.6, 2),
        ([Node(16, 1)], 1, 1 / 3, 3),
        ([Node(16, 2)], 1, 1 / 7, 14),
        ([Node(16, 8)], 1, 2, 4),
        ([Node(1, 8)], 1, 1, 1),
    ],
)
def test_actors_per_node(nodes: list[Node], cpus: float, gpus: float, expected: int) -> None:
    """Each node by itself, by its CPUs and its GPUs; a part of a GPU does not span two."""
    assert room(nodes, cpus, gpus) == expected


@pytest.mark.parametrize(("cpus", "gpus"), [(5, 0), (1, 1), (3, 2)])
def test_what_fits_nowhere_is_refused_with_both_sides(cpus: float, gpus: float) -> None:
    """What was asked for, and what each node has."""
    with pytest.raises(ClusterError, match=rf"{cpus:g} CPU\(s\).*2 with 2 CPU\(s\) and 0 GPU.*1 with 4 CPU"):
        room([Node(2, 0), Node(4, 0.5), Node(2, 0)], cpus, gpus)


def test_dead_nodes_offer_nothing() -> None:
    """As ray.nodes() lists them."""
    listed = [
        {"Alive": True, "Resources": {"CPU": 2.0, "memory": 1.0}},
        {"Alive": False, "Resources": {"CPU": 8.0, "GPU": 1.0}},
    ]
    assert alive(listed) == [Node(2, 0)]
    with pytest.raises(ClusterError, match="no node that is alive"):
        room([], 1, 0)
