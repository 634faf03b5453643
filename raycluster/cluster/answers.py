"""What the dashboard answers, read into the cluster's state. Pure: each function takes one answer.

Ray changes keys of some answers to camel case, names of resources among them; those of its state API it leaves alone.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Iterable, Mapping
from typing import Any

from raycluster.cluster.state import Demand, Event, Node

_ALIVE = "ALIVE"
# Of a node's own name, which is no resource that anybody asks for.
_OF_NODE = "node:"
_USED = re.compile(r"([\d.]+)/([\d.]+) (\S+)")
_NORMAL_TASK = "NORMAL_TASK"
# Ray's own label for the type of a machine.
_GROUP = "ray.io/node-group"
# Of the name of the actor that holds a submitted job's command; the job's id follows.
SUPERVISOR = "_ray_internal_job_actor_"
_AUTOSCALER = "AUTOSCALER"
# What stands in the table of nodes anyway.
_NO_NEWS = "Current cluster resources"


def nodes(
    states: Iterable[Mapping[str, Any]], used: Mapping[str, Mapping[str, float]], types: Mapping[str, str]
) -> list[Node]:
    """Return the nodes of the state API, the head first, then by address.

    Parameters
    ----------
    used, types
        Resources in use, and the name of the type, by the id of a node.
    """
    found = [
        Node(
            id=str(one["node_id"]),
            address=str(one["node_ip"]),
            alive=one["state"] == _ALIVE,
            head=bool(one["is_head_node"]),
            total=_resources(one.get("resources_total")),
            used=used.get(str(one["node_id"]), {}),
            type=types.get(str(one["node_id"])) or str((one.get("labels") or {}).get(_GROUP, "")),
            message=str(one.get("state_message") or ""),
        )
        for one in states
    ]
    return sorted(found, key=lambda node: (not node.head, node.address, node.id))


def _resources(found: Mapping[str, Any] | None) -> dict[str, float]:
    return {name: float(value) for name, value in (found or {}).items() if not name.startswith(_OF_NODE)}


def types(summary: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the names of nodes' types by node, of the dashboard's summary: KubeRay's groups, or the cluster file's."""
    raylets = [one["raylet"] for one in summary]
    return {str(one["nodeId"]): str(one.get("nodeTypeName") or "") for one in raylets}


def used_by_lines(lines: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """Return what is in use by node, from the dashboard's lines such as ``0.5/1.0 GPU``; memory is left out."""
    return {
        node: {name: float(used) for used, _, name in _USED.findall(text) if not name.endswith("memory")}
        for node, text in lines.items()
    }


def used_by_report(status: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return what is in use by node, from the report of the older autoscaler; empty where there is none."""
    report = (status.get("clusterStatus") or {}).get("loadMetricsReport") or {}
    return {
        node: {name: float(pair[0]) for name, pair in usage.items() if name.isupper()}
        for node, usage in (report.get("usageByNode") or {}).items()
    }


def demands(
    tasks: Iterable[Mapping[str, Any]],
    actors: Iterable[Mapping[str, Any]],
    names: Mapping[str, str],
    *,
    more: bool = False,
) -> list[Demand]:
    """Return what waits for a node, equal calls together, those of most calls first.

    Parameters
    ----------
    tasks, actors
        Of the state API, those that wait. Calls of actors wait for their actor, and are left out.
    names
        Ids of jobs by Ray's numbers of their drivers.
    more
        Whether more wait than are handed in.
    """
    wanted = [(_job(one, names), str(one.get("name")), one) for one in tasks if one.get("type") == _NORMAL_TASK]
    for one in actors:
        # What holds a submitted job's command is an actor of Ray's own, with the job's id in its name.
        submitted = str(one.get("name") or "").removeprefix(SUPERVISOR)
        own = submitted != one.get("name") and bool(submitted)
        wanted.append((submitted, "its command", one) if own else (_job(one, names), str(one.get("class_name")), one))
    counted = collections.Counter(
        (job, what, tuple(sorted(_resources(one.get("required_resources")).items()))) for job, what, one in wanted
    )
    found = [Demand(job, what, count, dict(resources), more) for (job, what, resources), count in counted.items()]
    return sorted(found, key=lambda demand: (-demand.count, demand.job, demand.what))


def _job(one: Mapping[str, Any], names: Mapping[str, str]) -> str:
    number = str(one.get("job_id"))
    return names.get(number, f"driver {number}")


def job_names(jobs: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the ids of submitted jobs by Ray's numbers of their drivers."""
    return {
        str(one["job_id"]): str(one["submission_id"]) for one in jobs if one.get("job_id") and one.get("submission_id")
    }


def events(found: Iterable[Mapping[str, Any]], most: int) -> list[Event]:
    """Return the last things that the autoscaler said; of what it said more than once, the last time."""
    said = [
        Event(str(one.get("time", "")), " ".join(str(one.get("message", "")).split()))
        for one in found
        if one.get("source_type") == _AUTOSCALER
    ]
    latest = {event.message: event for event in sorted(said, key=lambda event: event.time)}
    told = [event for event in latest.values() if not event.message.startswith(_NO_NEWS)]
    return sorted(told, key=lambda event: event.time)[-most:]
