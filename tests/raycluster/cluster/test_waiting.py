"""What waits for what: the reason names the resource, whoever has it."""

from __future__ import annotations

import pytest

from raycluster.cluster import answers
from raycluster.cluster.state import Demand, Node
from raycluster.cluster.waiting import explain


def node(total: dict[str, float], used: dict[str, float] | None = None, *, alive: bool = True) -> Node:
    """Return a node with these resources."""
    return Node("id", "10.0.0.1", alive, head=False, total=total, used=used or {})


def demand(**resources: float) -> Demand:
    """Return a demand of one call."""
    return Demand("job", "embed", 1, resources)


@pytest.mark.parametrize(
    ("nodes", "asked", "reason", "missing"),
    [
        ([], {"CPU": 1}, "the cluster has no nodes", ("CPU",)),
        ([node({"GPU": 1}, alive=False)], {"GPU": 1}, "the cluster has no nodes", ("GPU",)),
        ([node({"CPU": 4})], {"CPU": 1, "GPU": 1}, "no node has 1 GPU", ("GPU",)),
        ([node({"CPU": 4})], {"CPU": 8}, "no node has 8 CPU, the largest has 4", ("CPU",)),
        (
            [node({"memory": 2**30})],
            {"memory": 2**32},
            "no node has 4.0 GiB memory, the largest has 1.0 GiB",
            ("memory",),
        ),
        (
            [node({"CPU": 8}), node({"CPU": 1, "GPU": 1})],
            {"CPU": 2, "GPU": 1},
            "no single node has 2 CPU and 1 GPU",
            ("CPU", "GPU"),
        ),
        ([node({"GPU": 2}, {"GPU": 2}), node({"GPU": 1}, {"GPU": 1})], {"GPU": 1}, "3 of 3 GPU in use", ()),
        ([node({"CPU": 8, "GPU": 1}, {"CPU": 1, "GPU": 1})], {"CPU": 1, "GPU": 0.5}, "1 of 1 GPU in use", ()),
        ([node({"GPU": 1}, {"GPU": 2 / 3})], {"GPU": 1 / 3}, "about to start", ()),
        # Each has a part of it free, and none has all.
        (
            [node({"CPU": 2, "GPU": 1}, {"CPU": 2}), node({"CPU": 2, "GPU": 1}, {"GPU": 1})],
            {"CPU": 1, "GPU": 1},
            "free at once",
            (),
        ),
    ],
)
def test_reason(nodes: list[Node], asked: dict[str, float], reason: str, missing: tuple[str, ...]) -> None:
    """The first resource that is not there is named; where all is there, who has it."""
    found = explain(demand(**asked), nodes)
    assert reason in found.reason
    assert found.missing == missing


def test_equal_calls_are_one_line() -> None:
    """A sweep has thousands that wait; calls of actors wait for their actor and are not told of twice."""
    task = {"type": "NORMAL_TASK", "name": "decode", "job_id": "01000000", "required_resources": {"CPU": 1.0}}
    call = {"type": "ACTOR_TASK", "name": "A.embed", "job_id": "01000000", "required_resources": {}}
    actor = {"class_name": "A", "job_id": "02000000", "required_resources": {"GPU": 0.5, "node:10.0.0.1": 0.001}}
    own = {"class_name": "JobSupervisor", "name": "_ray_internal_job_actor_later-1", "required_resources": {"CPU": 2.0}}
    names = answers.job_names(
        [{"job_id": "01000000", "submission_id": "nightly-1"}, {"job_id": None, "submission_id": "waits"}]
    )
    assert answers.demands([task] * 3 + [call], [actor, own], names) == [
        Demand("nightly-1", "decode", 3, {"CPU": 1.0}),
        Demand("driver 02000000", "A", 1, {"GPU": 0.5}),
        Demand("later-1", "its command", 1, {"CPU": 2.0}),
    ]


def test_usage_is_read_from_either_autoscaler() -> None:
    """One tells it in lines, the other in a report."""
    lines = {"a": "0.5/2.0 CPU\n0.25/1.0 GPU (0.25 used of 1.0 reserved in placement groups)\n0B/2.00GiB memory"}
    assert answers.used_by_lines(lines) == {"a": {"CPU": 0.5, "GPU": 0.25}}
    report = {"usageByNode": {"a": {"CPU": [0.5, 2.0], "objectStoreMemory": [1.0, 2.0], "node:10.0.0.1": [0.0, 1.0]}}}
    assert answers.used_by_report({"clusterStatus": {"loadMetricsReport": report}}) == {"a": {"CPU": 0.5}}
    assert answers.used_by_report({"clusterStatus": None}) == {}


def test_events_are_told_once() -> None:
    """Ray repeats itself every half a minute; the last time counts, and news alone are told."""
    said = [
        {"source_type": "AUTOSCALER", "time": f"2026-01-01 00:00:0{second}", "message": message}
        for second, message in enumerate(
            ["No types\ncan do it", "Adding 1", "No types can do it", "Current cluster resources: x"]
        )
    ]
    found = answers.events([*said, {"source_type": "JOBS", "time": "2026-01-01 00:00:09", "message": "x"}], 5)
    assert [(event.time[-1], event.message) for event in found] == [("1", "Adding 1"), ("2", "No types can do it")]
