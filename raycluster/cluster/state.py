"""How a cluster is, as data: its nodes, its jobs, and what waits for what."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from raycluster.jobs.job import Job
from raycluster.program import Stage

VERSION = 1


@dataclasses.dataclass(frozen=True)
class Node:
    """A machine of the cluster.

    Attributes
    ----------
    total, used
        Resources by Ray's names; memory in bytes. `used` lacks what the cluster does not tell.
    type
        Of the cluster's file; empty where there is none.
    message
        Of a node that is gone: why.
    """

    id: str
    address: str
    alive: bool
    head: bool
    total: Mapping[str, float]
    used: Mapping[str, float]
    type: str = ""
    message: str = ""


@dataclasses.dataclass(frozen=True)
class Demand:
    """Work that has not started: so many calls that each ask for the same.

    Attributes
    ----------
    job
        The id of its job, or Ray's number of a driver that was not submitted.
    what
        The function, or the class of an actor.
    at_least
        Whether there may be more of them: a cluster lists so many at most.
    """

    job: str
    what: str
    count: int
    resources: Mapping[str, float]
    at_least: bool = False

    @property
    def calls(self) -> str:
        """How many, for people."""
        return f"{'at least ' if self.at_least else ''}{self.count:,}"


@dataclasses.dataclass(frozen=True)
class Waiting:
    """A demand, and why it waits.

    Attributes
    ----------
    reason
        For people.
    missing
        Resources that no node has enough of, by Ray's names: it waits until a node comes that has them.
    """

    demand: Demand
    reason: str
    missing: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class JobState:
    """A job, and how far it is, where it says so."""

    job: Job
    stages: Sequence[Stage] = ()


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that the cluster's autoscaler said; `time` is the cluster's clock, as text."""

    time: str
    message: str


@dataclasses.dataclass(frozen=True)
class ClusterState:
    """How a cluster is at one moment."""

    address: str
    nodes: Sequence[Node]
    jobs: Sequence[JobState]
    waiting: Sequence[Waiting]
    events: Sequence[Event]

    def as_json(self) -> dict[str, Any]:
        """Return it as it is printed for programs."""
        return {"version": VERSION, **dataclasses.asdict(self)}
