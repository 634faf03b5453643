"""Look at a cluster from outside: over the dashboard's HTTP alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from raycluster.access.servers import Server, find_server
from raycluster.access.web import get_json
from raycluster.cluster import answers
from raycluster.cluster.state import ClusterState, Demand, JobState, Node, Waiting
from raycluster.cluster.waiting import explain
from raycluster.errors import ClusterError
from raycluster.jobs.job import Job
from raycluster.jobs.server import RayJobServer
from raycluster.jobs.submissions import PROGRAM
from raycluster.program import Stage, find_program

# Of each kind; the state API gives ten thousand at most, and people look at a few.
_LIMIT = 1_000
_EVENTS = 5
_TASK_WAITS, _ACTOR_WAITS = "PENDING_NODE_ASSIGNMENT", "PENDING_CREATION"


def status(address: str | None = None, *, insecure: bool = False) -> ClusterState:
    """Return how a cluster is.

    Parameters
    ----------
    address, insecure
        As `find_server` has them.

    Raises
    ------
    ClusterError
        If it does not answer, or refuses.
    """
    server = find_server(address, insecure=insecure)
    with _rays_own(server):
        nodes = _nodes(server)
        return ClusterState(server.url, nodes, _jobs(server), _waiting(server, nodes), _events(server))


def waiting_for(server: Server, job_id: str) -> list[Waiting]:
    """Return what a job waits for, and why.

    Raises
    ------
    ClusterError
        If the cluster does not answer, or refuses.
    """
    with _rays_own(server):
        listed = answers.job_names(get_json(server, "/api/jobs/") or [])
        names = {number: name for number, name in listed.items() if name == job_id}
        nodes = _nodes(server)
        found = [explain(demand, nodes) for demand in _demands_of(server, job_id, names)]
        return [waiting for waiting in found if waiting.demand.job == job_id]


def gpus(server: Server) -> int:
    """Return how many GPUs a cluster has at this moment.

    Raises
    ------
    ClusterError
        If it does not answer, or refuses.
    """
    with _rays_own(server):
        nodes = answers.nodes(_states(server, "nodes"), {}, {})
        return int(sum(node.total.get("GPU", 0.0) for node in nodes if node.alive))


@contextlib.contextmanager
def _rays_own(server: Server) -> Iterator[None]:
    """Say so where answers are of another form than Ray's."""
    try:
        yield
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise ClusterError(
            f"{server.url} answers something that is not Ray's dashboard, or that of another version; expected the "
            "address of a head's dashboard"
        ) from error


def _nodes(server: Server) -> list[Node]:
    seen = get_json(server, "/nodes", {"view": "summary"})["data"]
    return answers.nodes(_states(server, "nodes"), _used(server, seen), answers.types(seen["summary"]))


def _waiting(server: Server, nodes: Sequence[Node]) -> list[Waiting]:
    listed = get_json(server, "/api/jobs/") or []
    return [explain(demand, nodes) for demand in _demands(server, answers.job_names(listed))]


def _states(server: Server, kind: str, **wanted: str) -> list[dict[str, Any]]:
    """Return what the state API lists of a kind, of those that have all these values."""
    query: dict[str, str | list[str]] = {"detail": "true", "limit": str(_LIMIT)}
    if wanted:
        predicates = ["="] * len(wanted)
        query |= {"filter_keys": [*wanted], "filter_predicates": predicates, "filter_values": [*wanted.values()]}
    found = get_json(server, f"/api/v0/{kind}", query)
    return list(found["data"]["result"]["result"])


def _used(server: Server, seen: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return what is in use by node: each of the two autoscalers tells it in another place."""
    lines = answers.used_by_lines(seen.get("nodeLogicalResources") or {})
    return lines or answers.used_by_report(get_json(server, "/api/cluster_status")["data"])


def _demands(server: Server, names: dict[str, str]) -> list[Demand]:
    tasks = _states(server, "tasks", state=_TASK_WAITS)
    actors = _states(server, "actors", state=_ACTOR_WAITS)
    return answers.demands(tasks, actors, names, more=max(len(tasks), len(actors)) >= _LIMIT)


def _demands_of(server: Server, job_id: str, names: dict[str, str]) -> list[Demand]:
    """Return what waits of one job, however much of others does: the cluster lists so many at most."""
    tasks, actors = [], _states(server, "actors", state=_ACTOR_WAITS, name=answers.SUPERVISOR + job_id)
    for number in names:
        tasks += _states(server, "tasks", state=_TASK_WAITS, job_id=number)
        actors += _states(server, "actors", state=_ACTOR_WAITS, job_id=number)
    return answers.demands(tasks, actors, names, more=max(len(tasks), len(actors)) >= _LIMIT)


def _jobs(server: Server) -> list[JobState]:
    jobs = RayJobServer(server)
    return [JobState(job, _stages(jobs, job) if job.status == "running" else ()) for job in jobs.jobs()]


def _stages(jobs: RayJobServer, job: Job) -> Sequence[Stage]:
    """Return how far a job is, by the words of its own program; nothing where that is not known here."""
    try:
        return find_program(job.metadata[PROGRAM]).stages(jobs.log(job.id))
    except (KeyError, ClusterError):
        return ()


def _events(server: Server) -> list[Any]:
    try:
        found = get_json(server, "/api/v0/cluster_events")["data"]["result"]["result"]
    except ClusterError:  # a cluster whose events are switched off
        return []
    return answers.events(found, _EVENTS)
